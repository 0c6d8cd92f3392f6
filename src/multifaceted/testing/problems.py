"""What an endpoint refuses or fails with, before it is written in the endpoint's own shape.

Example:
    describe_openai(Problem(429, "Rate limit reached", kind="requests", code="rate_limit_exceeded"))
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ON_DEMAND = "the server misbehaves on demand"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error.

    Args:
        status: HTTP status, and the code in the body of endpoints that repeat it there.
        message: in the endpoint's words; some endpoints nest more than a sentence.
        kind: the body's `type`.
        code: the body's `code`, where that is not the status.
        param: the parameter at fault.
        extra: further fields of the body, where the endpoint puts them.
        headers: of the answer.
        http: HTTP status, where it is not `status`: 200 for an error inside a 200.
    """

    status: int
    message: Any = ON_DEMAND
    kind: str | None = "invalid_request_error"
    code: str | int | None = None
    param: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    http: int | None = None


def describe_openai(problem: Problem) -> dict[str, Any]:
    """Return OpenAI's body of an error."""
    error = {
        "message": problem.message,
        "type": problem.kind,
        "param": problem.param,
        "code": problem.code,
    }
    return {"error": {**error, **problem.extra}}


def describe_detail(problem: Problem) -> dict[str, Any]:
    """Return the body of a FastAPI application that says no more than it must."""
    return {"detail": problem.message}


def show_page(status: int, title: str) -> str:
    """Return the HTML page that a proxy puts in front of an endpoint."""
    heading = f"{status} {title}"
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en">\n<head><title>api.example.com | {status}: {title}</title></head>\n'
        f"<body><center><h1>{heading}</h1></center><hr></body>\n</html>\n"
    )
