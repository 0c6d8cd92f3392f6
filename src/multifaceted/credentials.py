"""Secrets: what this process holds of them is blotted out of all that it writes or shows.

Example:
    hold_secret(os.environ["OPENAI_API_KEY"])
    blot("the key sk-abc… is wrong")            # "the key *** is wrong"

A server may echo a key in a reply, a model's name, an error or a header. Each text that comes from outside
goes through `blot` once, before anything is done with it: bodies as they come, errors as they are made.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from multifaceted.secret_formats import is_token

MARK = "***"
SHORTEST = 8  # characters; what is shorter stands in ordinary words too
# What people write where a key is asked for and none is needed; no secrets.
PLACEHOLDERS = frozenset(
    ["empty", "none", "null", "dummy", "placeholder", "password", "not-needed", "no-key-required", "no_key"]
)
# How a key begins, where somebody pastes one in place of a variable's name
_BEGINNINGS = ("sk-", "sk_", "hf_", "gsk_", "xai-", "ghp_", "github_pat_", "AIza", "nvapi-", "pplx-", "r8_")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LONGEST_MIXED = 20  # characters of a name with small letters and digits that is not a key
_NAMES = re.compile(
    r"(?:^|[_-])(?:api[_-]?key|apikey|authorization|bearer|password|passwd|secret|token|access[_-]?key|auth|cookie)$",
    re.IGNORECASE,
)

_held: set[str] = set()  # in every form in which a server may repeat it
_pattern: re.Pattern[str] | None = None


def hold_secret(secret: str) -> None:
    """Have a secret blotted out from now on; placeholders and what is too short are none."""
    global _pattern  # noqa: PLW0603 - there is one process, and what it holds is its own
    secret = secret.strip()
    if len(secret) < SHORTEST or secret.lower() in PLACEHOLDERS or secret.lower().startswith("sk-test"):
        return
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, escaped, escaped.replace("/", "\\/"), quote(secret, safe="")}
    if not forms <= _held:
        _held.update(forms)
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(_held, key=len, reverse=True)))


def blot(text: str) -> str:
    """Return the text without the secrets that this process holds."""
    return text if _pattern is None else _pattern.sub(MARK, text)


def blot_body(text: str) -> str:
    """Return the same of a JSON text, in which any letter may be written as an escape."""
    text = blot(text)
    if _pattern is None or "\\u00" not in text:
        return text
    try:
        plain = json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    return text if blot(plain) == plain else blot(plain)


def blot_file(path: Path) -> None:
    """Blot out secrets in a file of JSON lines; one that holds none is left as it is."""
    with path.open("rb") as file:
        if _pattern is None or all(blot_body(line) == line for line in _decode(file)):
            return
    fresh = path.with_name(f"{path.name}.blotted.tmp")
    with (
        path.open("rb") as file,
        fresh.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out,
    ):
        out.writelines(blot_body(line).rstrip("\n") + "\n" for line in _decode(file))
    fresh.replace(path)


def _decode(file: BinaryIO) -> Iterator[str]:
    return (line.decode("utf-8", "surrogateescape") for line in file)


def hold_headers(headers: Mapping[str, object]) -> None:
    """Hold what is secret in headers that go with requests: keys, tokens, cookies."""
    for name, value in headers.items():
        if isinstance(value, str) and is_secret_name(name):
            hold_secret(value.removeprefix("Bearer ").removeprefix("Basic "))


def is_secret_name(name: str) -> bool:
    """Return whether a header or field of this name holds a secret."""
    return bool(_NAMES.search(name))


def is_variable_name(text: str) -> bool:
    """Return whether a text is the name of an environment variable, and not a key that was pasted there."""
    is_mixed = bool(re.search(r"[a-z]", text)) and bool(re.search(r"\d", text))
    looks_like_key = (
        text.startswith(_BEGINNINGS) or is_token(text) or (is_mixed and len(text) > _LONGEST_MIXED)
    )
    return bool(_VARIABLE.fullmatch(text)) and not looks_like_key
