"""What the handlers share: answers, refusals and pages of lists over HTTP, and new ids.

Example:
    return refuse(404, f"No such File object: {file_id}", param="id")
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from multifaceted.testing.replies import Answer, Completion, describe_error


def new_id(prefix: str) -> str:
    """An id that no other server gives: a client that comes back to a new one must not find an old batch."""
    return f"{prefix}{uuid.uuid4().hex}"


def send(answer: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer over HTTP; its own headers win over `headers`."""
    text, content_type = _write(answer)
    sent = {**(headers or {}), **answer.headers}
    return web.Response(status=answer.status, text=text, content_type=content_type, headers=sent)


def _write(answer: Answer) -> tuple[str, str]:
    if answer.events:
        return write_events(answer.body), "text/event-stream"
    if not isinstance(answer.body, str):
        return answer.preamble + json.dumps(answer.body), "application/json"
    return answer.body, "text/html" if answer.body.startswith("<!DOCTYPE") else "text/plain"


def write_events(completion: Completion) -> str:
    """Return a completion as server-sent events: the text in two pieces, then the ending, then the usage."""
    shared = {**completion, "object": "chat.completion.chunk"}
    choice, usage = completion["choices"][0], shared.pop("usage", None)
    message = choice["message"]
    content = message.get("content") or ""
    half = len(content) // 2
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    deltas = [{"role": message["role"], "content": content[:half]}, {**rest, "content": content[half:]}]
    ended = {name: value for name, value in choice.items() if name != "message"}
    chunks = [
        {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks += [{**shared, "choices": [{**ended, "delta": {}}]}, {**shared, "choices": [], "usage": usage}]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def refuse(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an error in OpenAI's shape."""
    return send(Answer(status, describe_error(message, kind=kind, code=code, param=param)), headers)


def fail(status: int = 500, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the error of a server that was told to misbehave."""
    return refuse(status, "the server misbehaves on demand", kind="server_error", headers=headers)


def send_page(
    objects: Sequence[dict[str, Any]], query: Mapping[str, str], *, usual: int, most: int
) -> web.Response:
    """Return a page of `objects`, as `limit` and `after` in the query ask.

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
