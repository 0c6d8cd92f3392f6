"""What looks like a secret key in rows: found in every column, and blotted out for showing."""

import re
from typing import Any

import polars as pl

from multifaceted.credentials import TOKENS

_PATTERN = re.compile(TOKENS)


def holds_token(name: str, kind: pl.DataType) -> pl.Expr:
    """Return whether a column holds what looks like a key, in its texts or anywhere in its lists and maps."""
    if kind == pl.String:
        return pl.col(name).str.contains(TOKENS).fill_null(value=False)
    if not kind.is_nested():
        return pl.lit(value=False)
    return pl.struct(name).struct.json_encode().str.contains(TOKENS).fill_null(value=False)


def mask_secrets(text: str) -> str:
    """Return the text with what looks like a key blotted out, for showing it."""
    return _PATTERN.sub("[a secret]", text)


def mask_nested(value: Any) -> Any:
    """Return the same of all texts in lists and maps."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {key: mask_nested(inner) for key, inner in value.items()}
    return [mask_nested(inner) for inner in value] if isinstance(value, list) else value
