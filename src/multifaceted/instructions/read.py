"""Instructions of a pool, one at a time, every fault with its line.

    for instruction in read_instructions(Path("instructions.jsonl"), limit=500): ...

A row without an id gets one made from its prompt, so that the same prompt keeps its id wherever it stands.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from pydantic_core import to_jsonable_python

from multifaceted.errors import InputError, Problem
from multifaceted.ids import name_prompt
from multifaceted.instructions.columns import ColumnType, TypeAccount
from multifaceted.instructions.memory import MemoryRows
from multifaceted.instructions.raw import RawRow
from multifaceted.instructions.rows import FORMATS, read_rows
from multifaceted.instructions.turns import user_turns
from multifaceted.records import Instruction
from multifaceted.yamlfile import suggest

LICENSE = ("license", "licence")
FIELDS = ("id", "prompt", "source", "original_source", *LICENSE)
MAX_LICENSE = 200  # characters; what is longer is a text and no name
MAX_PROBLEMS = 100  # of one file; a wrong file would otherwise print a line for each of its rows
ROWS_TO_SUGGEST = 1000  # rows whose fields are looked through for the nearest name


class _InstructionLine(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: str = Field(pattern=r"\S")
    id: str | int | None = None
    source: str | None = None
    original_source: str | None = None
    license: Any = Field(default=None, validation_alias=AliasChoices(*LICENSE))  # no fault if it is not text

    @field_validator("prompt", mode="before")
    @classmethod
    def _take_first_turn(cls, value: Any) -> Any:
        """Of a conversation the first that the user says; a text stays as it is."""
        return next(iter(user_turns(value)), "") if isinstance(value, list | dict) else value

    def to_instruction(self, metadata: dict[str, JsonValue]) -> Instruction:
        return Instruction(
            id=name_prompt(self.prompt) if self.id in (None, "") else str(self.id),
            prompt=self.prompt,
            source=self.source or "",
            original_source=self.original_source or "",
            metadata=metadata,
        )


@dataclass
class InstructionReader:
    """Reads a pool and keeps the account of its faults and licenses, complete once it is read through.

    `metadata` names the further fields that travel with an instruction; None takes all there are. Those that
    are `required` must be in the pool; None requires all that are named.
    """

    path: Path | MemoryRows
    limit: int | None = None
    metadata: Collection[str] | None = field(default=(), kw_only=True)
    required: Collection[str] | None = field(default=None, kw_only=True)
    problems: list[Problem] = field(default_factory=list)
    licenses: dict[str, set[str]] = field(default_factory=dict)  # by source, where lines name any
    _lines_by_id: dict[str, int] = field(default_factory=dict, repr=False)
    _types: dict[str, TypeAccount] = field(default_factory=lambda: defaultdict(TypeAccount), repr=False)

    def __iter__(self) -> Iterator[Instruction]:
        """Yield the sound instructions in order; the others are reported in `problems`."""
        for account in (self.problems, self.licenses, self._lines_by_id, self._types):
            account.clear()
        if isinstance(self.path, Path) and self.path.suffix not in FORMATS:
            self._report(0, f"is not one of {', '.join(FORMATS)}")
            return
        columns = None if self.metadata is None else (*FIELDS, *self.metadata)
        rows = self._read_rows(columns)
        try:
            yield from islice((made for row in rows if (made := self._accept(row))), self.limit)
            self._check_whole()
        except InputError as error:
            for problem in error.problems:
                self._report(problem.line, problem.message)

    @property
    def kept_types(self) -> dict[str, ColumnType]:
        """Return the type of each further field, complete once the pool is read through."""
        names = self._types if self.metadata is None else self.metadata
        return {name: self._types[name].column_type for name in names if name in self._types}

    def _read_rows(self, columns: Collection[str] | None) -> Iterator[RawRow]:
        if isinstance(self.path, MemoryRows):
            return iter(self.path)
        return read_rows(self.path, FORMATS[self.path.suffix], columns=columns)

    def _accept(self, row: RawRow) -> Instruction | None:
        if row.fault:
            self._report(row.line, row.fault)
            return None
        try:
            line = _InstructionLine.model_validate(row.data)
        except ValidationError as error:
            # One fault for a field: a union reports each of its members.
            faults = {str(detail["loc"][:1]): detail for detail in reversed(error.errors())}
            for detail in reversed(faults.values()):
                self._report(row.line, _explain(detail))
            return None
        instruction = line.to_instruction(self._pick_metadata(row.data))
        first = self._lines_by_id.setdefault(instruction.id, row.line)
        if first != row.line:
            what = f"duplicate id {instruction.id!r}" if line.id else "duplicate prompt without an id"
            self._report(row.line, f"{what} (first used in line {first})")
            return None
        if isinstance(line.license, str) and 0 < len(line.license.strip()) <= MAX_LICENSE:
            self.licenses.setdefault(instruction.source, set()).add(" ".join(line.license.split()))
        for name, value in instruction.metadata.items():
            self._types[name].add(value)
        return instruction

    def _pick_metadata(self, data: dict[str, Any]) -> dict[str, JsonValue]:
        """Return the further fields of a row that are wanted, as JSON can hold them."""
        names = data if self.metadata is None else self.metadata
        found = {name: data[name] for name in names if name in data and name not in FIELDS}
        picked: dict[str, JsonValue] = found and to_jsonable_python(
            found, bytes_mode="base64", inf_nan_mode="null", fallback=str
        )
        return picked

    def _check_whole(self) -> None:
        """Report what only the whole pool shows."""
        if not self._lines_by_id and not self.problems:
            self._report(0, "holds no instruction")
        wanted = self.metadata if self.required is None else self.required
        missing = [name for name in wanted or () if name not in (*self._types, *FIELDS)]
        if missing and self._lines_by_id:
            rows = islice(self._read_rows(None), min(self.limit or ROWS_TO_SUGGEST, ROWS_TO_SUGGEST))
            known = sorted({name for row in rows for name in row.data}.difference(FIELDS))
            for name in missing:
                self._report(0, f"no instruction has a field {name!r}{suggest(name, known)}")

    def _report(self, line: int, message: str) -> None:
        if len(self.problems) == MAX_PROBLEMS:
            message, line = f"has more faults; these are the first {MAX_PROBLEMS}", 0
        if len(self.problems) <= MAX_PROBLEMS:
            self.problems.append(Problem(str(self.path), line, message))


def read_instructions(
    path: Path | MemoryRows, *, limit: int | None = None, metadata: Collection[str] | None = ()
) -> Iterator[Instruction]:
    """Yield the instructions of a file that must be sound.

    Args:
        path: of the file.
        limit: take only the first so many instructions.
        metadata: further fields of a row that travel with its instruction; None for all there are.

    Raises:
        InputError: after the last instruction, with every fault of the file.
    """
    reader = InstructionReader(path, limit, metadata=metadata)
    yield from reader
    if reader.problems:
        raise InputError(reader.problems)


def _explain(detail: Any) -> str:
    name = str(detail["loc"][0])
    if detail["type"] == "missing":
        return f"{name!r} is missing"
    if name == "prompt" and detail["type"] == "string_pattern_mismatch":
        return "'prompt' is empty"
    if detail["type"] == "value_error":
        return f"{name!r} {detail['ctx']['error']}"
    if name == "id":
        return "'id' is neither text nor a whole number"
    return f"{name!r}: {detail['msg']}"
