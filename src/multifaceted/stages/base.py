"""What a stage is: one value that says what it asks, how its reply is read, and what it adds to the row.

Example:
    stage.values["descriptions"](draft)      # What its template sees beside what all templates see
    draft.add(stage, stage.read(draft, reply.text))

The row, the plan, its cost, the preview, provenance, the card and `why` go through the list of stages.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import BaseModel

from multifaceted.fieldtypes import TypeSpec
from multifaceted.prompts.reply import parse_text
from multifaceted.records import PreferenceEntry, RowTask
from multifaceted.taxonomy.index import TaxonomyIndex

Schema: TypeAlias = dict[str, Any]

# What every template sees beside the stages before it: of the row's instruction, its text and further fields;
# and the row's seed, to pick by.
OF_ROW = ("instruction", "metadata", "seed")


@dataclass(slots=True)
class Draft:
    """A row on its way: its task, and what the stages so far have made of it."""

    task: RowTask
    taxonomy: TaxonomyIndex  # of the run
    metadata: dict[str, Any] = field(default_factory=dict)  # further fields of its instruction
    made: dict[str, Any] = field(default_factory=dict)  # by stage
    # In a stage that asks once for each preference, the one that it asks about now
    part: PreferenceEntry | None = None
    _shown: dict[str, Any] = field(default_factory=dict)  # the same as plain data

    def add(self, stage: "Stage", value: Any) -> None:
        """Take over what a stage has made."""
        self.made[stage.name] = value
        self._shown[stage.name] = _to_plain(value)

    def about(self, part: PreferenceEntry | None) -> "Draft":
        """Return the same draft, asked about one preference."""
        return replace(self, part=part) if part else self

    def show(self, stage: "Stage") -> dict[str, Any]:
        """Return what the template of a stage sees."""
        of_row = (self.task.instruction.prompt, self.metadata, self.task.seed)
        seen = {**dict(zip(OF_ROW, of_row, strict=True)), **self._shown}
        return {**seen, **{name: find(self) for name, find in stage.values.items()}}


def read_text(_: Draft, text: str) -> str:
    """Read a reply of free text."""
    return parse_text(text)


def _ask_for_text(_: Draft, *, small: bool) -> None:
    del small


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One request of every row, or one for each preference of it."""

    name: str  # in recipes, journals and provenance; and how later templates call what it made
    column: str  # what it adds to the row
    record: str  # the column that says how that was made
    description: str  # of the column, for card and schema
    annotation: Any = str  # type of the column
    template: str = ""  # name of the shipped template; empty for a stage that has its own
    tokens: int  # of a reply, before there is any to look at
    # What its template sees beside what all templates see
    values: Mapping[str, Callable[[Draft], Any]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()  # what its template does not see of that
    per_preference: bool = False  # whether it asks once for each preference; the column is a list then
    # JSON Schema of the reply; None for free text. `small` fixes what is known, for models too small to ask.
    schema: Callable[..., Schema | None] = _ask_for_text
    # Reads a reply; raises `ReplyError` with everything that is wrong with it
    read: Callable[[Draft, str], Any] = read_text
    # What it may make of a row, for previews; a mark of a text by default
    sample: Callable[[Draft], Any] | None = None
    type_spec: TypeSpec = None  # type of the column where a recipe says it

    def list_variables(self, before: Iterable[str]) -> list[str]:
        """Return what its template may speak of, `before` being the stages that come before it."""
        seen = [name for name in (*OF_ROW, *before) if name not in self.hidden]
        return [*seen, *(name for name in self.values if name not in seen)]

    def list_parts(self, draft: Draft) -> list[PreferenceEntry | None]:
        """Return what it asks about, one request each; None stands for the whole row."""
        return list(draft.made["preferences"]) if self.per_preference else [None]

    def imagine(self, draft: Draft, *, characters: int | None = None) -> Any:
        """Return a stand-in for what it makes, before anything is asked.

        Args:
            draft: with what the stages before it make.
            characters: how long a text is to be; None gives a mark that says what stands there.
        """
        if self.sample is not None:
            return self.sample(draft)
        mark = f"[the {self.name.replace('_', ' ')} that the model writes]"
        return mark if characters is None else "x" * characters


def _to_plain(value: Any) -> Any:
    """Values as templates get them: plain data, nothing with methods that do more than tell."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_to_plain(inner) for inner in value] if isinstance(value, list) else value
