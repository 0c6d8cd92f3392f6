"""What can go wrong on demand: `Fault` for one request, `BatchFault` for one batch, `HubFault` for the Hub.

Example:
    ChatServer(batch_fault=lambda number, body: BatchFault(expired_after=3) if number == 0 else None)
"""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Fault:
    """One way of misbehaving, in the words and shapes of the server's personality. Ways may be combined.

    The default `status` of 200 sends `text` as if it were a completion.

    Args:
        status: HTTP status; of an error, also the code that some personalities put into its body.
        text: the whole body; None: a fitting error, or the ordinary reply.
        headers: sent with the answer.
        content: replaces the text of the reply.
        finish_reason: of the reply; None is the personality's own.
        refusal: the reply's refusal field.
        drop: close the connection without an answer.
        hang: seconds of silence first.
        thoughts: of a reasoning model, in `<think>` tags before the text of the reply.
        reasoning: thoughts in a `reasoning_content` field beside the text.
        parts: the text comes as a list of parts, `[{"type": "text", "text": …}]`.
        usage: replaces the reply's usage, whatever it holds; "absent" leaves the field out.
        choice_error: an `error` field in the choice, as OpenRouter has for a provider that broke off.
        in_200: the error of `status` comes with HTTP status 200.
        html: the answer is a proxy's HTML page that names `status`.
        sse: the reply comes as server-sent events, though nobody asked for them.
    """

    status: int = 200
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    drop: bool = False
    hang: float = 0.0
    thoughts: str | None = None
    reasoning: str | None = None
    parts: bool = False
    usage: Any = "ordinary"
    choice_error: dict[str, Any] | None = None
    in_200: bool = False
    html: bool = False
    sse: bool = False


@dataclass(frozen=True)
class BatchFault:
    """How one batch misbehaves; the default is a batch as OpenAI serves it. Ways may be combined.

    Lines are named by their position in the input file, counted from 0. A line whose result is spoiled or
    lost was answered all the same, and paid for.

    Args:
        order: of the lines of result files. OpenAI promises none, so the default is not the input's.
        failed_with: error code of a batch that fails at validation, such as `token_limit_exceeded`.
        expired_after: lines answered before the batch expires; the others go to the error file, as
            `batch_expired` with no response.
        cancelled_after: lines answered before the batch is cancelled, by itself or by the client; the
            others are in no file.
        line_status: HTTP status that every line fails with in a batch that is `completed`.
        missing: lines whose result is in no file.
        duplicated: lines whose result is there twice.
        garbled: lines whose result is cut in half, and so is not JSON.
        renamed: lines whose result comes under a `custom_id` that nobody asked for.
        poll_errors: answers 500 to `GET /batches/{id}` before the first good one.
        create_errors: answers `create_status` to `POST /batches` before the first good one. Each POST of
            the same input file counts as the next try.
        create_status: see `create_errors`.
        create_anyway: each of the `create_errors` has created a batch, though its answer does not say so.
        content_errors: answers `content_status` to a request for the output file's content before the first
            good one.
        content_status: see `content_errors`; such as 404 or 425 for a file that is not ready.
        content_empty: after those, answers of status 200 that hold nothing.
        content_drops: after those, connections that break in the middle of the output file's content.
        content_cuts: after those, answers that end in the middle as if they were whole, with no length given.
        short_output: lines that the output file lacks at its end, for as many requests as `short_for` says.
        short_for: requests for its content, None for all.
        output_late: polls that say `completed`, or another end, while `output_file_id` is still null.
        error_late: the same for `error_file_id`.
        stuck_in: a status that is told for ever in place of the end, such as `finalizing`.
        counts: how requests are counted: `right`; `absent`, no `request_counts` at all; `null`, three nulls;
            `zero`, none completed or failed; `behind`, half of them, for as many polls as `counts_behind`
            says after the end.
        counts_behind: see `counts`.
        batch_style: names of states and fields: as `openai`, `together` (states in capitals, no counts) or
            `mistral` (`SUCCESS`, `output_file`, `succeeded_requests`) write them.
        line_style: how each line of a result file is written: as `openai` does; `text_body`, the body as a
            text of JSON; `text_status`, the status as a text; `no_status`; `bare`, the body in place of the
            response, as Fireworks does; `text_error`, an error as a text; `windows`, with a byte order mark
            and CRLF; `array`, all lines as one JSON array.
    """

    order: Literal["reversed", "shuffled", "kept"] = "reversed"
    failed_with: str | None = None
    expired_after: int | None = None
    cancelled_after: int | None = None
    line_status: int | None = None
    missing: tuple[int, ...] = ()
    duplicated: tuple[int, ...] = ()
    garbled: tuple[int, ...] = ()
    renamed: tuple[int, ...] = ()
    poll_errors: int = 0
    create_errors: int = 0
    create_status: int = 500
    create_anyway: bool = False
    content_errors: int = 0
    content_status: int = 500
    content_empty: int = 0
    content_drops: int = 0
    content_cuts: int = 0
    short_output: int = 0
    short_for: int | None = None
    output_late: int = 0
    error_late: int = 0
    stuck_in: str | None = None
    counts: Literal["right", "absent", "null", "zero", "behind"] = "right"
    counts_behind: int = 0
    batch_style: Literal["openai", "together", "mistral"] = "openai"
    line_style: Literal[
        "openai", "text_body", "text_status", "no_status", "bare", "text_error", "windows", "array"
    ] = "openai"


@dataclass(frozen=True)
class HubFault:
    """How one request to a `HubServer` goes wrong; the default is that it does not.

    Args:
        status: of the answer, such as 412, 500 or 503; None is the ordinary answer.
        message: in that answer.
        headers: of that answer.
        drop: close the connection without an answer.
        cut: close the connection in the middle of the answer's body.
        afterwards: do what was asked before `status` or `drop`: a commit that is made, whose answer is lost.
    """

    status: int | None = None
    message: str = "the hub misbehaves on demand"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: bool = False
    afterwards: bool = False
