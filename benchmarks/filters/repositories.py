"""Public repositories whose data the filters are measured on; nothing of them is kept here.

python benchmarks/filters/measure.py --data DIR --clone    # once: clones them bare, without large files
read("paul-rottger/exaggerated-safety", "xstest_prompts.csv")
"""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Repository to the commit that the figures were measured on, and the licence of its data.
REPOSITORIES = {
    "IvAnastasia/Multilingual-Refusal": ("9478fc0900582aa0dc867ab567d026d889fcd730", "Apache-2.0"),
    "Marker-Inc-Korea/K-OverRefusal": ("f39bed8748348b76a1a64a730c8089bdb7cd7d1b", "MIT"),
    "gitleaks/gitleaks": ("b58d3f102cf3a2c84cb7f923d05c25c9b1aed84b", "MIT"),
    "hiyouga/LLaMA-Factory": ("ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30", "Apache-2.0"),
    "kunishou/do-not-answer-ja": ("1380ff2ff5abad07e8aead79caa9757bb8d9f866", "Apache-2.0"),
    "lm-sys/FastChat": ("0e6d3e4beaab66f4d3f93db72541a4abab8af28d", "Apache-2.0"),
    "meta-llama/PurpleLlama": ("4be64c3a24442b51c76175e6ec67722cc3f5fe38", "MIT"),
    "microsoft/presidio": ("0aa9f8e44275cb52c00fbbebe19168e934e1f076", "MIT"),
    "paul-rottger/exaggerated-safety": ("d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d", "CC-BY-4.0"),
    "praetorian-inc/noseyparker": ("2e6e7f36ce36619852532bbe698d8cb7a26d2da7", "Apache-2.0"),
    "yizhongw/self-instruct": ("0b26ccaa415992100fa32df62d41b994cf928e23", "Apache-2.0"),
    "tatsu-lab/alpaca_eval": ("cd543a149df89434d8a54582c0151c0b945c3d20", "Apache-2.0"),
    "trufflesecurity/trufflehog": ("3ab759fef4bb5935d4fe9ac68b503d05346b8364", "AGPL-3.0"),
}
_place = Path("filter-data")


def use_folder(folder: Path) -> None:
    """Read from the clones in a folder from now on."""
    global _place  # noqa: PLW0603 - one command, one folder
    _place = folder


def clone_missing() -> None:
    """Clone what is not there: bare, and blobs only as they are read."""
    for name in REPOSITORIES:
        if not _folder(name).exists():
            url = f"https://github.com/{name}"
            command = ["git", "clone", "--bare", "--filter=blob:none", url, str(_folder(name))]
            subprocess.run(command, check=True)


def list_files(name: str, under: str = "") -> list[str]:
    """List the files of a repository."""
    return (
        _git(name, "ls-tree", "-r", "--name-only", REPOSITORIES[name][0], under or ".").decode().split("\n")
    )


@cache
def read(name: str, path: str) -> str:
    """Return the text of a file."""
    return _git(name, "show", f"{REPOSITORIES[name][0]}:{path}").decode("utf-8", "replace")


def read_csv(name: str, path: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file."""
    csv.field_size_limit(1 << 30)
    return csv.DictReader(io.StringIO(read(name, path)))


def read_lines(name: str, path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON Lines file."""
    return (json.loads(line) for line in read(name, path).split("\n") if line.strip())


def _folder(name: str) -> Path:
    return _place / f"{name.replace('/', '+')}.git"


def _git(name: str, *arguments: str) -> bytes:
    command = ["git", "-C", str(_folder(name)), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout
