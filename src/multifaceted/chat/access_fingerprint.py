"""Under which configuration a model is asked: `fingerprint_access(model)` differs where endpoint or key does.

A failure keeps it, so that rows which an endpoint refused are asked again once something has been mended. Of
a key it holds sixteen bits of a hash: enough to see that it is another one, too little to find it out.
"""

import hashlib
import os

from multifaceted.chat.factory import name_key_variable
from multifaceted.ids import content_id
from multifaceted.models import EndpointSpec, Model

KEY_DIGITS = 4  # hexadecimal


def fingerprint_access(model: Model) -> str:
    """What requests to a model are refused under, beside what makes other rows: endpoints, keys, length."""
    served = [[spec.base_url, _hint_at_key(spec)] for spec in model.served_at]
    return content_id(["asked with", served, model.max_tokens], length=16)


def _hint_at_key(endpoint: EndpointSpec) -> str:
    key = os.environ.get(name_key_variable(endpoint), "")
    salted = f"{endpoint.base_url}\n{key}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(salted).hexdigest()[:KEY_DIGITS] if key else ""
