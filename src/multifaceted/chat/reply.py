"""Reading the raw body of a chat completion: `read_reply(key, body).text`."""

from pydantic import BaseModel, Field, ValidationError

from multifaceted.records import Reply


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _CompletionDetails(BaseModel):
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: _Usage | None = None


def read_reply(key: str, body: str) -> Reply | None:
    """Read a response body; None where it is no chat completion, whatever its HTTP status said."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError:
        return None
    choice, usage = completion.choices[0], completion.usage or _Usage()
    cached, reasoning = usage.prompt_tokens_details, usage.completion_tokens_details
    return Reply(
        key=key,
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "",
        refusal=choice.message.refusal or "",
        model=completion.model or "",
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cached_tokens=cached.cached_tokens or 0 if cached else 0,
        reasoning_tokens=reasoning.reasoning_tokens or 0 if reasoning else 0,
    )
