"""Canonical JSON and the ids made from it: `content_id({"b": 1, "a": 2})` ignores key order.

What a fingerprint is made of is decided where it is made; what is left out is listed there.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Inside strings only: JSON escapes all other characters that end a line by itself.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
SCHEME = "mf1"  # goes into every digest; raise it when the meaning of a fingerprinted value changes


def canonical_json(value: Any) -> str:
    """Serialize with sorted keys and no spaces, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_line(value: Any) -> str:
    """Serialize to one line of JSON lines, for readers that end a line wherever Unicode does, too."""
    return json.dumps(value, ensure_ascii=False).translate(_LINE_ENDS) + "\n"


def content_id(value: Any, *, length: int = 64) -> str:
    """Hex SHA-256 over the scheme and the canonical JSON of `value`, cut to `length` characters."""
    # A lone surrogate (JSON allows "\ud800") has no UTF-8 form of its own; it must not stop a run.
    text = f"{SCHEME}\n{canonical_json(value)}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:length]


def name_prompt(prompt: str) -> str:
    """Return the id of an instruction that has none of its own: the same prompt has it wherever it stands."""
    return f"i{content_id(['instruction', prompt], length=16)}"


def hash_text(text: str) -> str:
    """Hex SHA-256 of `text` alone, as `sha256sum` of a UTF-8 file would print it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def rank_digest(key: str) -> Callable[[str], bytes]:
    """A function that gives each text its digest under `key`: sorting by it is a shuffle that repeats."""
    base = hashlib.sha256(f"{SCHEME}\n{key}\n".encode("utf-8", "surrogatepass"))

    def digest(text: str) -> bytes:
        ranked = base.copy()
        ranked.update(text.encode("utf-8", "surrogatepass"))
        return ranked.digest()

    return digest


def hash_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_stream(parts: Iterable[Any]) -> str:
    """Hex SHA-256 over the canonical JSON of each part in turn; the parts are never held together."""
    digest = hashlib.sha256(SCHEME.encode())
    for part in parts:
        digest.update(b"\n" + canonical_json(part).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def seed_from(*parts: str | int) -> int:
    """Return a 31-bit seed from `parts`: the same in any process, and positive for every known endpoint."""
    return int(content_id(list(parts), length=8), 16) & 0x7FFF_FFFF
