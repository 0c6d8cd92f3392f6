"""Building and loading a folder of every config, from a run made up in the original's size and lengths."""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common import Result, measure

from multifaceted.building.folder import build_folder
from multifaceted.ids import hash_file
from multifaceted.kinds import COLLECTION
from multifaceted.records import PreferenceEntry, Row, StageRecord, TokenCount
from multifaceted.store.built_folder import FileFormat
from multifaceted.store.manifest import RunData, write_manifest, write_run
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.shards import create_shard

ORIGINAL_ROWS = 196_998  # of the Multifaceted Collection on the Hub
SHARD_ROWS = 2001
VARIANTS = 3
STAGES = {stage.name: stage.record for stage in COLLECTION.stages}
DIMENSIONS = ("style", "background_knowledge", "informativeness", "harmlessness")
# Characters, so that a row takes the 5.9 KB that the original's rows take.
PROMPT, SYSTEM, OUTPUT, DESCRIPTION = 700, 1000, 2800, 250
MOST_SECONDS, MOST_MEMORY = 300.0, 600.0
MOST_TIMES_PLAIN = 8.0  # the copy is written; looking at the card takes a part of a second


def make_run(path: Path, rows: int, make_row: Callable[[int], Row] | None = None) -> None:
    """Write a whole run folder, as `generate` leaves it."""
    folder = RunFolder(path)
    make_row = make_row or partial(_make_row, text=_make_text())
    summaries = []
    for number, start in enumerate(range(0, rows, SHARD_ROWS)):
        name, count = f"{number:05d}", min(SHARD_ROWS, rows - start)
        with create_shard(folder.rows_file(name), Row) as writer:
            for index in range(start, start + count):
                writer.add(**make_row(index).model_dump())
            writer.commit()
        sha256 = hash_file(folder.rows_file(name))
        summary = ShardSummary(
            name=name,
            fingerprint="f",
            planned=count,
            ok=count,
            failed=0,
            retryable=0,
            failures={},
            sha256=sha256,
        )
        folder.finish(summary)
        summaries.append(summary)
    data = RunData(
        name="multifaceted_collection",
        recipe="f",
        seed=7,
        variants=VARIANTS,
        instructions=rows // VARIANTS,
        instructions_per_shard=SHARD_ROWS // VARIANTS,
        planned=rows,
        stages=STAGES,
        models=dict.fromkeys(STAGES, "m"),
        sampling={stage: {"temperature": 1.0, "top_p": 0.9, "max_tokens": 1024} for stage in STAGES},
        taxonomy={"name": "default", "version": "1.0.0", "fingerprint": "0" * 64},
        templates={"response": "0" * 64},
        shards={summary.name: "f" for summary in summaries},
    )
    write_run(folder, data, {})
    write_manifest(folder, data.model_copy(update={"summaries": summaries}), {})


def build(run: Path, out: Path, file_format: FileFormat) -> tuple[dict[str, int], int]:
    """What `multifaceted build` does; gives rows by config, and bytes."""
    manifest = build_folder(run, out, file_format=file_format)
    return {config.name: config.rows for config in manifest.configs}, sum(c.bytes for c in manifest.configs)


def load(out: Path, cache: Path) -> tuple[float, float]:
    """Seconds that `load_dataset` takes with an empty cache, and those of reading the same files plainly."""
    import datasets  # noqa: PLC0415 - a second that is not ours
    import pyarrow as pa  # noqa: PLC0415

    datasets.disable_progress_bars()
    began = time.perf_counter()
    rows = 0
    for file in sorted((out / "sft").glob("*.arrow")):
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            rows += sum(batch.num_rows for batch in reader if batch.validate(full=True) is None)
    plain, began = time.perf_counter() - began, time.perf_counter()
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(cache))
    assert loaded.num_rows == rows
    return time.perf_counter() - began, plain


def bench(folder: Path, *, rows: int = 30_000) -> Iterator[Result]:
    """Both formats, then loading."""
    run = folder / "run"
    make_run(run, rows)
    seconds = {}
    for file_format in ("arrow", "parquet"):
        out = folder / file_format / "multifaceted_collection"
        cost = measure(build, run, out, file_format)
        counts, size = cost.value
        seconds[file_format] = cost.seconds
        yield Result(
            f"build of {rows:,} rows, {file_format}",
            f"{cost.seconds:.0f} s, {cost.rss:,.0f} MB of memory, {size / 1e6:,.0f} MB written",
            f"{cost.seconds / rows * ORIGINAL_ROWS:.0f} s for {ORIGINAL_ROWS:,}; pairs {counts['dpo']:,}",
            f"< {MOST_SECONDS:.0f} s for both formats, < {MOST_MEMORY:.0f} MB",
            sum(seconds.values()) / rows * ORIGINAL_ROWS < MOST_SECONDS and cost.rss < MOST_MEMORY,
        )
    ours, plain = measure(load, folder / "arrow" / "multifaceted_collection", folder / "cache").value
    yield Result(
        f"load_dataset of {rows:,} rows, cold",
        f"{ours:.2f} s",
        f"reading the Arrow files {plain:.2f} s ({ours / plain:.1f} x); load_dataset writes a copy",
        f"< {MOST_TIMES_PLAIN:.0f} x and a second",
        ours < MOST_TIMES_PLAIN * plain + 1,
    )


def _make_text() -> str:
    generator = random.Random(7)
    words = [
        "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 9)))
        for _ in range(5000)
    ]
    return " ".join(generator.choices(words, k=400_000))


def _make_row(index: int, text: str) -> Row:
    instruction, variant = divmod(index, VARIANTS)

    def cut(length: int, salt: int) -> str:
        start = (index * 7919 + salt * 104_729) % (len(text) - length)
        return text[start : start + length]

    record = StageRecord(
        model="m",
        request_key=f"{index:064x}",
        template="0" * 64,
        tokens=TokenCount(prompt=900, completion=300),
    )
    entries = [
        PreferenceEntry(
            dimension=name, subdimension="clarity", preference="plain", description=cut(DESCRIPTION, salt)
        )
        for salt, name in enumerate(DIMENSIONS)
    ]
    return Row(
        id=f"q{instruction}-v{variant + 1}",
        instruction_id=f"q{instruction}",
        variant=variant + 1,
        main_source=f"source-{instruction % 5}",
        original_source="made-up",
        preference_set=entries,
        system=cut(SYSTEM, 11),
        prompt=text[instruction * 31 % 1_000_000 :][:PROMPT],
        output=cut(OUTPUT, 13),
        seed=index,
        seed_preferences=["style/clarity/plain"],
        taxonomy_version="1.0.0",
        taxonomy_fingerprint="0" * 64,
        preferences=record,
        system_message=record,
        response=record,
    )
