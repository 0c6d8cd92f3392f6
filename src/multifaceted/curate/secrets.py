"""What looks like a secret key; `check` and the curation filters look for the same."""

import re
from typing import Any

# Keys as their issuers make them; texts about keys show shorter ones.
SECRETS = (
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}|\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bxox[abpr]-[A-Za-z0-9-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_PATTERN = re.compile(SECRETS)


def mask_secrets(text: str) -> str:
    """The text with what looks like a key blotted out, for showing it."""
    return _PATTERN.sub("[a secret]", text)


def mask_nested(value: Any) -> Any:
    """The same of all texts in lists and maps."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {key: mask_nested(inner) for key, inner in value.items()}
    return [mask_nested(inner) for inner in value] if isinstance(value, list) else value
