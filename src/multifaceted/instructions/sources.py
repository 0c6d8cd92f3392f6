"""The recipe of `instructions prepare`: which pools, what is dropped, and how many are drawn.

    recipe = load_sources(Path("sources.yaml"))
    recipe.sources[0].label

Everything but `sources` has a default. Relative paths are meant from the recipe's own folder; they stay as
they are written, so that reports do not depend on where a folder stands.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.rows import FORMATS, FileFormat
from multifaceted.similar.meaning import SemanticSpec
from multifaceted.similar.near import NearSpec
from multifaceted.similar.ngrams import OverlapSpec
from multifaceted.strictmodel import StrictModel
from multifaceted.yamlfile import YamlDocument, read_yaml

Name = Annotated[str, StringConstraints(min_length=1)]
# A whole number of rows, or a share of the rows of its source.
Bound = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)], Field(union_mode="left_to_right")
]


LICENSES = ("license", "licence")  # both spellings, in keys and in columns
LICENSE = AliasChoices(*LICENSES)


class Fields(StrictModel):
    """Which keys or columns hold what. Of several prompt fields, those that hold something are joined."""

    prompt: Name | Annotated[tuple[Name, ...], Field(min_length=1)] = "prompt"
    id: Name = "id"
    source: Name = "source"
    original_source: Name = "original_source"
    license: Name | None = Field(default=None, validation_alias=LICENSE)  # null: either of the two names

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """Return the fields that make the prompt."""
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def licenses(self) -> tuple[str, ...]:
        """Return the fields that may name a license."""
        return LICENSES if self.license is None else (self.license,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all fields."""
        return (*self.prompts, self.id, self.source, self.original_source, *self.licenses)


class Pool(StrictModel):
    """A file or a Hub dataset that holds instructions, or benchmark prompts."""

    path: Path | None = None
    format: FileFormat | None = None  # null: by the file's name
    hub: Name = ""  # in place of `path`: org/name
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    name: str = ""  # in the report; empty: the name of the file or of the dataset
    fields: Fields = Fields()

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.path is None) == (not self.hub):
            raise ValueError("needs either path or hub")
        alone = self.model_fields_set & {"config", "split", "revision"}
        if self.path is not None and alone:
            raise ValueError(f"{', '.join(sorted(alone))} belong to hub")
        if self.path is not None and self.format is None and self.path.suffix not in FORMATS:
            raise ValueError(
                f"the file's name must end in one of {', '.join(FORMATS)}, or format say what it is"
            )
        return self

    @cached_property
    def label(self) -> str:
        """Return its name, given or derived."""
        return self.name or (self.path.stem if self.path else self.hub)

    @cached_property
    def place(self) -> str:
        """Return where it is, for people."""
        return str(self.path) if self.path else f"hub:{self.hub}"

    @property
    def file_format(self) -> FileFormat:
        """Of a file."""
        return self.format or FORMATS[self.path.suffix if self.path else ""]


class PoolSource(Pool):
    """A pool of instructions."""

    license: str = Field(default="", validation_alias=LICENSE)  # of the rows that name none
    quota: int | None = Field(default=None, ge=0)  # at most so many of it in the sample
    # Its part of `sample.size`, relative to those of the other sources; null in all: as they have rows.
    weight: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)


class LengthSpec(StrictModel):
    """Characters that a prompt may have."""

    min: int = Field(default=5, ge=1)
    max: int = Field(default=20_000, ge=1)


class LanguageSpec(StrictModel):
    """Languages to keep, as ISO 639-1 codes such as `en`."""

    keep: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...]
    confidence: float = Field(default=0.5, ge=0, le=1)  # of another language, from which on a row is dropped


class SampleSpec(StrictModel):
    """How the rows that are left are thinned out."""

    size: int | None = Field(default=None, ge=1)  # null: all that the quotas let through
    seed: int = 7
    quotas: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)  # by the rows' own `source`


class SourcesRecipe(StrictModel):
    """The one configuration model of `instructions prepare`."""

    sources: tuple[PoolSource, ...]
    decontaminate: tuple[Pool, ...] = ()
    max_broken: Bound = 0.01  # rows without a prompt or that cannot be read, of each source
    system_messages: Literal["remove", "drop", "keep"] = "remove"
    unicode: Literal["NFC", "NFKC", "keep"] = "NFC"
    mojibake: Literal["mend", "keep"] = "keep"
    length: LengthSpec = LengthSpec()
    languages: LanguageSpec | None = None  # null: any
    near_duplicates: NearSpec | None = NearSpec()  # null: exact duplicates only
    semantic_duplicates: SemanticSpec | None = None  # null: the same in other words stays
    overlap: OverlapSpec = OverlapSpec()  # what counts as contaminated
    sample: SampleSpec = SampleSpec()

    @property
    def samples(self) -> bool:
        """Return whether anything is thinned out at all."""
        quotas = [source.quota for source in self.sources if source.quota is not None]
        return bool(quotas or self.sample.quotas or self.sample.size is not None)


def load_sources(path: Path) -> SourcesRecipe:
    """Load the recipe.

    Raises:
        InputError: with every problem and its line.
    """
    document = read_yaml(path)
    recipe = document.validate(SourcesRecipe)
    if problems := list(_check(recipe, document, path.parent)):
        raise InputError(problems)
    return recipe


def _check(recipe: SourcesRecipe, document: YamlDocument, folder: Path) -> Iterator[Problem]:
    # Not bounds of the models: these would count the items that are wrong in themselves as missing.
    if not recipe.sources:
        yield document.problem(("sources",), "names no source")
    if recipe.languages and not recipe.languages.keep:
        yield document.problem(("languages", "keep"), "names no language")
    if recipe.length.min > recipe.length.max:
        yield document.problem(("length",), "min is above max")
    weighed = [source.weight is not None for source in recipe.sources]
    if any(weighed) and not all(weighed):
        index = weighed.index(False)
        yield document.problem(("sources", index), "has no weight, and other sources have one")
    if any(weighed) and recipe.sample.size is None:
        yield document.problem(
            ("sources", weighed.index(True), "weight"), "is a share of sample.size, which is not set"
        )
    for key, pools in (("sources", recipe.sources), ("decontaminate", recipe.decontaminate)):
        labels: set[str] = set()
        for index, pool in enumerate(pools):
            if pool.path is not None and not (folder / pool.path).is_file():
                yield document.problem((key, index, "path"), f"there is no file {folder / pool.path}")
            if pool.label in labels:
                yield document.problem((key, index), f"name {pool.label!r} stands above already")
            labels.add(pool.label)
