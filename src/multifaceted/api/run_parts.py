"""What a run tells: failed rows, rows to read, and what was spent."""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multifaceted.errors import FAILURE_KINDS, FailureKind, InputError, Problem
from multifaceted.journal import read_bodies
from multifaceted.records import Failure
from multifaceted.store.run_folder import RunFolder
from multifaceted.terminal.rows import describe_row
from multifaceted.yamlfile import suggest


@dataclass(frozen=True, repr=False)
class FailedRow:
    """A row that failed, and why."""

    failure: Failure
    shard: str
    run: Path

    @property
    def id(self) -> str:
        """Return the row's id."""
        return self.failure.id

    @property
    def kind(self) -> FailureKind:
        """Return the kind of failure, such as `refused`."""
        return self.failure.kind

    @property
    def message(self) -> str:
        """Return why, in words."""
        return self.failure.message

    def as_dict(self) -> dict[str, Any]:
        """Return all of it but the reply as plain data."""
        return {**asdict(self.failure), "shard": self.shard}

    def __repr__(self) -> str:
        return f"<{self.id} failed in stage {self.failure.stage}: {self.kind}: {self.message}>"


class Failures(list[FailedRow]):
    """Rows that failed."""

    def read_replies(self) -> list[str | None]:
        """Return the raw body of the reply that failed each row; None where there was none."""
        keys: dict[tuple[Path, str], list[str]] = {}
        for row in self:
            keys.setdefault((row.run, row.shard), []).append(row.failure.request_key)
        found = {
            (run, shard): read_bodies(RunFolder(run).journal_file(shard), wanted)
            for (run, shard), wanted in keys.items()
        }
        return [found[row.run, row.shard].get(row.failure.request_key) for row in self]

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in Counter(row.kind for row in self).items())
        return f"<{len(self):,} failed rows{f': {kinds}' if kinds else ''}>"


@dataclass(frozen=True, repr=False)
class Spent:
    """What a run was paid for so far: each reply once, judges included."""

    replies: int
    prompt_tokens: int
    completion_tokens: int
    usd: float  # of all replies whose price was known when they came
    unpriced: int  # replies whose price was not
    parts: list[dict[str, Any]]  # by stage, model and mode

    words: str  # what it cost

    def __repr__(self) -> str:
        return f"<{self.prompt_tokens:,} + {self.completion_tokens:,} tokens, {self.words}>"


class RowList(list[dict[str, Any]]):
    """Some rows; shown as text."""

    def __repr__(self) -> str:
        return "\n".join(describe_row(row) for row in self)


def read_kinds(given: Collection[str]) -> tuple[FailureKind, ...]:
    """Return the failure kinds that were named.

    Raises:
        InputError: where there is no such kind.
    """
    unknown = [name for name in given if name not in FAILURE_KINDS]
    if unknown:
        raise InputError(
            Problem("--kind", 0, f"{name!r} is not a kind of failure{suggest(name, list(FAILURE_KINDS))}")
            for name in unknown
        )
    return tuple(kind for kind in FAILURE_KINDS if kind in given)
