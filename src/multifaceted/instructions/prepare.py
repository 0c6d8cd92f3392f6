"""From raw pools to instructions: `prepare(Path("sources.yaml"), Path("instructions.parquet"))`.

Row by row into a spool (`intake.py`), then what needs all rows: near duplicates, benchmarks, the sample. Of
duplicates the one is kept that comes first: of the earlier source, then of the earlier row.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from multifaceted.ids import content_id, hash_file
from multifaceted.instructions.benchmarks import Benchmarks, read_benchmarks
from multifaceted.instructions.files import OUT_SCHEMA, OutFiles, open_files
from multifaceted.instructions.funnel import Reason
from multifaceted.instructions.intake import Intake
from multifaceted.instructions.sample import Drawable, draw_sample
from multifaceted.instructions.sources import SourcesRecipe, load_sources
from multifaceted.instructions.spool import SpoolRows, open_spool
from multifaceted.instructions.watch import TellStep, watch_nothing
from multifaceted.similar.meaning import DIMENSIONS, Embedder, find_semantic_duplicates
from multifaceted.similar.near import NearDuplicates, Progress, find_near_duplicates, sign_texts
from multifaceted.similar.ngrams import Overlap
from multifaceted.similar.words import Hashes


def prepare(recipe_file: Path, out: Path, *, watch: TellStep = watch_nothing) -> dict[str, Any]:
    """Prepare instructions as a recipe asks, and write them, what was dropped, and a report.

    Returns:
        The report, as it stands in `<stem>.report.json`.

    Raises:
        InputError: where recipe or pools are not sound, or a file at `out` is not of an earlier preparation.
    """
    recipe, folder = load_sources(recipe_file), recipe_file.parent
    with open_files(out) as files, open_spool(files.spool) as spool:
        benchmarks = read_benchmarks(recipe, folder)
        intake = Intake(recipe, folder, spool, files)
        intake.read(watch)
        work = _Preparation(recipe, intake, spool.finish(), watch)
        near = work.drop_near_duplicates()
        work.drop_semantic_duplicates()
        if benchmarks:
            work.drop_contaminated(benchmarks)
        work.drop_unsampled()
        licenses = work.write(files)
        intake.funnel.check(kept=files.out.rows, dropped=files.dropped.rows)
        semantic = recipe.semantic_duplicates
        report = {
            "recipe": content_id(recipe.model_dump(mode="json")),
            "inputs": _describe_inputs(recipe, folder),
            "funnel": intake.funnel.as_dict(),
            "licenses": licenses,
            "changed": {
                "unicode": intake.cleaner.unicode_changed,
                "system_message": intake.system_removed,
                "renamed_ids": intake.renamed,
            },
            "near_duplicates": _describe_near(near, recipe),
            "semantic_duplicates": semantic and semantic.model_dump(),
            "decontamination": benchmarks.as_dict() if benchmarks else None,
        }
        files.settle(report)
    return report


class _Preparation:
    """The steps that need all rows at once."""

    def __init__(self, recipe: SourcesRecipe, intake: Intake, rows: SpoolRows, watch: TellStep) -> None:
        self._recipe, self._intake, self._rows, self._watch = recipe, intake, rows, watch
        self._alive = np.ones(len(rows), dtype=np.bool_)
        self._keys: Hashes | None = None  # for near duplicates, once they are made

    def _count(self, step: str, total: int) -> Progress:
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            self._watch(step, done, total)

        return tell

    def drop_near_duplicates(self) -> NearDuplicates | None:
        """Leave out what is near to an earlier row that is kept."""
        spec = self._recipe.near_duplicates
        if spec is None:
            return None
        self._keys = sign_texts(
            self._rows.prompts, spec, progress=self._count("near duplicates", len(self._rows))
        )
        found = find_near_duplicates(self._rows.prompts, spec, keys=self._keys, same_task=True)
        matches = {match.row: (match.kept, match.jaccard) for match in found.matches}
        self._drop_similar("near_duplicate", "Jaccard", matches)
        return found

    def drop_semantic_duplicates(self) -> None:
        """Leave out what asks the same as an earlier row that is kept, in other words."""
        spec = self._recipe.semantic_duplicates
        if spec is None:
            return
        numbers = np.flatnonzero(self._alive)
        embedder, tell = Embedder(), self._count("embeddings", len(numbers))
        vectors = np.empty((len(numbers), DIMENSIONS), dtype=np.float32)
        for some, prompts in self._rows.read_prompts(numbers):
            vectors[np.searchsorted(numbers, some)] = embedder.embed(prompts)
            tell(len(some))
        progress = self._count("semantic duplicates", len(numbers))
        found = find_semantic_duplicates(vectors, spec, progress=progress)
        matches = {int(numbers[match.row]): (int(numbers[match.kept]), match.cosine) for match in found}
        self._drop_similar("semantic_duplicate", "cosine", matches)

    def _drop_similar(self, reason: Reason, measure: str, matches: dict[int, tuple[int, float]]) -> None:
        """Leave out rows that are similar to others, given the number of the other and the similarity."""
        kept = dict(self._rows.read(np.unique([other for other, _ in matches.values()]).astype(np.int64)))
        for number, row in self._rows.read(np.array(list(matches), dtype=np.int64)):
            other, similarity = matches[number]
            partner = self._intake.describe_partner(kept[other], similarity)
            self._intake.drop(row, reason, f"{measure} {similarity:.3f}", **partner)
        self._alive[list(matches)] = False

    def drop_contaminated(self, benchmarks: Benchmarks) -> None:
        """Leave out what holds something of a benchmark."""
        numbers = np.flatnonzero(self._alive)
        keys = self._keys if self._recipe.overlap.near == self._recipe.near_duplicates else None
        tell = self._count("benchmarks", len(numbers))
        found: dict[int, Overlap] = {}
        for some, prompts in self._rows.read_prompts(numbers):
            known = keys[some] if keys is not None else None
            for overlap in benchmarks.index.match(prompts, keys=known):
                found[int(some[overlap.row])] = overlap
            tell(len(some))
        for number, row in self._rows.read(np.array(list(found), dtype=np.int64)):
            detail, partner = benchmarks.describe(found[number])
            self._intake.drop(row, "contaminated", detail, **partner)
        self._alive[list(found)] = False

    def drop_unsampled(self) -> None:
        """Leave out what quotas and size do not let through."""
        rows = self._rows
        if not self._recipe.samples:
            return
        left = [
            Drawable(number, rows.ids[number], rows.pools[number], rows.sources[number])
            for number in np.flatnonzero(self._alive).tolist()
        ]
        reasons = draw_sample(left, self._recipe)
        for number, row in rows.read(np.array(sorted(reasons))):
            self._intake.drop(row, "not_sampled", reasons[number])
        self._alive[list(reasons)] = False

    def write(self, files: OutFiles) -> dict[str, int]:
        """Write what is left, in the order of the sources; gives rows by license."""
        licenses: Counter[str] = Counter()
        pools: Counter[int] = Counter()
        for batch in self._rows.read_batches(np.flatnonzero(self._alive)):
            licenses.update(name or "unknown" for name in batch["license"].to_pylist())
            pools.update(batch["pool"].to_pylist())
            files.out.add_batch(batch.select(OUT_SCHEMA.names))
        for pool, rows in pools.items():
            self._intake.funnel.kept[self._recipe.sources[pool].label] = rows
        return dict(sorted(licenses.items()))


def _describe_inputs(recipe: SourcesRecipe, folder: Path) -> list[dict[str, Any]]:
    pools = [("source", pool) for pool in recipe.sources] + [
        ("benchmark", pool) for pool in recipe.decontaminate
    ]
    return [
        {
            "name": pool.label,
            "role": role,
            "place": pool.place,
            "sha256": hash_file(folder / pool.path) if pool.path else None,
            "revision": pool.revision,
        }
        for role, pool in pools
    ]


def _describe_near(found: NearDuplicates | None, recipe: SourcesRecipe) -> dict[str, Any] | None:
    if found is None or recipe.near_duplicates is None:
        return None
    return {
        **recipe.near_duplicates.model_dump(),
        "compared": found.texts,
        "clusters": len(found.clusters),
        "largest_cluster": max(map(len, found.clusters), default=0),
    }
