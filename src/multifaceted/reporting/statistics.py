"""What a dataset is made of, in numbers: `measure(source, taxonomy)` goes through its rows once or twice.

Texts are not kept: lengths and hashes are, and the texts of a sample chosen by seed, for what compares them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from multifaceted.building.source import RowSource
from multifaceted.building.summary import sum_tokens
from multifaceted.reporting.coverage import CoverageCounter, Leaf
from multifaceted.reporting.diversity import Spread, choose_ids, distinct_n, spread_within
from multifaceted.reporting.rows import TEXTS, read_frames
from multifaceted.taxonomy import Taxonomy

SAMPLE = 2000  # instructions whose responses are compared with each other
DESCRIPTIONS = 200  # descriptions of each dimension that are compared, each with each
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Upper bounds of the bins of lengths, in characters; the last bin has none.
BINS = (50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of one field in characters."""

    mean: float
    quantiles: dict[str, float]  # "0.05" to "0.95"
    longest: int
    bins: list[int]  # texts by `BINS`, one more than these


@dataclass
class Statistics:
    """All numbers of a report; `as_dict` is what `--json` prints and `statistics.json` holds."""

    name: str
    counts: dict[str, int]  # planned = ok + failed + pending
    instructions: int = 0
    failures: dict[str, int] = field(default_factory=dict)  # kind → rows
    dropped: dict[str, int] = field(default_factory=dict)  # reason → rows that curation left out
    kept: int = 0
    no_pair: dict[str, int] = field(default_factory=dict)  # instructions that give no pair, by reason
    pairs: int = 0
    sources: dict[str, int] = field(default_factory=dict)  # rows, most frequent first
    models: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)  # stage → prompt, completion
    lengths: dict[str, Lengths] = field(default_factory=dict)
    coverage: list[Leaf] = field(default_factory=list)
    rouge_responses: Spread | None = None
    rouge_descriptions: dict[str, Spread] = field(default_factory=dict)
    distinct: dict[str, dict[str, float | None]] = field(default_factory=dict)  # field → n → share
    unique_systems: float = 0.0  # share of system messages that are there once, 0..1
    usd: float | None = None  # spent on the run; None where a price is unknown, or there is no journal

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def measure(source: RowSource, taxonomy: Taxonomy | None) -> Statistics:
    """Measure all rows.

    Args:
        source: the rows.
        taxonomy: the one they were made with, to tell what it offers and nobody used; None if not at hand.
    """
    found = Statistics(source.run.name, source.run.counts, failures=source.run.failures)
    found.models, found.kept = {str(s): m for s, m in source.run.models.items()}, source.run.ok
    if source.curation:
        found.kept, found.dropped = source.curation.kept, source.curation.reasons
    found.pairs = len(source.choice.rejected)
    found.no_pair = {reason: len(ids) for reason, ids in source.left_out.items()}
    counter = _Counter(taxonomy, source.run.stages)
    for frame in read_frames(source):
        counter.add(frame)
    counter.finish(found)
    _compare_texts(source, found, counter.instructions)
    return found


@dataclass
class _Counter:
    """Everything that one look at each row gives."""

    taxonomy: Taxonomy | None
    stages: dict[str, str]
    instructions: set[str] = field(default_factory=set)
    _sources: Counter[str] = field(default_factory=Counter)
    _tokens: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _lengths: dict[str, list[pl.Series]] = field(default_factory=lambda: {name: [] for name in TEXTS})
    _systems: list[pl.Series] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._coverage = CoverageCounter(self.taxonomy)

    def add(self, frame: pl.DataFrame) -> None:
        self.instructions.update(frame["instruction_id"].unique())
        self._sources.update(dict(frame["main_source"].value_counts().iter_rows()))
        for stage, column in self.stages.items():
            self._tokens[stage].update(sum_tokens(frame[column]))
        for name in TEXTS:
            self._lengths[name].append(frame[name].str.len_chars())
        self._systems.append(frame["system"].hash())
        self._coverage.add(frame)

    def finish(self, found: Statistics) -> None:
        found.instructions = len(self.instructions)
        found.sources = dict(sorted(self._sources.items(), key=lambda pair: (-pair[1], pair[0])))
        found.tokens = {stage: dict(spent) for stage, spent in self._tokens.items()}
        found.lengths = {name: _describe(pl.concat(parts)) for name, parts in self._lengths.items()}
        systems = pl.concat(self._systems)
        found.unique_systems = systems.n_unique() / len(systems)
        found.coverage = self._coverage.leaves()


def _describe(lengths: pl.Series) -> Lengths:
    places = pl.Series(BINS).search_sorted(lengths, side="left")
    counts = dict(places.value_counts().iter_rows())
    return Lengths(
        mean=float(lengths.cast(pl.Float64).sum() / len(lengths)),
        quantiles={str(q): float(lengths.quantile(q, "linear") or 0) for q in QUANTILES},
        longest=int(str(lengths.max())),
        bins=[counts.get(n, 0) for n in range(len(BINS) + 1)],
    )


def _compare_texts(source: RowSource, found: Statistics, instructions: Iterable[str]) -> None:
    """What needs the texts themselves, of a sample of the instructions."""
    wanted = sorted(choose_ids(instructions, SAMPLE, source.run.seed))
    # As Python objects: a filtered frame would keep the whole shard behind it in memory.
    names = ("instruction_id", "preference_set", *TEXTS)
    parts = (f.select(names).filter(pl.col("instruction_id").is_in(wanted)) for f in read_frames(source))
    sample = pl.DataFrame([row for part in parts for row in part.to_dicts()])
    responses = sample.group_by("instruction_id", maintain_order=True).agg("output")
    found.rouge_responses = spread_within(responses["output"].to_list())
    found.distinct = {
        name: {str(n): distinct_n(sample[name].to_list(), n) for n in (1, 2, 3)} for name in TEXTS
    }
    entries = sample["preference_set"].explode().struct.unnest()
    for (dimension,), group in entries.group_by("dimension", maintain_order=True):
        texts = choose_ids(group["description"].to_list(), DESCRIPTIONS, source.run.seed)
        found.rouge_descriptions[str(dimension)] = spread_within([sorted(texts)])
