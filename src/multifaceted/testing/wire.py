"""What the handlers share: refusals and pages of lists as HTTP answers, and new ids.

Example:
    return refuse(404, f"No such File object: {file_id}", param="id")
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from multifaceted.testing.replies import Answer, describe_error


def new_id(prefix: str) -> str:
    """An id that no other server gives: a client that comes back to a new one must not find an old batch."""
    return f"{prefix}{uuid.uuid4().hex}"


def send(answer: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer over HTTP; its own headers win over `headers`."""
    sent = {**(headers or {}), **answer.headers}
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, headers=sent)
    return web.json_response(answer.body, status=answer.status, headers=sent)


def refuse(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in OpenAI's shape."""
    return send(Answer(status, describe_error(message, kind=kind, code=code, param=param)), headers)


def fail(status: int = 500, headers: Mapping[str, str] | None = None) -> web.Response:
    """The error of a server that was told to misbehave."""
    return refuse(status, "the server misbehaves on demand", kind="server_error", headers=headers)


def send_page(
    objects: Sequence[dict[str, Any]], query: Mapping[str, str], *, usual: int, most: int
) -> web.Response:
    """A page of `objects`, as `limit` and `after` in the query ask.

    Args:
        objects: all of them, in the order of the list.
        query: of the request.
        usual: size of a page where the query names none.
        most: the largest size that may be asked for.
    """
    ids = [entry["id"] for entry in objects]
    limit, after = int(query.get("limit", usual)), query.get("after")
    if not 1 <= limit <= most:
        return refuse(400, f"Invalid 'limit': {limit} is not between 1 and {most}.", param="limit")
    if after is not None and after not in ids:
        return refuse(400, f"Invalid 'after': there is no {after}.", param="after")
    start = 0 if after is None else ids.index(after) + 1
    page = list(objects[start : start + limit])
    return web.json_response(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + limit < len(objects),
        }
    )
