"""Checking rows within and across configs: ids, splits, what each config checks itself, and secrets.

Example:
    checker = RowChecker(configs_of(run))
    checker.add("sft", "train", batch)          # every batch of every config
    list(checker.faults(complete=True))
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import polars as pl
import pyarrow as pa

from multifaceted.building.config import PublishedConfig, SeenRows, name_ids
from multifaceted.building.configs.provenance import PROVENANCE
from multifaceted.curation.secrets import describe_secrets


class RowChecker:
    """Remembers ids and hashes of texts, never the texts.

    Args:
        configs: of the folder, the default first.
    """

    def __init__(self, configs: Mapping[str, PublishedConfig]) -> None:
        self._configs = configs
        self._default = next(iter(configs))
        self._seen: dict[str, SeenRows] = {}
        self._secrets: list[str] = []

    def add(self, name: str, split: str, batch: pa.RecordBatch) -> None:
        """Take in one batch of a config's rows."""
        seen = self._seen.setdefault(name, SeenRows())
        seen.ids.setdefault(split, []).extend(batch.column("id").to_pylist())
        check = self._configs[name].check
        if check and check.note:
            seen.notes.update(check.note(batch))
        self._find_secrets(name, batch)

    def faults(self, *, complete: bool) -> Iterator[str]:
        """Yield what is wrong with the rows; with `complete`, also between configs."""
        yield from self._secrets
        for name, seen in self._seen.items():
            for split, ids in seen.ids.items():
                repeated = [row for row, count in Counter(ids).items() if count > 1]
                if repeated:
                    yield f"config {name!r}, {split}: duplicate ids {name_ids(repeated)}"
        if complete and self._default in self._seen:
            yield from self._find_unknown()
            for name in self._seen:
                check = self._configs[name].check
                if check and check.find:
                    yield from check.find(name, self._seen)
            yield from self._find_split_instructions()

    def _find_unknown(self) -> Iterator[str]:
        known = self._seen[self._default].rows
        for name, seen in self._seen.items():
            unknown = [row for ids in seen.ids.values() for row in ids if row not in known]
            if unknown:
                yield f"config {name!r}: {name_ids(unknown)} are not in {self._default!r}"

    def _find_split_instructions(self) -> Iterator[str]:
        provenance = self._seen.get(PROVENANCE.name, SeenRows())
        for name, seen in self._seen.items():
            split_of: dict[str, str] = {}
            for split, ids in seen.ids.items():
                instructions = ((row, provenance.notes.get(row, row)) for row in ids)
                both = [row for row, found in instructions if split_of.setdefault(found, split) != split]
                if both:
                    yield f"config {name!r}: the instructions of {name_ids(both)} are in two splits"

    def _find_secrets(self, name: str, batch: pa.RecordBatch) -> None:
        frame = pl.DataFrame(pl.from_arrow(batch))
        for column in frame.columns:
            for row in frame.filter(describe_secrets(frame[column]).is_not_null())["id"]:
                self._secrets.append(f"config {name!r}: {column} of {row} holds what looks like a secret key")
