"""Whom connections trust: `open_trust()`, one TLS context for all clients of a process.

Reading the certificates takes 20 ms, as long as a short run against a server nearby.
"""

import os
import ssl
from functools import cache

import httpx2


def open_trust() -> ssl.SSLContext:
    """Return the context that the SDK would make, by what the environment says of certificates now."""
    return _make_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _make_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    del file, folder  # httpx reads them itself; here they tell one context from another
    return httpx2.create_ssl_context()
