"""Benchmark prompts to keep out of a pool: read once, equal ones found, and matches described."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.mapping import Candidate, NoPromptError, map_turns
from multifaceted.instructions.pools import read_pool
from multifaceted.instructions.sources import SourcesRecipe
from multifaceted.similar.ngrams import KINDS, BenchmarkIndex, Overlap

MAX_PROBLEMS = 100
MAX_RUN = 200  # characters of the words in common that are worth showing


@dataclass
class Benchmarks:
    """All benchmark prompts of a recipe, and what was found of them."""

    recipe: SourcesRecipe
    prompts: list[Candidate]
    index: BenchmarkIndex = field(init=False)
    kinds: Counter[str] = field(default_factory=Counter)
    hits: Counter[int] = field(default_factory=Counter)  # by benchmark row

    def __post_init__(self) -> None:
        self.index = BenchmarkIndex([row.prompt for row in self.prompts], self.recipe.overlap)
        self._equals: dict[int, list[int]] = {}
        for row, first in enumerate(self.index.first_equals.tolist()):
            if row != first:
                self._equals.setdefault(first, []).append(row)

    def describe(self, overlap: Overlap) -> tuple[str, dict[str, Any]]:
        """Count one match; gives its detail and the columns that name the benchmark row."""
        self.kinds[overlap.kind] += 1
        self.hits[overlap.other] += 1
        row = self.prompts[overlap.other]
        run = f": {overlap.run[:MAX_RUN]}" if overlap.run else ""
        also = [self._name(equal) for equal in self._equals.get(overlap.other, [])]
        equal = f" (also {', '.join(also)})" if also else ""
        partner = {
            "partner_file": self.recipe.decontaminate[row.pool].place,
            "partner_line": row.line,
            "partner_id": row.id,
            "partner_prompt": row.prompt,
            "similarity": overlap.score,
        }
        return f"{overlap.kind}{run}{equal}", partner

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "rows": len(self.prompts),
            "distinct": len(set(self.index.first_equals.tolist())),
            "shared": [
                {"source": source, "first_in": first, "rows": rows}
                for (source, first), rows in sorted(self._count_shared().items())
            ],
            "kinds": {kind: self.kinds[kind] for kind in KINDS if self.kinds[kind]},
            "dropped_by": self._count_hits(),
        }

    def _count_shared(self) -> Counter[tuple[str, str]]:
        """Return rows that stand in a benchmark already, by (their source, that benchmark)."""
        pairs = ((row, first) for first, rows in self._equals.items() for row in rows)
        return Counter((self.prompts[row].source, self.prompts[first].source) for row, first in pairs)

    def _count_hits(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for row, hits in self.hits.items():
            counts[self.prompts[row].source] += hits
        return dict(counts.most_common())

    def _name(self, row: int) -> str:
        prompt = self.prompts[row]
        return prompt.id or f"{self.recipe.decontaminate[prompt.pool].place}:{prompt.line}"


def read_benchmarks(recipe: SourcesRecipe, folder: Path) -> Benchmarks | None:
    """Read the benchmark files; None where there are none.

    Raises:
        InputError: with every row that holds no prompt: what is not read is not kept out.
    """
    prompts, faults = [], []
    for number, pool in enumerate(recipe.decontaminate):
        for row in read_pool(pool, folder):
            try:
                for prompt in map_turns(row, number, pool.fields):
                    prompt.source = prompt.source or pool.label
                    prompts.append(prompt)
            except NoPromptError as error:
                faults.append(Problem(str(folder / pool.place), row.line, str(error)))
    if faults:
        hint = "what cannot be read here would stay in the pool; name the right field in `fields`"
        raise InputError(faults[:MAX_PROBLEMS], hint=hint)
    return Benchmarks(recipe, prompts) if prompts else None
