"""Pushing, and pushing again after ten rows were made anew: how much is sent, by file and by chunk.

The loopback hub takes whole files (LFS). The Hub itself takes chunks (Xet): those are counted by the client's
own library, which cuts both versions into chunks and stores them in a folder.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import build
from common import Result, measure

from multifaceted.building.folder import build_folder
from multifaceted.ids import hash_file
from multifaceted.records import Row
from multifaceted.store.built_folder import FileFormat
from multifaceted.store.manifest import read_manifest, write_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import create_shard, read_rows
from multifaceted.testing import HubServer

REMADE = 10
REPO = "org/multifaceted_collection"
MOST_SENT = 0.1  # of all bytes, by chunk


def remake_rows(run: Path, rows: int) -> None:
    """Give ten rows, spread over the run, another output, as `retry` with another seed does."""
    folder = RunFolder(run)
    data = read_manifest(folder)
    assert data is not None
    wanted = {rows * number // REMADE for number in range(REMADE)}
    summaries, index = [], 0
    for summary in data.summaries:
        file = folder.rows_file(summary.name)
        changed = [
            row if number not in wanted else row.model_copy(update={"output": f"Anew. {row.output[::-1]}"})
            for number, row in enumerate(read_rows(file, Row), index)
        ]
        index += len(changed)
        with create_shard(file, Row) as writer:
            for row in changed:
                writer.add(**row.model_dump())
            writer.commit()
        summaries.append(summary.model_copy(update={"sha256": hash_file(file)}))
    write_manifest(folder, data.model_copy(update={"summaries": summaries}), {})


def push_both(folders: list[Path], home: Path) -> list[tuple[int, int]]:
    """Bytes sent and commits made by each `multifaceted push` to a loopback hub."""
    sent = []
    with HubServer(token="hf_any") as hub:
        for folder in folders:
            before = hub.uploaded_bytes, hub.commits
            command = [sys.executable, "-m", "multifaceted", "push", str(folder), REPO, "--yes"]
            environment = {**os.environ, **hub.environment, "HF_HOME": str(home)}
            subprocess.run(command, env=environment, check=True, capture_output=True)
            sent.append((hub.uploaded_bytes - before[0], hub.commits - before[1]))
    return sent


def count_chunks(folders: list[Path], store: Path) -> list[int]:
    """Bytes that the Hub's own storage takes of each folder, pushed one after the other."""
    os.environ["HF_XET_CACHE"] = str(store / "cache")
    import hf_xet  # noqa: PLC0415 - reads that when it is imported

    session = hf_xet.XetSession()
    sent = []
    for folder in folders:
        commit = session.new_upload_commit(endpoint=f"local://{store}")
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            commit.start_upload_file(str(file), sha256=hf_xet.COMPUTE_SHA256)
        sent.append(commit.wait_to_finish().dedup_metrics.total_bytes_uploaded)
    return sent


def bench(folder: Path, *, rows: int = 30_000) -> Iterator[Result]:
    """Both formats."""
    formats: tuple[FileFormat, ...] = ("parquet", "arrow")
    for file_format in formats:
        run, place = folder / f"run-{file_format}", folder / file_format
        build.make_run(run, rows)
        build_folder(run, place / "first", file_format=file_format)
        remake_rows(run, rows)
        build_folder(run, place / "second", file_format=file_format)
        folders = [place / "first", place / "second"]
        (first, _), (second, commits) = push_both(folders, place / "home")
        (place / "store").mkdir()
        chunks = measure(count_chunks, folders, place / "store").value
        share = chunks[1] / chunks[0]
        yield Result(
            f"second push after {REMADE} of {rows:,} rows were made anew, {file_format}",
            f"by chunk {chunks[1] / 1e6:.1f} of {chunks[0] / 1e6:.0f} MB ({share:.1%})",
            f"by whole file {second / 1e6:.0f} of {first / 1e6:.0f} MB; commits: {commits}",
            f"by chunk < {MOST_SENT:.0%}",
            share < MOST_SENT and commits == 1,
        )
