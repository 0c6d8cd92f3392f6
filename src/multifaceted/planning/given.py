"""What a recipe is given besides models and stages: instructions, taxonomy, licenses, languages.

A recipe file names files. From Python, instructions and taxonomy may be objects in their place.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from multifaceted.instructions import MemoryRows
from multifaceted.licenses import check_license
from multifaceted.planning.stages import TAKEN
from multifaceted.records import Instruction
from multifaceted.strictmodel import StrictModel
from multifaceted.taxonomy import Taxonomy

# Identifiers as the Hub has them, such as cc-by-4.0; and the license of a source, in any few words.
LicenseId = Annotated[str, Field(max_length=64), AfterValidator(check_license)]
LicenseName = Annotated[str, Field(pattern=r"^\S[^\r\n]*$", max_length=200)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]  # ISO 639


def _check_kept(name: str) -> str:
    if name in {*TAKEN, *Instruction.model_fields, "license", "licence"}:
        raise ValueError("is the name of a field that rows or instructions have already")
    return name


KeptName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$"), AfterValidator(_check_kept)]


def _take_pool(given: Any, check_path: ValidatorFunctionWrapHandler) -> Any:
    return given if isinstance(given, MemoryRows) else check_path(given)


def _take_taxonomy(given: Any, check_text: ValidatorFunctionWrapHandler) -> Any:
    return (
        given if isinstance(given, Taxonomy) else check_text(str(given) if isinstance(given, Path) else given)
    )


if TYPE_CHECKING:
    Pool = Path | MemoryRows
    TaxonomySource = str | Taxonomy
else:  # what a recipe file can hold has one type, and so one message where it is wrong
    Pool = Annotated[Path, WrapValidator(_take_pool), PlainSerializer(str)]
    TaxonomySource = Annotated[str, WrapValidator(_take_taxonomy), PlainSerializer(str)]


class InstructionsSpec(StrictModel):
    """Rows with `prompt`, `id`, `source`, `original_source`; the first `limit` of them."""

    path: Pool  # a file, or the rows themselves
    limit: int | None = Field(default=None, ge=1)
    keep: tuple[KeptName, ...] = ()  # further fields of the file that become columns of every row
    licenses: dict[str, LicenseName] = Field(default_factory=dict)  # by `source`; told in the card

    @field_validator("keep")
    @classmethod
    def _check_doubles(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        if doubled := sorted({name for name in keep if keep.count(name) > 1}):
            raise ValueError(f"names twice: {', '.join(doubled)}")
        return keep


def take_rows(given: Any) -> Any:
    """Return rows in place of what is said of a file: they are the instructions."""
    if isinstance(given, InstructionsSpec) or (isinstance(given, dict) and "path" in given):
        return given
    if isinstance(given, str | Path):
        return {"path": given}
    return given if type(given) is dict else {"path": MemoryRows(given)}  # a DatasetDict is another kind
