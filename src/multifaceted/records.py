"""The frozen shapes that travel between stages: `Instruction` → `RowTask` → `Request` → `Reply` → `Row`."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from multifaceted.errors import FailureKind
from multifaceted.ids import content_id
from multifaceted.strictmodel import StrictModel
from multifaceted.taxonomy import PreferenceSet


class Instruction(BaseModel):
    """One instruction of the pool. Its id is unique in the run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    prompt: str
    source: str = ""
    original_source: str = ""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)  # further fields, as far as they are read


@dataclass(frozen=True, slots=True)
class RowTask:
    """One row to make: an instruction with one of its sampled preference sets."""

    instruction: Instruction
    variant: int  # 1-based
    sampled: PreferenceSet
    seed: int  # of this row; every request of the row derives its own from it

    @property
    def id(self) -> str:
        """Return the row's id, the same in every published config."""
        return f"{self.instruction.id}-v{self.variant}"


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


# What a finish reason says of a reply: "broken" where the endpoint stopped in the middle of it, "unknown"
# where the reason is none that we know, which counts as cut.
Ending = Literal["whole", "cut", "filtered", "broken", "unknown"]


@dataclass(frozen=True)
class Request:
    """A chat request as its customer means it, before it is fitted to an endpoint.

    The label says who asks, such as a stage: models, budget and spending go by it. The key is made of
    everything that can change the reply. Left out, because they cannot: the label, the row's id (the seed
    carries them), who states a parameter, how the reply is read, base URL, API key, timeout, concurrency,
    how an endpoint wants a parameter spelled, and `max_tokens`, which only cuts: a reply that was cut is told
    by itself.
    """

    label: str
    row_id: str
    model: str
    messages: tuple[Message, ...]
    parameters: dict[str, Any]  # sampling parameters, seed and extra body, as the recipe gives them
    schema: dict[str, Any] | None = None  # JSON Schema of the reply; None asks for free text
    structured_output: str = ""
    whole_endings: tuple[str, ...] = ()  # finish reasons of whole replies, beside those that are known
    inline_reasoning: bool = False  # leave thoughts in the text, where the model wrote them
    stated: frozenset[str] = frozenset()  # parameters that the recipe itself states; others are our defaults

    @property
    def max_tokens(self) -> int | None:
        """At how many tokens the reply is cut; None where nothing is said."""
        found = self.parameters.get("max_tokens")
        return found if isinstance(found, int) else None

    @property
    def characters(self) -> int:
        """Length of all messages."""
        return sum(len(message.content) for message in self.messages)

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) that finds this request's reply in the journal."""
        return content_id(
            [
                "request",
                self.model,
                [[message.role, message.content] for message in self.messages],
                {name: value for name, value in self.parameters.items() if name != "max_tokens"},
                self.schema,
                self.structured_output if self.schema else "",
            ]
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered, read from the raw body that the journal keeps."""

    key: str
    text: str  # the answer, without the thoughts before it
    finish_reason: str
    refusal: str
    model: str  # as the endpoint names it, often more exact than what was asked for
    prompt_tokens: int = 0  # 0 where nobody knows
    completion_tokens: int = 0
    cached_tokens: int = 0  # of the prompt, where the endpoint reports them
    reasoning_tokens: int = 0  # of the completion, the same
    reasoning: str = ""  # the model's thoughts, where the endpoint hands them over
    ending: Ending = "whole"
    is_counted: bool = False  # whether the endpoint says how many tokens it took

    @property
    def is_cut(self) -> bool:
        """Whether it ends at `max_tokens`, where the model's context does, or for an unknown reason."""
        return self.ending in ("cut", "unknown")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row failed."""

    id: str
    kind: FailureKind
    stage: str
    message: str
    request_key: str
    retryable: bool  # whether running again can help without changing anything
    cut_at: int | None = None  # the `max_tokens` that cut the reply; asking with more can help
    # Of a request that was refused: what tells the configuration that it was refused under from another one
    asked_with: str = ""


class PreferenceEntry(StrictModel):
    """One specified preference of a row, as the original dataset has it."""

    dimension: str = Field(description="the dimension's slug in the taxonomy")
    subdimension: str = Field(description="as the model kept it from the taxonomy, or coined it")
    preference: str = Field(description="as the model kept it from the taxonomy, or coined it")
    description: str = Field(description="what the reader wants of an answer to this instruction")


class ScoreDescriptions(StrictModel):
    """What a response is like that gets each score; the original dataset names the fields by the scores."""

    model_config = ConfigDict(serialize_by_alias=True)

    score1: str = Field(alias="1", description="the lowest: the preference is missed")
    score2: str = Field(alias="2", description="between 1 and 3")
    score3: str = Field(alias="3", description="the preference is met in part")
    score4: str = Field(alias="4", description="between 3 and 5")
    score5: str = Field(alias="5", description="the highest: the preference is met")


class Rubric(StrictModel):
    """How to judge whether a response honors one preference, as the original bench has it."""

    criteria: str = Field(description="the question that a judge puts to an answer")
    score_descriptions: ScoreDescriptions = Field(description="what an answer is like that gets each score")


class TokenCount(StrictModel):
    """Tokens of one request as the endpoint reports them; 0 where it does not."""

    prompt: int = Field(description="tokens of the prompts, all turns of the stage together")
    completion: int = Field(description="tokens of the replies, all turns of the stage together")


class StageRecord(StrictModel):
    """How one stage of a row was made."""

    model: str = Field(
        description="as the endpoint names it, else as the recipe does; file name and hash of local weights"
    )
    request_key: str = Field(
        description="finds the reply in the run's journal; that of the repair turn where there was one"
    )
    template: str = Field(description="SHA-256 of the stage's template")
    tokens: TokenCount = Field(description="as the endpoint counts them; 0 where it does not say")
    reasoning: str = Field(
        default="", description="the model's thoughts before it answered, where the recipe keeps them"
    )


class Row(StrictModel):
    """One finished row with its provenance; the run's shards hold these.

    What further stages add, and the fields of instructions that a recipe keeps, come after these fields: see
    `stages.rows`.
    """

    id: str
    instruction_id: str
    variant: int
    main_source: str
    original_source: str
    preference_set: list[PreferenceEntry]
    system: str
    prompt: str
    output: str
    seed: int
    seed_preferences: list[str]
    taxonomy_version: str
    taxonomy_fingerprint: str
    preferences: StageRecord
    system_message: StageRecord
    response: StageRecord


@dataclass(slots=True)
class Tally:
    """Running counts of a run, for people to look at."""

    planned: int = 0
    ok: int = 0
    failed: int = 0
    requests: int = 0  # answered in this session
    # Of this session and of those before it, as what they cost; replies of unknown cost count nothing there.
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0  # replies of this session that have no known cost
    failures: Counter[str] = field(default_factory=Counter)  # kind → rows
    retries: Counter[str] = field(default_factory=Counter)  # kind → requests that are asked again

    @property
    def done(self) -> int:
        """Finished rows, ok or not."""
        return self.ok + self.failed

    def count_row(self, made: Row | Failure) -> None:
        """Count one finished row."""
        if isinstance(made, Row):
            self.ok += 1
        else:
            self.failed += 1
            self.failures[made.kind] += 1

    def count_reply(self, reply: Reply | None, usd: float | None) -> None:
        """Count one reply that was asked for in this session; None where its body was no reply."""
        self.requests += 1
        self.usd += usd or 0.0
        if reply is not None:
            self.unpriced += usd is None
            self.prompt_tokens += reply.prompt_tokens
            self.completion_tokens += reply.completion_tokens
