"""What looks like a secret in rows: found in every column, and blotted out for showing."""

from typing import Any

import polars as pl

from multifaceted.secret_formats import NEAR, find_secrets

_MARK = "[a secret]"


def describe_secrets(column: pl.Series) -> pl.Series:
    """Return what kind of secret each value of a column holds, in texts or in lists and maps; else null."""
    is_nested = column.dtype.is_nested()
    if is_nested:
        column = column.to_frame().select(pl.struct(column.name).struct.json_encode()).to_series()
    if column.dtype != pl.String:
        return pl.Series([None] * len(column), dtype=pl.String)
    near = column.str.contains(NEAR).fill_null(value=False)
    found: list[str | None] = [None] * len(column)
    for place in near.arg_true():
        if secrets := find_secrets(column[place], assigned=not is_nested):
            found[place] = secrets[0].kind
    return pl.Series(found, dtype=pl.String)


def mask_secrets(text: str) -> str:
    """Return the text with what looks like a key blotted out, for showing it."""
    end, parts = 0, list[str]()
    for secret in find_secrets(text):
        if secret.start >= end:
            parts += [text[end : secret.start], _MARK]
            end = secret.end
    return "".join([*parts, text[end:]])


def mask_nested(value: Any) -> Any:
    """Return the same of all texts in lists and maps."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {key: mask_nested(inner) for key, inner in value.items()}
    return [mask_nested(inner) for inner in value] if isinstance(value, list) else value
