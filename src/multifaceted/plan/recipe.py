"""The recipe: everything a run is made from, in one YAML file and one model.

    recipe = load_recipe(Path("recipe.yaml"))
    recipe.model_for("response").name

Relative paths in it are read from the recipe's own folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from multifaceted.errors import InputError, Problem
from multifaceted.kinds import KINDS, Kind, KindName
from multifaceted.prompts.stages import STAGE_TEMPLATES
from multifaceted.prompts.template import TemplateName
from multifaceted.records import STAGES, Stage
from multifaceted.yamlfile import HIDDEN, YamlDocument, read_yaml


def _check_url(url: str) -> str:
    """No password and no query: a URL stands in logs and manifests, a key belongs in api_key_env."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError(HIDDEN, "must begin with http:// or https:// and a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise PydanticCustomError(
            HIDDEN, "must hold no user, password or query; a key belongs in api_key_env"
        )
    return url


Url = Annotated[str, AfterValidator(_check_url)]
Number = Annotated[float, Field(allow_inf_nan=False)]
StopAfter = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1)] | None,
    Field(union_mode="left_to_right"),
]
# Identifiers as the Hub has them, such as cc-by-4.0; and the license of a source, in any few words.
LicenseId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=64)]
LicenseName = Annotated[str, Field(pattern=r"^\S[^\r\n]*$", max_length=200)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]  # ISO 639
StructuredOutput = Literal["json_schema", "json_object", "prompt"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstructionsSpec(_Strict):
    """A JSONL or Parquet file with `prompt`, `id`, `source`, `original_source`; its first `limit` rows."""

    path: Path
    limit: int | None = Field(default=None, ge=1)
    licenses: dict[str, LicenseName] = Field(default_factory=dict)  # by `source`; told in the card


class _Sampling(_Strict):
    temperature: Number | None = Field(default=1.0, ge=0)
    top_p: float | None = Field(default=0.9, gt=0, le=1)
    max_tokens: int | None = Field(default=1024, ge=1)
    seeded: bool = True  # send a seed derived from the row; false leaves it out
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    timeout: Number = Field(default=300, gt=0)  # seconds for one request, from when it is sent
    max_attempts: int = Field(default=6, ge=1)  # of one request; those that meet a rate limit do not count
    retry_wait: Number = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there
    max_retry_time: Number = Field(default=3600, gt=0)  # seconds; the same exception

    def parameters(self, seed: int) -> dict[str, Any]:
        """What goes into a request beside model, messages and schema; null is not sent."""
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        parameters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.seeded:
            parameters["seed"] = seed
        if self.extra_body:
            parameters["extra_body"] = self.extra_body
        return parameters


class PriceSpec(_Strict):
    """Prices of one's own, in USD per million tokens, in place of the table's."""

    input: Number = Field(ge=0)
    output: Number = Field(ge=0)
    cached_input: Number | None = Field(default=None, ge=0)  # null: as `input`
    batch_factor: Number | None = Field(default=None, ge=0)  # share of these that the Batch API costs


class EndpointSpec(_Strict):
    """One place where a model is served, with its own key and limits."""

    base_url: Url
    api_key_env: str = ""  # the variable that holds the key; OPENAI_API_KEY for OpenAI's own endpoint
    concurrency: int | None = Field(default=None, ge=1, le=4096)  # null: the recipe's
    requests_per_minute: Number | None = Field(default=None, gt=0)
    tokens_per_minute: Number | None = Field(default=None, gt=0)  # prompt and reply together


# What stands with each of the endpoints, and beside `endpoints` would not be heeded.
OF_ONE_PLACE = frozenset({"api_key_env", "requests_per_minute", "tokens_per_minute"})


class LiveModel(_Sampling):
    """A model behind OpenAI-compatible endpoints. A parameter set to null is not sent."""

    kind: Literal["live"] = "live"
    name: str = Field(min_length=1)
    base_url: Url = ""
    api_key_env: str = ""
    requests_per_minute: Number | None = Field(default=None, gt=0)
    tokens_per_minute: Number | None = Field(default=None, gt=0)
    endpoints: tuple[EndpointSpec, ...] = ()  # in place of `base_url`: requests are spread over them
    structured_output: StructuredOutput = "json_schema"
    prices: PriceSpec | None = None

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        alone = self.model_fields_set & OF_ONE_PLACE
        if bool(self.base_url) == bool(self.endpoints):
            raise ValueError("needs either base_url or endpoints")
        if self.endpoints and alone:
            raise ValueError(f"{', '.join(sorted(alone))} belong to each of the endpoints")
        return self

    @property
    def places(self) -> tuple[EndpointSpec, ...]:
        """Where the model is served: the endpoints, or the one base URL."""
        shared = {name: getattr(self, name) for name in EndpointSpec.model_fields if name != "concurrency"}
        return self.endpoints or (EndpointSpec(**shared),)

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs of all places."""
        return tuple(place.base_url for place in self.places)

    @property
    def small(self) -> bool:
        """Whether the model needs short prompts; one behind an endpoint does not."""
        return False


class LocalModel(_Sampling):
    """The embedded model: llama.cpp in a child process, with the given weights or the built-in ones.

    The sampling defaults were chosen by trial with the built-in weights, which repeat themselves without
    end at the usual ones. Without the prompt cache, equal requests get equal replies in any order.
    """

    kind: Literal["local"] = "local"
    weights: str = "builtin"  # `builtin`, a path to a GGUF file, or `hf:org/repo/file.gguf`
    threads: int | None = Field(default=None, ge=1)  # None: one less than there are cores
    context: int = Field(default=8192, ge=512)  # tokens
    structured_output: StructuredOutput = "json_schema"
    temperature: Number | None = Field(default=0.6, ge=0)
    extra_body: dict[str, JsonValue] = Field(
        default={"cache_prompt": False, "frequency_penalty": 0.3, "repeat_last_n": 256}
    )

    @property
    def small(self) -> bool:
        """Whether the model needs short prompts, and what is known already fixed in the schema."""
        return self.weights == "builtin"


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("kind") or ("local" if "weights" in value else "live"))
    return str(getattr(value, "kind", "live"))


ModelSpec = Annotated[
    Annotated[LiveModel, Tag("live")] | Annotated[LocalModel, Tag("local")], Discriminator(_kind_of)
]


class StageModel(_Strict):
    """What one stage does differently; what is left out is as in `model`."""

    name: str = Field(default="", min_length=1)
    base_url: Url = ""
    api_key_env: str = ""
    requests_per_minute: Number | None = Field(default=None, gt=0)
    tokens_per_minute: Number | None = Field(default=None, gt=0)
    endpoints: tuple[EndpointSpec, ...] = ()
    prices: PriceSpec | None = None
    structured_output: StructuredOutput = "json_schema"
    temperature: Number | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    seeded: bool = True
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    timeout: Number = Field(default=300, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    retry_wait: Number = Field(default=0.5, gt=0)
    max_retry_time: Number = Field(default=3600, gt=0)

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        moves = self.model_fields_set & {"base_url", "endpoints"}
        if moves and bool(self.base_url) == bool(self.endpoints):
            raise ValueError("takes either base_url or endpoints")
        return self

    def update(self, model: LiveModel | LocalModel) -> dict[str, Any]:
        """What of a model this changes.

        Another place takes nothing over from the former one, and another name no prices.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        fresh: set[str] = set()
        if given.keys() & {"base_url", "endpoints"}:
            fresh |= {"base_url", "endpoints", *OF_ONE_PLACE}
        if isinstance(model, LiveModel) and self.name not in ("", model.name):
            fresh.add("prices")
        return {**{name: LiveModel.model_fields[name].default for name in fresh}, **given}


class BatchSpec(_Strict):
    """How requests are sent through the Batch API."""

    poll_seconds: Number = Field(default=30, gt=0)
    completion_window: str = "24h"
    max_requests: int = Field(default=50_000, ge=1, le=50_000)  # of one batch, as OpenAI allows
    max_bytes: int = Field(default=200_000_000, ge=1000, le=200_000_000)  # of its file, the same


class BudgetSpec(_Strict):
    """What a run may cost, all its starts together."""

    max_usd: Number = Field(gt=0)


def _kind_in(given: Mapping[str, Any]) -> Kind:
    """The kind among the fields that were found sound so far."""
    return KINDS[given.get("kind", "collection")]


class Recipe(_Strict):
    """The one configuration model of a run."""

    kind: KindName = "collection"  # first: other defaults follow from it
    name: str = Field(
        default_factory=lambda given: _kind_in(given).title,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=96,
    )
    seed: int = 7
    instructions: InstructionsSpec
    taxonomy: str = "default"
    templates: dict[TemplateName, Path] = Field(default_factory=dict)
    variants: int = Field(default_factory=lambda given: _kind_in(given).variants, ge=1, le=100)
    model: ModelSpec
    stages: dict[Stage, StageModel] = Field(default_factory=dict)
    mode: Literal["live", "batch"] = "live"
    batch: BatchSpec = BatchSpec()
    concurrency: int = Field(default=64, ge=1, le=4096)  # requests in flight at each endpoint
    budget: BudgetSpec | None = None
    # A whole number of rows, or the share of the finished rows (looked at from 100 of them on).
    stop_after_failures: StopAfter = None
    shard_rows: int = Field(default=2000, ge=1)
    license: LicenseId | None = None  # of the collection; this and the languages are told in its card
    language: tuple[LanguageCode, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _expand_local(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("model") == "local":
            return {**data, "model": {"kind": "local"}}
        return data

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        models = [self.model_for(stage) for stage in KINDS[self.kind].stages]
        alone = [isinstance(model, LiveModel) and len(model.places) == 1 for model in models]
        if self.mode == "batch" and not all(alone):
            raise ValueError("mode: batch takes models behind one endpoint each")
        return self

    def model_for(self, stage: Stage) -> LiveModel | LocalModel:
        """The model of one stage: `model` with what `stages` says of it."""
        override = self.stages.get(stage)
        if override is None:
            return self.model
        return self.model.model_copy(update=override.update(self.model))

    @property
    def instructions_per_shard(self) -> int:
        """Whole instructions in a shard, so that all variants of one stand in the same shard."""
        return max(1, self.shard_rows // self.variants)


def load_recipe(path: Path) -> Recipe:
    """Load a recipe, its paths made relative to the present folder.

    Raises:
        InputError: with every problem and its line.
    """
    document = read_yaml(path)
    recipe = document.validate(Recipe)
    problems = [
        document.problem(("stages", stage, name), f"the embedded model takes no {name!r}")
        for stage, override in recipe.stages.items()
        for name in override.model_fields_set
        if name not in type(recipe.model).model_fields
    ]
    problems += _find_lost_limits(document, recipe)
    problems += _find_strange_stages(document, recipe)
    if problems:
        raise InputError(problems)
    return _rebase(recipe, path.parent)


def _find_lost_limits(document: YamlDocument, recipe: Recipe) -> Iterator[Problem]:
    """What a stage says of one place, though it has endpoints, its own or those of `model`."""
    for stage, override in recipe.stages.items():
        model = recipe.model_for(stage)
        if isinstance(model, LiveModel) and model.endpoints:
            for name in override.model_fields_set & OF_ONE_PLACE:
                yield document.problem(("stages", stage, name), "belongs to each of the endpoints")


def _find_strange_stages(document: YamlDocument, recipe: Recipe) -> Iterator[Problem]:
    """What is said of stages that a run of this kind has not: it would never be heeded."""
    message = f"a run of kind {recipe.kind!r} has no such stage"
    for stage in STAGES:
        if stage in KINDS[recipe.kind].stages:
            continue
        if stage in recipe.stages:
            yield document.problem(("stages", stage), message)
        if STAGE_TEMPLATES[stage] in recipe.templates:
            yield document.problem(("templates", STAGE_TEMPLATES[stage]), message)


def _rebase(recipe: Recipe, base: Path) -> Recipe:
    """The paths of a recipe are written from its own folder; make them good from the present one."""
    model = recipe.model
    if isinstance(model, LocalModel) and model.weights != "builtin" and not model.weights.startswith("hf:"):
        model = model.model_copy(update={"weights": str(base / model.weights)})
    instructions = recipe.instructions.model_copy(update={"path": base / recipe.instructions.path})
    return recipe.model_copy(
        update={
            "instructions": instructions,
            "model": model,
            "taxonomy": recipe.taxonomy if recipe.taxonomy == "default" else str(base / recipe.taxonomy),
            "templates": {name: base / file for name, file in recipe.templates.items()},
        }
    )
