"""Curating a run of the original's size and lengths with every default filter, beside a plain Python pass.

The texts are made up: sentences drawn from the words of the default taxonomy, in lengths with a long tail.
One row in a hundred is faulty in one of the ways that filters look for.
"""

import itertools
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from build import DIMENSIONS, ORIGINAL_ROWS, VARIANTS, make_run
from common import Result, measure

from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.records import PreferenceEntry, Row, StageRecord, TokenCount
from multifaceted.store.shards import read_batches
from multifaceted.taxonomy import load_taxonomy

MOST_SECONDS, MOST_MEMORY = 60.0, 1500.0
SENTENCES = 60_000
FAULTY = 100  # one row in so many
PLAIN_ROWS = 4_000
PARAGRAPH = 5  # sentences
FAULTS = (
    "I'm sorry, but I can't assist with that request.",
    "As an AI language model, I have no opinion of my own. Still, here is a thought.",
    "Here is the function you asked for:\n\n```python\ndef add(a, b):\n    return a +",
    '{"style": {"subdimension": "clarity", "preference": "plain", "description": "The reader"}}',
    "Write to anna.keller@gmx.net or ring +49 171 5550 1934 if you want to know more.",
)


class RowMaker:
    """Rows by their number; the same number gives the same row."""

    def __init__(self) -> None:
        generator = random.Random(7)
        words = [w for p in load_taxonomy().preferences for w in p.description.lower().split()]
        chain: dict[str, list[str]] = {}
        for one, other in itertools.pairwise(words):
            chain.setdefault(one, []).append(other)
        self.sentences = [_make_sentence(generator, chain, words) for _ in range(SENTENCES)]

    def __call__(self, index: int) -> Row:
        """One row."""
        instruction, variant = divmod(index, VARIANTS)
        shared, own = random.Random(instruction), random.Random(f"row {index}")
        output = self._write(own, own.lognormvariate(7.75, 0.6))  # 2,800 characters on the mean
        if index % FAULTY == 1:
            output = FAULTS[index // FAULTY % len(FAULTS)]
        record = StageRecord(
            model="m",
            request_key=f"{index:064x}",
            template="0" * 64,
            tokens=TokenCount(prompt=900, completion=300),
        )
        return Row(
            id=f"q{instruction}-v{variant + 1}",
            instruction_id=f"q{instruction}",
            variant=variant + 1,
            main_source=f"source-{instruction % 5}",
            original_source="made-up",
            preference_set=[
                PreferenceEntry(
                    dimension=name,
                    subdimension="clarity",
                    preference="plain words",
                    description=self._write(own, 250),
                )
                for name in DIMENSIONS
            ],
            # One system message in two hundred is another's.
            system="You are a guide. " + self._write(random.Random(f"system {_pair(index)}"), 950),
            prompt=self._write(shared, shared.lognormvariate(5.9, 1.1)),
            output=output,
            seed=index,
            seed_preferences=["style/clarity/plain"],
            taxonomy_version="1.0.0",
            taxonomy_fingerprint="0" * 64,
            preferences=record,
            system_message=record,
            response=record,
        )

    def _write(self, generator: random.Random, length: float) -> str:
        count = max(1, round(length / 85))  # characters of a sentence
        sentences = generator.choices(self.sentences, k=count)
        return "".join(
            s + ("\n\n" if (n + 1) % PARAGRAPH == 0 else " ") for n, s in enumerate(sentences)
        ).strip()


def _pair(index: int) -> int:
    """The same number for two rows of each two hundred, which are no others' faults."""
    return index // 2 if index % (2 * FAULTY) in (2, 3) else -index


def _make_sentence(generator: random.Random, chain: dict[str, list[str]], words: list[str]) -> str:
    word = generator.choice(words)
    sentence = [word]
    for _ in range(generator.randint(6, 22)):
        word = generator.choice(chain.get(word) or words)
        sentence.append(word)
    return " ".join(sentence).replace(".", "").capitalize() + "."


def curate(run: Path) -> tuple[int, int]:
    """What `multifaceted curate` does."""
    found = curate_run(run, load_curation())
    return found.kept, found.dropped


def pass_plainly(run: Path, rows: int) -> float:
    """Seconds for so many rows of what one would write in an afternoon: a loop with `re` and sets.

    It looks for a fifth of the faults, and compares the variants of an instruction, but no other rows.
    """
    patterns = [
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            r"\b(?:i'm sorry|i cannot|i can't|i am unable to)\b",
            r"\bas an? (?:ai|large) (?:language model|assistant)",
            r"<\|[a-z_]+\|>|\[/?inst\]|\{\{|\"subdimension\"",
            r"[\w.+-]+@[\w-]+\.[\w.]+",
            r"\+?\d[\d ()-]{8,}\d",
            r"\byou(?:r|rs|rself)?\b",
        )
    ]
    texts: list[tuple[str, str, str]] = []
    for path in sorted(run.glob("shards/*/rows.arrow")):
        for batch in read_batches(path):
            columns = (batch.column(name).to_pylist() for name in ("instruction_id", "system", "output"))
            texts += zip(*columns, strict=True)
        if len(texts) >= rows:
            break
    texts, found, before = texts[:rows], 0, dict[str, list[set[str]]]()
    began = time.perf_counter()
    for instruction, system, output in texts:
        found += sum(bool(pattern.search(text)) for pattern in patterns for text in (system, output))
        words = set(re.findall(r"\w+", output.lower()))
        others = before.setdefault(instruction, [])
        found += any(len(words & other) > 0.85 * len(words | other) for other in others)
        others.append(words)
    return time.perf_counter() - began


def bench(folder: Path, *, rows: int = 30_000) -> Iterator[Result]:
    """All default filters."""
    run = folder / "run"
    make_run(run, rows, RowMaker())
    cost = measure(curate, run)
    kept, dropped = cost.value
    plain = measure(pass_plainly, run, min(rows, PLAIN_ROWS)).value / min(rows, PLAIN_ROWS)
    seconds = cost.seconds / rows * ORIGINAL_ROWS
    scaled = f"{seconds:.0f} s for {ORIGINAL_ROWS:,}"
    yield Result(
        f"curate of {rows:,} rows, all default filters",
        f"{cost.seconds:.0f} s ({cost.cpu:.0f} s of processor time), {cost.rss:,.0f} MB of memory; "
        f"{kept:,} kept, {dropped:,} dropped",
        f"a plain Python pass over a fifth of the faults {plain * rows:.0f} s; {scaled}",
        f"< {MOST_SECONDS:.0f} s for {ORIGINAL_ROWS:,}, < {MOST_MEMORY:,.0f} MB",
        kept + dropped == rows and seconds < MOST_SECONDS and cost.rss < MOST_MEMORY,
    )
