"""Prints what `.[EXTRA,…]` needs on a Python, for `make wheels`: pip judges markers by the Python it runs on.

python .ci/list_requirements.py 3.14 local,report,dev
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def list_requirements(version: str, extras: list[str]) -> Iterator[str]:
    """Yield the requirements of the project and some extras on one Python, without markers."""
    lines = [
        *PROJECT["dependencies"],
        *(line for name in extras for line in PROJECT["optional-dependencies"][name]),
    ]
    for line in lines:
        wanted = Requirement(line)
        if wanted.name == PROJECT["name"]:
            yield from list_requirements(version, sorted(wanted.extras))
        elif wanted.marker is None or wanted.marker.evaluate({"python_version": version}):
            wanted.marker = None
            yield str(wanted)


if __name__ == "__main__":
    print("\n".join(sorted(set(list_requirements(sys.argv[1], sys.argv[2].split(","))))))
