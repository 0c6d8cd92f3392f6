"""Preparing instructions, beside what one would otherwise take: datasketch, and a plain Python pass."""

import importlib.util
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from common import Result, measure

from multifaceted.instructions.prepare import prepare
from multifaceted.similar.near import NearSpec, find_near_duplicates
from multifaceted.similar.ngrams import BenchmarkIndex, OverlapSpec

BENCHMARK_ROWS = 2500
MEDIAN_WORDS, SPREAD, MOST_WORDS = 60, 1.0, 3000  # log-normal: a long tail, as real pools have
NEAR_SHARE, EXACT_SHARE = 0.04, 0.02
NGRAM = 13
LEAST_RATE = 20_000  # instructions a second
MOST_NEAR_SECONDS = 10.0
MOST_MEMORY = 1500.0  # MB
LEAST_TIMES = 5.0  # faster than datasketch, and than plain Python


def make_pool(folder: Path, rows: int) -> Path:
    """Write a pool with duplicates in it, a benchmark, and a recipe for both."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(7)
    words = [
        "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 9)))
        for _ in range(20_000)
    ]
    weights = [1 / (rank + 10) for rank in range(len(words))]  # some words are frequent, as in any language
    text = generator.choices(words, weights, k=2_000_000)
    prompts: list[str] = []
    with (folder / "pool.jsonl").open("w") as file:
        for number in range(rows):
            prompts.append(_make_prompt(generator, text, prompts, number))
            file.write(
                json.dumps({"id": f"q{number}", "prompt": prompts[-1], "source": f"s{number % 8}"}) + "\n"
            )
    with (folder / "benchmark.jsonl").open("w") as file:
        for number in range(BENCHMARK_ROWS):
            contained = number % 10 == 0  # in the pool, between other words
            prompt = prompts[number * 7 % rows] if contained else " ".join(generator.choices(words, k=40))
            file.write(json.dumps({"id": f"b{number}", "prompt": prompt}) + "\n")
    recipe = folder / "sources.yaml"
    recipe.write_text("sources: [{path: pool.jsonl}]\ndecontaminate: [{path: benchmark.jsonl}]\n")
    return recipe


def run_prepare(recipe: Path, out: Path) -> tuple[int, dict[str, int]]:
    """What `multifaceted instructions prepare` does; gives rows kept, and dropped by reason."""
    funnel = prepare(recipe, out)["funnel"]
    return funnel["kept"], {reason: rows for reason, rows in funnel["dropped"].items() if rows}


def find_ours(pool: Path, rows: int) -> int:
    """Near duplicates by our own module."""
    return len(find_near_duplicates(_read(pool, rows), NearSpec()).matches)


def find_by_datasketch(pool: Path, rows: int) -> int:
    """The same threshold, shingles and permutations with datasketch, as its documentation shows it."""
    from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 - absent where nobody measures

    spec = NearSpec()
    index, found = MinHashLSH(threshold=spec.threshold, num_perm=spec.permutations), 0
    for number, prompt in enumerate(_read(pool, rows)):
        signature = MinHash(num_perm=spec.permutations)
        signature.update_batch([shingle.encode() for shingle in _ngrams(prompt, spec.shingle)])
        found += bool(index.query(signature))
        index.insert(number, signature)
    return found


def match_ours(pool: Path, benchmark: Path, rows: int) -> int:
    """Contaminated prompts by our own module."""
    index = BenchmarkIndex(_read(benchmark, BENCHMARK_ROWS), OverlapSpec(near=None))
    return len(index.match(_read(pool, rows)))


def match_plainly(pool: Path, benchmark: Path, rows: int) -> int:
    """Contaminated prompts by sets of n-grams in plain Python."""
    known = {gram for prompt in _read(benchmark, BENCHMARK_ROWS) for gram in _ngrams(prompt, NGRAM)}
    return sum(not known.isdisjoint(_ngrams(prompt, NGRAM)) for prompt in _read(pool, rows))


def bench(folder: Path, *, rows: int = 60_000) -> Iterator[Result]:
    """The command, near duplicates, benchmarks."""
    recipe = make_pool(folder, rows)
    pool, benchmark = folder / "pool.jsonl", folder / "benchmark.jsonl"
    size = pool.stat().st_size / rows
    cost = measure(run_prepare, recipe, folder / "instructions.parquet")
    kept, dropped = cost.value
    yield Result(
        f"instructions prepare, {rows:,} of {size:,.0f} bytes",
        f"{rows / cost.seconds:,.0f}/s ({cost.seconds:.1f} s, CPU {cost.cpu:.1f} s), {cost.rss:,.0f} MB",
        f"kept {kept:,}; dropped {', '.join(f'{count:,} {reason}' for reason, count in dropped.items())}",
        f">= {LEAST_RATE:,}/s, < {MOST_MEMORY:,.0f} MB",
        rows / cost.seconds >= LEAST_RATE and cost.rss < MOST_MEMORY,
    )
    some = min(rows, 5000)
    near = measure(find_ours, pool, rows)
    if importlib.util.find_spec("datasketch"):
        other, same = measure(find_by_datasketch, pool, some), measure(find_ours, pool, some)
        beside = f"datasketch {other.seconds / same.seconds:.0f} x as long (of {some:,})"
        faster = other.seconds / same.seconds
    else:
        beside, faster = "datasketch is not installed", LEAST_TIMES
    yield Result(
        f"near duplicates of {rows:,}",
        f"{near.seconds:.1f} s, {near.rss:,.0f} MB with the texts, {near.value:,} found",
        beside,
        f"< {MOST_NEAR_SECONDS:.0f} s, {LEAST_TIMES:.0f} x faster",
        near.seconds < MOST_NEAR_SECONDS and faster >= LEAST_TIMES,
    )
    ours, plain = measure(match_ours, pool, benchmark, some), measure(match_plainly, pool, benchmark, some)
    yield Result(
        f"decontamination of {some:,}",
        f"{ours.seconds:.2f} s, {ours.value:,} found",
        f"plain Python, {NGRAM}-grams only: {plain.seconds:.2f} s, {plain.value:,} found",
        "as fast",
        ours.seconds <= plain.seconds,
    )


def _make_prompt(generator: random.Random, text: list[str], prompts: list[str], number: int) -> str:
    kind = generator.random()
    if number and kind < EXACT_SHARE:
        return generator.choice(prompts)
    if number and kind < EXACT_SHARE + NEAR_SHARE:
        words = generator.choice(prompts).split()
        words[generator.randrange(len(words))] = "changed"
        return " ".join(words)
    count = min(int(generator.lognormvariate(0, SPREAD) * MEDIAN_WORDS) + 4, MOST_WORDS)
    step = generator.randrange(1, 100)  # so that prompts hardly ever share words in a row
    start = generator.randrange(len(text) - count * step)
    return f"{' '.join(text[start : start + count * step : step])} {number}?"


def _read(path: Path, rows: int) -> list[str]:
    with path.open() as file:
        return [json.loads(line)["prompt"] for line, _ in zip(file, range(rows), strict=False)]


def _ngrams(text: str, length: int) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[start : start + length]) for start in range(max(len(words) - length + 1, 1))}
