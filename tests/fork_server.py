"""A process that has imported the package, and forks one for each command: a start takes milliseconds.

    begin_shared()
    subprocess.run([find_command("multifaceted"), "--help"])

The commands are `multifaceted …` and `python script.py`, found at the head of PATH; each hands its arguments,
folder, variables and open files to the server, and ends with the exit code of the forked process. Of signals
only the end of the command reaches that process, as SIGKILL: what is to be interrupted starts without this.
What Python and the Hub's client read only once is compared: with other variables of that kind the command
starts afresh, and so does `python` with an option. Which hub it is and where its client's home is may differ.
"""

import atexit
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

READ_AT_START = ("HF_", "PYTHON")
READ_EACH_TIME = {"HF_TOKEN"}
OF_THE_HUB = {"HF_ENDPOINT", "HF_HOME", "HF_HUB_DISABLE_XET", "HF_HUB_OFFLINE"}  # see `use_hub`
CLIENT = """#!{python} -IS
import marshal, os, socket, sys
files = [number for number in range(3) if os.path.exists(f"/dev/fd/{{number}}")]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = marshal.dumps((sys.argv, os.getcwd(), dict(os.environ), files))
    socket.send_fds(server, [len(request).to_bytes(8, "big")], files)
    server.sendall(request)
    code = server.recv(1)
if not code:
    os.execv({python!r}, [{python!r}, *{afresh!r}, *sys.argv[1:]])
sys.exit(code[0])
"""


class ForkServer:
    """Runs from `__enter__` to `__exit__`; whatever it forked ends with it.

    Args:
        environment: variables of the process that imports.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._folder = tempfile.TemporaryDirectory()  # a short path: those of sockets end at 104 bytes

    @property
    def folder(self) -> str:
        """Return where its commands are, for other processes."""
        return self._folder.name

    def __enter__(self) -> "ForkServer":
        folder = Path(self._folder.name)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            env=self._environment,
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        listener.close()
        command = str(Path(sys.executable).with_name("multifaceted"))
        for name, afresh in (("multifaceted", [command]), ("python", [])):
            client = CLIENT.format(python=sys.executable, address=str(folder / "socket"), afresh=afresh)
            (folder / name).write_text(client, encoding="utf-8")
            (folder / name).chmod(0o755)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._folder.cleanup()


SHARED = "MULTIFACETED_FORK_SERVER"  # the variable that names the folder of the server that all tests share
_shared: list[ForkServer] = []


def begin_shared() -> None:
    """Start the server that all tests share; the processes that run them inherit where it is."""
    _shared.append(ForkServer({**os.environ, "HF_HUB_OFFLINE": "1"}).__enter__())
    os.environ[SHARED] = _shared[0].folder


def find_command(name: str) -> str:
    """Return where a command of the shared server is, which the first that asks starts if nobody has."""
    if SHARED not in os.environ:
        begin_shared()
    return str(Path(os.environ[SHARED]) / name)


def run_multifaceted(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line by the shared server, as somebody who has it on the PATH.

    This process speaks to the server itself: a client takes as long as many a command.
    """
    command = find_command("multifaceted")
    environment = {**os.environ, "PATH": f"{Path(command).parent}:{os.environ['PATH']}"}
    arguments = [command, *map(str, words)]
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor(2) as readers:
        server.settimeout(60)
        server.connect(str(Path(command).with_name("socket")))
        request = marshal.dumps((arguments, str(cwd or Path.cwd()), environment, [0, 1, 2]))
        (out, to_out), (err, to_err) = os.pipe(), os.pipe()
        with Path(os.devnull).open("rb") as nothing:
            socket.send_fds(server, [len(request).to_bytes(8, "big")], [nothing.fileno(), to_out, to_err])
        os.close(to_out)
        os.close(to_err)
        texts = [readers.submit(read_to_end, file) for file in (out, err)]
        server.sendall(request)
        code = server.recv(1)
        told = [text.result() for text in texts]
    if not code:  # with other variables it starts afresh
        return subprocess.run(
            arguments, env=environment, capture_output=True, text=True, check=False, cwd=cwd, timeout=60
        )
    return subprocess.CompletedProcess(arguments, code[0], *told)


def read_to_end(file: int) -> str:
    with open(file, encoding="utf-8") as pipe:
        return pipe.read()


def end_shared() -> None:
    """End the shared server, where there is one."""
    while _shared:
        _shared.pop().__exit__()
        os.environ.pop(SHARED, None)


class Forker:
    """The process that forks: it tells how each command ended, and kills those whose client is gone."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[socket.socket, int] = {}  # to the process that runs what each asked for
        self._ends: dict[int, socket.socket] = {}  # a pipe that closes with its process, to the client

    def serve(self) -> list[str]:
        """Fork until stdin ends; return the arguments of the command in each process that is to run one."""
        while True:
            ready = select.select([sys.stdin, self._listener, *self._clients, *self._ends], [], [])[0]
            if sys.stdin in ready:
                os._exit(0)
            for end in [end for end in self._ends if end in ready]:
                self._tell(end)
            for client in [client for client in self._clients if client in ready]:
                os.kill(self._clients[client], signal.SIGKILL)
            if self._listener in ready and (argv := self._take()):
                return argv

    def _tell(self, end: int) -> None:
        with self._ends.pop(end) as client, suppress(OSError):
            os.close(end)
            code = os.waitstatus_to_exitcode(os.waitpid(self._clients.pop(client), 0)[1])
            client.sendall(bytes([code if code >= 0 else 128 - code]))

    def _take(self) -> list[str]:
        client, _ = self._listener.accept()
        size, files, _, _ = socket.recv_fds(client, 8, 3)
        with client.makefile("rb") as request:
            wanted = request.read(int.from_bytes(size, "big"))
        argv: list[str]
        argv, folder, environment, numbers = marshal.loads(wanted)
        end, held = os.pipe()  # nobody else has `held`: it closes with the process, however that ends
        forked = can_be_forked(argv, environment)
        if forked and not (child := os.fork()):
            client.close()
            become(folder, environment, dict(zip(numbers, files, strict=True)))
            return argv
        for file in (held, *files):
            os.close(file)
        if forked:
            self._clients[client], self._ends[end] = child, client
        else:
            os.close(end)
            client.close()
        return []


def can_be_forked(argv: list[str], environment: dict[str, str]) -> bool:
    """Whether the command is one of ours, and no variable differs that was read as this process started."""
    names = {name for name in {*environment, *os.environ} if name.startswith(READ_AT_START)}
    names -= READ_EACH_TIME | OF_THE_HUB
    is_script = not argv[0].endswith("multifaceted") and argv[1:] and not argv[1].startswith("-")
    is_ours = argv[0].endswith("multifaceted") or bool(is_script)
    return is_ours and all(environment.get(name) == os.environ.get(name) for name in names)


def become(folder: str, environment: dict[str, str], files: dict[int, int]) -> None:
    """Take over the folder, the variables and the files of the client; what it has closed is closed."""
    for target, name in enumerate(("stdin", "stdout", "stderr")):
        if target in files:
            os.dup2(files[target], target)
            os.close(files[target])
        else:
            os.close(target)
            setattr(sys, name, None)
    os.chdir(folder)
    changed = {name for name in OF_THE_HUB if environment.get(name) != os.environ.get(name)}
    os.environ.clear()
    os.environ.update(environment)
    if changed:
        use_hub()


def use_hub() -> None:
    """Let the Hub's clients go by the variables of now, which they read when they were imported."""
    import datasets
    from huggingface_hub import constants

    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    offline = os.environ.get("HF_HUB_OFFLINE", "0") == "1"
    constants.ENDPOINT = datasets.config.HF_ENDPOINT = endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    constants.HF_HUB_DISABLE_XET = os.environ.get("HF_HUB_DISABLE_XET") == "1"
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = offline
    constants.HF_HOME, datasets.config.HF_CACHE_HOME = str(home), str(home)
    constants.HF_HUB_CACHE = constants.HUGGINGFACE_HUB_CACHE = str(home / "hub")
    constants.HF_TOKEN_PATH = str(home / "token")
    datasets.config.HF_DATASETS_CACHE = home / "datasets"
    datasets.config.DOWNLOADED_DATASETS_PATH = home / "datasets/downloads"
    datasets.config.HF_MODULES_CACHE = home / "modules"


def run(argv: list[str]) -> None:
    """Run a command as Python does that has just started."""
    sys.argv = argv if argv[0].endswith("multifaceted") else argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    if sys.argv is argv:
        multifaceted.__main__.main()
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


def end_as_python_does(argv: list[str]) -> NoReturn:
    """Run, then end with all that Python does at the end but to free its memory, which a fork would copy."""
    code: str | int = 1
    try:
        run(argv)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except:  # noqa: E722 - whatever comes, as Python does
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(int(code))


def warm_up() -> None:
    """Read once what every command would read anew: the taxonomy, and the templates that ship."""
    from multifaceted.building.card_template import load_card_template
    from multifaceted.kinds import KINDS
    from multifaceted.prompts.template import load_repair, load_template
    from multifaceted.taxonomy import load_taxonomy

    load_taxonomy()
    load_card_template()
    load_repair()
    for kind in KINDS.values():
        names = [stage.name for stage in kind.stages]
        for number, stage in enumerate(kind.stages):
            load_template(stage.template, variables=stage.list_variables(names[:number]))


if __name__ == "__main__":
    import multifaceted.__main__

    for module in pkgutil.walk_packages(multifaceted.__path__, "multifaceted."):
        if module.name.split(".")[1] not in ("__main__", "builders", "templates"):
            importlib.import_module(module.name)
    warm_up()
    gc.freeze()
    end_as_python_does(Forker(socket.socket(fileno=int(sys.argv[1]))).serve())
