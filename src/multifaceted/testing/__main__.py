"""The test server from the command line: `python -m multifaceted.testing --like litellm --port 8000`."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from multifaceted.testing.personalities import DEFAULT, find_personality, list_personalities
from multifaceted.testing.server import ChatServer

EXAMPLE = "python -m multifaceted.testing --like litellm --port 8000"
_BREATH = 0.5  # seconds; some systems deliver no signal to a wait without an end


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C; 0 takes a free port."""
    options = _read_arguments(arguments)
    server = ChatServer(
        like=options.like,
        port=options.port,
        api_key=options.api_key,
        models=tuple(options.model) or None,
        context_tokens=options.context,
        latency=options.latency,
        requests_per_minute=options.requests_per_minute,
    )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with server:
            _say(f"serving at {server.base_url} like {server.like}; Ctrl-C ends it")
            while not ended.wait(_BREATH):
                pass
            _say(_count(server))
    except OSError as error:
        sys.exit(f"error: {error.strerror or error}")


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    people = "\n".join(f"  {person.name:18}{person.summary}" for person in list_personalities())
    parser = argparse.ArgumentParser(
        prog="python -m multifaceted.testing",
        description="Serve a chat endpoint on a loopback port, with the behavior of a real one.",
        epilog=f"example: {EXAMPLE}\n\npersonalities:\n{people}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--like", default=DEFAULT, type=_check_name, metavar="NAME", help="the endpoint to imitate"
    )
    parser.add_argument("--port", default=0, type=int, help="to serve on; 0, the default, takes a free one")
    parser.add_argument("--api-key", metavar="KEY", help="the only key accepted; without it, any")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="a model that it knows")
    parser.add_argument(
        "--context", type=int, metavar="TOKENS", help="context length: prompt and max_tokens together"
    )
    parser.add_argument("--latency", default=0.0, type=float, metavar="SECONDS", help="before each answer")
    parser.add_argument("--requests-per-minute", type=float, metavar="N", help="beyond it, HTTP 429")
    return parser.parse_args(arguments)


def _check_name(name: str) -> str:
    try:
        return find_personality(name).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(server: ChatServer) -> str:
    statuses = ", ".join(f"{count} of {status}" for status, count in sorted(server.statuses.items()))
    asked, paid = len(server.bodies), sum(server.paid.values())
    return f"{asked} requests, {paid} answered whole, {server.repeats} of these again ({statuses or 0})"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    main()
