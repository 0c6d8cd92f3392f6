"""Field types that parts of a recipe share: numbers that are numbers, URLs that hold no secret."""

import json
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from multifaceted.credentials import is_secret_name, is_variable_name
from multifaceted.secret_formats import is_token
from multifaceted.yamlfile import HIDDEN


def _check_url(url: str) -> str:
    """No password and no query: a URL stands in logs and manifests, a key belongs in api_key_env."""
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, or an address that is none
        is_whole = False
    if not is_whole or not url.isprintable() or " " in url:
        raise PydanticCustomError(
            HIDDEN,
            "must begin with http:// or https:// and a host; a port is a number; no blanks",
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise PydanticCustomError(
            HIDDEN, "must hold no user, password or query; a key belongs in api_key_env"
        )
    return url


def _check_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("holds nan or inf, which JSON cannot write") from error
    if where := _find_secret(value):
        raise PydanticCustomError(
            HIDDEN, "{where} holds what looks like a secret key; keys belong in api_key_env", {"where": where}
        )
    return value


def _find_secret(value: JsonValue, name: str = "") -> str:
    """Under which name a key stands; the recipe is written into the run and its manifest."""
    if isinstance(value, str):
        is_secret = is_token(value) or (is_secret_name(name) and bool(value))
        return (name or "it") if is_secret else ""
    inner = value.items() if isinstance(value, dict) else ()
    items = ((name, item) for item in value) if isinstance(value, list) else inner
    return next((found for key, item in items if (found := _find_secret(item, key))), "")


def _check_variable(name: str) -> str:
    if name and not is_variable_name(name):
        raise PydanticCustomError(
            HIDDEN, "must be the name of the environment variable that holds the key, such as OPENAI_API_KEY"
        )
    return name


JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_check_json)]
Variable = Annotated[str, AfterValidator(_check_variable)]
Url = Annotated[str, AfterValidator(_check_url)]
Number = Annotated[float, Field(allow_inf_nan=False)]
