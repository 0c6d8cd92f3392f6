"""The child process that serves local weights: `python -m multifaceted.chat.local_server '{"model": …}'`.

It prints one JSON line, its URL or why there is none, and ends when its standard input closes. Nothing of
ours is imported before the native library, so that whatever happens here is the library's doing.
"""

import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    """Serve until the parent goes away."""
    settings = json.loads(sys.argv[1])
    # Native code writes to stdout; the one line that the parent waits for keeps a descriptor of its own.
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        url = _start(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        answer = {"error": f"{type(error).__name__}: {error}"}
    else:
        answer = {"url": url}
    ready.write(json.dumps(answer) + "\n")
    ready.flush()
    if "url" in answer:
        threading.Event().wait()
    os._exit(3)


def _start(settings: dict[str, Any]) -> str:
    import xllamacpp  # noqa: PLC0415 - an extra, and its import may fail in ways worth reporting

    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = settings["context"] * settings["slots"]
    parameters.n_parallel = settings["slots"]
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["batch_threads"]
    parameters.n_gpu_layers = 0
    parameters.verbosity = 1  # errors only; they say why weights cannot be loaded
    parameters.fit_params = False
    parameters.ui = False
    # With flash attention the reply depends on how many threads and neighbors a request has.
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(parameters)
    _alive.append(server)
    return str(server.listening_address)


_alive: list[Any] = []  # the server stops when nothing refers to it


def _follow_parent() -> None:
    """However the parent ends, even by `kill -9`, this pipe closes."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
