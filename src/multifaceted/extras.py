"""Libraries that only an extra of this package brings, and the command that brings them here."""

import importlib
import json
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from multifaceted.errors import SetupError

_NAME = "multifaceted"


def import_extra(library: str, extra: str, need: str) -> Any:
    """Import a library that only an extra of this package brings; `need` says what needs it.

    Raises:
        SetupError: where it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        missing = (error.name or library).partition(".")[0].replace("_", "-")
        message = f"{need} needs {missing}, which is not installed"
        raise SetupError(message, hint=f"install it with: {install_command(extra)}") from error


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this very installation: a checkout is on no registry."""
    words = [sys.executable, "-m", "pip", "install"]
    url, editable = _find_origin()
    if url.startswith("file:"):
        folder = Path(unquote(urlsplit(url).path))
        words += [*(["--editable"] if editable else []), f"{folder}[{extra}]"]
    else:
        words.append(f"{_NAME}[{extra}] @ {url}" if url else f"{_NAME}[{extra}]")
    return shlex.join(words)


def _find_origin() -> tuple[str, bool]:
    """From where this package was installed, and whether as a checkout one edits; empty: from a registry."""
    try:
        # What pip writes down, by https://packaging.python.org/en/latest/specifications/direct-url/.
        found = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
        return str(found.get("url", "")), bool(found.get("dir_info", {}).get("editable"))
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return "", False
