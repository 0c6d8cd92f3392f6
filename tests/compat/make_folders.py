"""Makes the folders that the tests here load: with multifaceted, for environments that have none.

    python tests/compat/make_folders.py OUT

OUT holds `arrow/` and `parquet/`, each with a `multifaceted_collection`, in `rebuilt/` the same with other
rows, in `run/` the run, and in `expected.json` every row by format-independent config and split.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

WHERE = "MULTIFACETED_COMPAT_FOLDERS"  # an environment without multifaceted finds them by this variable
NAME = "multifaceted_collection"
FORMATS = ("arrow", "parquet")


def find_folders(spare: Path) -> Path:
    """The folders that were made before, else new ones in `spare`."""
    if WHERE in os.environ:
        return Path(os.environ[WHERE]).resolve()
    make_folders(spare)
    return spare


def make_folders(out: Path) -> None:
    """Generate two small runs and build each in both formats, in several files."""
    from multifaceted.export import build
    from multifaceted.publish.folder import build_folder
    from multifaceted.store.shards import read_published
    from multifaceted.testing import ChatServer

    out.mkdir(parents=True, exist_ok=True)
    kept = build.BATCH_ROWS, build.ROW_GROUP_ROWS, build.FILE_ROWS
    build.BATCH_ROWS = build.ROW_GROUP_ROWS = build.FILE_ROWS = 20
    try:
        with ChatServer() as server:
            for run, place, seed in (("run", out, 7), ("other", out / "rebuilt", 8)):
                _generate(out, run, server.base_url, seed=seed)
                for file_format in ("arrow", "parquet"):
                    built = build_folder(out / run, place / file_format / NAME, file_format=file_format)
                    if place == out:
                        expected = {
                            config.name: {
                                split: [
                                    row
                                    for file in files
                                    for batch in read_published(place / file_format / NAME / file.path)
                                    for row in batch.to_pylist()
                                ]
                                for split, files in config.splits.items()
                            }
                            for config in built.configs
                        }
        (out / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    finally:
        build.BATCH_ROWS, build.ROW_GROUP_ROWS, build.FILE_ROWS = kept


def _generate(out: Path, run: str, base_url: str, *, seed: int) -> None:
    from multifaceted import pipeline
    from multifaceted.generate.control import RunControl
    from multifaceted.plan import compile_plan

    rows = ({"id": f"i{n}", "prompt": f"Question {n}: why?", "source": f"s{n % 3}"} for n in range(25))
    (out / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = out / f"{run}.yaml"
    recipe.write_text(
        f"seed: {seed}\ninstructions: {{path: instructions.jsonl}}\nshard_rows: 12\n"
        f"model: {{base_url: {base_url!r}, name: m}}\n",
        encoding="utf-8",
    )
    asyncio.run(pipeline.generate(compile_plan(recipe), out / run, control=RunControl()))


if __name__ == "__main__":
    make_folders(Path(sys.argv[1]))
