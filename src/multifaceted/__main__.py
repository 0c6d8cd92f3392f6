"""The start of the command line, before anything is imported that takes time: `python -m multifaceted`."""

import os
import signal
import sys


def main() -> None:
    """Run the command line.

    Ctrl-C while it is imported, or while Tab completes a word, ends it without a word, as any program.
    """
    _fill_descriptors()
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so in the background
    if heeds:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from multifaceted.cli import main as run  # noqa: PLC0415 - see above

    if heeds and "_MULTIFACETED_COMPLETE" not in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _fill_descriptors() -> None:
    """Open what the caller closed: else the first files opened, such as a journal, were stdout and stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()
