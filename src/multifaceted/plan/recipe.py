"""The recipe: everything a run is made from, in one YAML file and one model.

    recipe = load_recipe(Path("recipe.yaml"))
    recipe.model_for("response").name

Relative paths in it are read from the recipe's own folder.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from multifaceted.errors import InputError
from multifaceted.prompts.template import TemplateName
from multifaceted.records import Stage
from multifaceted.yamlfile import read_yaml

# No `user:password@`: the URL stands in logs and manifests, a key belongs in the variable of api_key_env.
BASE_URL = r"^https?://[^/@\s]+(/\S*)?$"
StructuredOutput = Literal["json_schema", "json_object", "prompt"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstructionsSpec(_Strict):
    """A JSONL or Parquet file with `prompt`, `id`, `source`, `original_source`; its first `limit` rows."""

    path: Path
    limit: int | None = Field(default=None, ge=1)


class _Sampling(_Strict):
    temperature: float | None = Field(default=1.0, ge=0)
    top_p: float | None = Field(default=0.9, gt=0, le=1)
    max_tokens: int | None = Field(default=1024, ge=1)
    seeded: bool = True  # send a seed derived from the row; false leaves it out
    extra_body: dict[str, Any] = Field(default_factory=dict)
    timeout: float = Field(default=300, gt=0)  # seconds for one request; waiting in our own queue not counted
    max_attempts: int = Field(default=6, ge=1)
    retry_wait: float = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there


class LiveModel(_Sampling):
    """A model behind an OpenAI-compatible endpoint. A parameter set to null is not sent."""

    kind: Literal["live"] = "live"
    base_url: str = Field(pattern=BASE_URL)
    name: str = Field(min_length=1)
    api_key_env: str = "OPENAI_API_KEY"
    structured_output: StructuredOutput = "json_schema"


class LocalModel(_Sampling):
    """The embedded model: llama.cpp in a child process, with the given weights or the built-in ones."""

    kind: Literal["local"] = "local"
    weights: str = "builtin"  # `builtin`, a path to a GGUF file, or `hf:org/repo/file.gguf`
    threads: int | None = Field(default=None, ge=1)  # None: one less than there are cores
    context: int = Field(default=8192, ge=512)  # tokens
    structured_output: StructuredOutput = "json_schema"


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("kind") or ("local" if "weights" in value else "live"))
    return str(getattr(value, "kind", "live"))


ModelSpec = Annotated[
    Annotated[LiveModel, Tag("live")] | Annotated[LocalModel, Tag("local")], Discriminator(_kind_of)
]


class StageModel(_Strict):
    """What one stage does differently; what is left out is as in `model`."""

    base_url: str = Field(default="", pattern=BASE_URL)
    name: str = Field(default="", min_length=1)
    api_key_env: str = ""
    structured_output: StructuredOutput = "json_schema"
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    seeded: bool = True
    extra_body: dict[str, Any] = Field(default_factory=dict)
    timeout: float = Field(default=300, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    retry_wait: float = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there


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
    base = path.parent
    instructions = recipe.instructions.model_copy(update={"path": base / recipe.instructions.path})
    return recipe.model_copy(
        update={
            "instructions": instructions,
            "taxonomy": recipe.taxonomy if recipe.taxonomy == "default" else str(base / recipe.taxonomy),
            "templates": {name: base / file for name, file in recipe.templates.items()},
        }
    )
