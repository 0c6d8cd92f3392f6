"""Instructions from JSONL or Parquet, one at a time, every fault with its line.

    for instruction in read_instructions(Path("instructions.jsonl"), limit=500): ...

A row without an id gets one made from its prompt, so that the same prompt keeps its id wherever it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from multifaceted.errors import InputError, Problem
from multifaceted.ids import content_id
from multifaceted.records import Instruction

FORMATS = (".jsonl", ".ndjson", ".parquet")
LICENSE = ("license", "licence")
FIELDS = ("id", "prompt", "source", "original_source", *LICENSE)
MAX_LICENSE = 200  # characters; what is longer is a text and no name
MAX_PROBLEMS = 100  # of one file; a wrong file would otherwise print a line for each of its rows


class _InstructionLine(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: str = Field(pattern=r"\S")
    id: str | int | None = None
    source: str | None = None
    original_source: str | None = None
    license: Any = Field(default=None, validation_alias=AliasChoices(*LICENSE))  # no fault if it is no text

    def to_instruction(self) -> Instruction:
        name = (
            self.id
            if self.id not in (None, "")
            else f"i{content_id(['instruction', self.prompt], length=16)}"
        )
        return Instruction(
            id=str(name),
            prompt=self.prompt,
            source=self.source or "",
            original_source=self.original_source or "",
        )


@dataclass
class InstructionReader:
    """Reads a pool and keeps the account of its faults and licenses, complete once it is read through."""

    path: Path
    limit: int | None = None
    problems: list[Problem] = field(default_factory=list)
    licenses: dict[str, set[str]] = field(default_factory=dict)  # by source, where lines name any
    _lines_by_id: dict[str, int] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Instruction]:
        """Yield the sound instructions in order; the others are reported in `problems`."""
        self.problems.clear()
        self.licenses.clear()
        self._lines_by_id.clear()
        if self.path.suffix not in FORMATS:
            self._report(0, f"is not one of {', '.join(FORMATS)}")
            return
        read = self._read_parquet if self.path.suffix == ".parquet" else self._read_jsonl
        try:
            yield from islice(read(), self.limit)
        except OSError as error:
            self._report(0, f"cannot be read: {error.strerror or error}")
        except pa.ArrowException as error:
            self._report(0, f"is no readable Parquet file: {error}")
        else:
            if not self._lines_by_id and not self.problems:
                self._report(0, "holds no instruction")

    def _read_jsonl(self) -> Iterator[Instruction]:
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                # A byte order mark at the head of the file is no part of the first line.
                line = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
                if line:
                    yield from self._accept(number, line)

    def _read_parquet(self) -> Iterator[Instruction]:
        with pq.ParquetFile(self.path) as file:
            columns = [name for name in FIELDS if name in file.schema_arrow.names]
            number = 0
            for batch in file.iter_batches(batch_size=1000, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield from self._accept(number, row)

    def _accept(self, number: int, value: bytes | dict[str, Any]) -> Iterator[Instruction]:
        try:
            if isinstance(value, bytes):
                line = _InstructionLine.model_validate_json(value)
            else:
                line = _InstructionLine.model_validate(value)
        except ValidationError as error:
            # One fault for a field: a union reports each of its members.
            faults = {str(detail["loc"][:1]): detail for detail in reversed(error.errors())}
            for detail in reversed(faults.values()):
                self._report(number, _explain(detail))
            return
        instruction = line.to_instruction()
        first = self._lines_by_id.setdefault(instruction.id, number)
        if first != number:
            what = f"id {instruction.id!r}" if line.id else "the same prompt without an id"
            self._report(number, f"{what} stands in line {first} already")
            return
        if isinstance(line.license, str) and 0 < len(line.license.strip()) <= MAX_LICENSE:
            self.licenses.setdefault(instruction.source, set()).add(" ".join(line.license.split()))
        yield instruction

    def _report(self, line: int, message: str) -> None:
        if len(self.problems) == MAX_PROBLEMS:
            self.problems.append(
                Problem(str(self.path), 0, f"has more faults; these are the first {MAX_PROBLEMS}")
            )
        elif len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(str(self.path), line, message))


def read_instructions(path: Path, *, limit: int | None = None) -> Iterator[Instruction]:
    """Yield the instructions of a file that must be sound.

    Raises:
        InputError: after the last instruction, with every fault of the file.
    """
    reader = InstructionReader(path, limit)
    yield from reader
    if reader.problems:
        raise InputError(reader.problems)


def _explain(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "missing":
        return f"{name!r} is missing"
    if detail["type"] == "json_invalid":
        return f"is not valid JSON: {detail['ctx']['error']}"
    if name == "prompt" and detail["type"] == "string_pattern_mismatch":
        return "'prompt' is empty"
    if name == "id":
        return "'id' is neither text nor a whole number"
    return f"{name!r}: {detail['msg']}" if name else "is no JSON object"
