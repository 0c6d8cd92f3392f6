"""Makes the folders that the tests here load: with multifaceted, for environments that have none.

    python tests/compat/make_folders.py OUT

OUT holds `arrow/` and `parquet/`, each with a `multifaceted_collection` and a `multifaceted_bench`, in
`rebuilt/` a collection with other rows, the runs, and in `expected.json` every row by config and split.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multifaceted.store.built_folder import BuiltManifest

WHERE = "MULTIFACETED_COMPAT_FOLDERS"  # an environment without multifaceted finds them by this variable
NAME = "multifaceted_collection"
BENCH = "multifaceted_bench"
FORMATS = ("arrow", "parquet")


def find_folders(spare: Path) -> Path:
    """The folders that were made before, else new ones in `spare`."""
    if WHERE in os.environ:
        return Path(os.environ[WHERE]).resolve()
    make_folders(spare)
    return spare


def make_folders(out: Path) -> None:
    """Generate two small runs and a bench, and build each in both formats, in several files."""
    from multifaceted.building import write
    from multifaceted.building.folder import build_folder
    from multifaceted.testing import ChatServer

    out.mkdir(parents=True, exist_ok=True)
    kept = write.LAYOUTS, write.FILE_ROWS
    write.LAYOUTS = {name: (layout, 20) for name, (layout, _) in write.LAYOUTS.items()}
    write.FILE_ROWS = 20
    expected = {}
    try:
        with ChatServer() as server:
            _generate(out, "run", server.base_url, seed=7)
            _generate(out, "other", server.base_url, seed=8)
            _generate(out, "bench", server.base_url, kind="bench")
        for name, run, place in (
            *((NAME, "run", out), (BENCH, "bench", out), (NAME, "other", out / "rebuilt")),
        ):
            for file_format in ("arrow", "parquet"):
                built = build_folder(out / run, place / file_format / name, file_format=file_format)
                if place == out and file_format == "arrow":
                    expected[name] = _read_rows(out / file_format / name, built)
    finally:
        write.LAYOUTS, write.FILE_ROWS = kept
    (out / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


def _read_rows(folder: Path, built: "BuiltManifest") -> dict[str, Any]:
    """By config and split, without `datasets`."""
    from multifaceted.store.shards import read_batches

    return {
        config.name: {
            split: [r for file in files for b in read_batches(folder / file.path) for r in b.to_pylist()]
            for split, files in config.splits.items()
        }
        for config in built.configs
    }


def _generate(out: Path, run: str, base_url: str, *, seed: int = 7, kind: str = "collection") -> None:
    from multifaceted import pipeline
    from multifaceted.ask.control import RunControl
    from multifaceted.planning import compile_plan

    rows = ({"id": f"i{n}", "prompt": f"Question {n}: why?", "source": f"s{n % 3}"} for n in range(25))
    (out / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = out / f"{run}.yaml"
    recipe.write_text(
        f"kind: {kind}\nseed: {seed}\ninstructions: {{path: instructions.jsonl}}\nshard_rows: 12\n"
        f"model: {{base_url: {base_url!r}, name: m}}\n",
        encoding="utf-8",
    )
    asyncio.run(pipeline.generate(compile_plan(recipe), out / run, control=RunControl()))


if __name__ == "__main__":
    make_folders(Path(sys.argv[1]))
