"""The recipe: everything a run is made from, in one YAML file and one model.

    recipe = load_recipe(Path("recipe.yaml"))
    recipe.model_for("response").name

Relative paths in it are read from the recipe's own folder.
"""

from pathlib import Path
from typing import Annotated, Any, Literal
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

from multifaceted.errors import InputError
from multifaceted.prompts.template import TemplateName
from multifaceted.records import Stage
from multifaceted.yamlfile import HIDDEN, read_yaml


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
StructuredOutput = Literal["json_schema", "json_object", "prompt"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstructionsSpec(_Strict):
    """A JSONL or Parquet file with `prompt`, `id`, `source`, `original_source`; its first `limit` rows."""

    path: Path
    limit: int | None = Field(default=None, ge=1)


class _Sampling(_Strict):
    temperature: Number | None = Field(default=1.0, ge=0)
    top_p: float | None = Field(default=0.9, gt=0, le=1)
    max_tokens: int | None = Field(default=1024, ge=1)
    seeded: bool = True  # send a seed derived from the row; false leaves it out
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    timeout: Number = Field(
        default=300, gt=0
    )  # seconds for one request; waiting in our own queue not counted
    max_attempts: int = Field(default=6, ge=1)
    retry_wait: Number = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there


class LiveModel(_Sampling):
    """A model behind an OpenAI-compatible endpoint. A parameter set to null is not sent."""

    kind: Literal["live"] = "live"
    base_url: Url
    name: str = Field(min_length=1)
    api_key_env: str = ""  # the variable that holds the key; OPENAI_API_KEY for OpenAI's own endpoint
    structured_output: StructuredOutput = "json_schema"

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

    base_url: Url = ""
    name: str = Field(default="", min_length=1)
    api_key_env: str = ""
    structured_output: StructuredOutput = "json_schema"
    temperature: Number | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    seeded: bool = True
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    timeout: Number = Field(default=300, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    retry_wait: Number = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there


class Recipe(_Strict):
    """The one configuration model of a run."""

    name: str = Field(
        default="multifaceted_collection", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96
    )
    seed: int = 7
    instructions: InstructionsSpec
    taxonomy: str = "default"
    templates: dict[TemplateName, Path] = Field(default_factory=dict)
    variants: int = Field(default=3, ge=1, le=100)
    model: ModelSpec
    stages: dict[Stage, StageModel] = Field(default_factory=dict)
    concurrency: int = Field(default=64, ge=1, le=4096)
    shard_rows: int = Field(default=2000, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _expand_local(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("model") == "local":
            return {**data, "model": {"kind": "local"}}
        return data

    def model_for(self, stage: Stage) -> LiveModel | LocalModel:
        """The model of one stage: `model` with what `stages` says of it."""
        override = self.stages.get(stage)
        if override is None:
            return self.model
        return self.model.model_copy(update=override.model_dump(exclude_unset=True))

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
    if problems:
        raise InputError(problems)
    return _rebase(recipe, path.parent)


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
