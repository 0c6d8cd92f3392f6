"""Folders that commands write into: nothing of anybody's is lost, wherever the process ends."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from conftest import write_recipe
from fork_server import run_multifaceted
from test_generate import run

from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import LockedError, StorageError
from multifaceted.ids import hash_file
from multifaceted.instructions.files import open_files
from multifaceted.store import moves, output_folder
from multifaceted.store.built_folder import read_built_files, read_built_manifest
from multifaceted.store.curation import CurationData, read_curation, write_curation
from multifaceted.store.output_folder import read_record, replaced_output, settle_output, write_record
from multifaceted.store.run_folder import MANIFEST
from multifaceted.testing import ChatServer

# What changes the names that a disk holds; a process is killed before and after each.
CALLS = ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync")
Write = Callable[[Path], object]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two small runs that give different folders."""
    with ChatServer() as server:
        found = []
        for seed in (1, 2):
            folder = tmp_path_factory.mktemp(f"run{seed}")
            run(write_recipe(folder, server.base_url, count=2, variants=2, seed=seed), folder / "run")
            build_folder(folder / "run", folder / "built")
            found.append(folder / "run")
    return found[0], found[1]


def contents(folder: Path) -> dict[str, str]:
    """Every file in a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): hash_file(p) for p in folder.rglob("*") if p.is_file()}


def kill_at(step: int, write: Callable[[], object], *, can_swap: bool) -> bool:
    """Do it in a process that is killed at the given step; False where it ended before."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = step

    def count() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **keys: object) -> object:
            count()
            result = call(*args, **keys)
            count()
            return result

        return wrapped

    try:
        with ExitStack() as stack:
            for name in CALLS:
                stack.enter_context(patch.object(os, name, counted(getattr(os, name))))
            swap = counted(moves.swap_folders) if can_swap else lambda *_: False
            stack.enter_context(patch.object(output_folder, "swap_folders", swap))
            write()
    finally:
        os._exit(0)


def count_steps(tmp_path: Path, before: Path, write: Write, *, can_swap: bool) -> Iterator[tuple[int, Path]]:
    """Fresh copies of a folder, in each of which the process was killed one step later."""
    for step in range(10_000):
        place = tmp_path / f"step{step}"
        shutil.copytree(before, place, symlinks=True)
        if not kill_at(step, partial(write, place), can_swap=can_swap):
            return
        yield step, place


def prepared(place: Path, *prompts: str) -> None:
    with open_files(place / "out.jsonl") as files:
        for prompt in prompts:
            files.out.add(id=prompt, prompt=prompt, source="s", original_source="o", license="MIT")
        files.settle({})


def recorded(out: Path, files: dict[str, str]) -> None:
    """Write as `report` and `export` do, but nothing that takes long."""
    with replaced_output(
        out, command="report", read_owned=lambda folder: read_record(folder, "report")
    ) as fresh:
        for name, text in files.items():
            (fresh / name).parent.mkdir(exist_ok=True)
            (fresh / name).write_text(text)
        write_record(fresh, "report")


def rebuilt(out: Path, run: Path) -> None:
    """Write what was built before as `build` does: Arrow's threads do not live in a forked process."""
    with replaced_output(out, command="build", marker=MANIFEST, read_owned=read_built_files) as fresh:
        shutil.copytree(run.with_name("built"), fresh, dirs_exist_ok=True)


class Record(pl.DataFrame):
    """Writes without Polars' threads, which a forked process has not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def write_parquet(self, file: Path) -> None:  # type: ignore[override]
        file.write_text(self.text)


def curated(place: Path, *, kept: int) -> None:
    record = Record(f"{kept} are kept")
    data = CurationData(
        recipe="r", kept=kept, dropped=2 - kept, reasons={}, notes={}, filters={}, shards={}, record=""
    )
    write_curation(place, record, data, {})


def interrupted(command: str, out: Path) -> None:
    """Begin to write again, and be interrupted; of what is only read, reading is enough."""
    if command != "prepare":
        settle_output(out)
        return
    with suppress(KeyboardInterrupt), open_files(out / "out.jsonl"):
        raise KeyboardInterrupt


WRITERS: dict[
    str, tuple[Callable[[Path, tuple[Path, Path]], object], Callable[[Path, tuple[Path, Path]], object]]
] = {
    "build": (lambda out, runs: rebuilt(out, runs[0]), lambda out, runs: rebuilt(out, runs[1])),
    "report": (
        lambda out, _: recorded(out, {"index.html": "old", "figures/one.svg": "1", "figures/two.svg": "2"}),
        lambda out, _: recorded(out, {"index.html": "new", "figures/one.svg": "3"}),
    ),
    "curate": (lambda out, _: curated(out, kept=1), lambda out, _: curated(out, kept=2)),
    "prepare": (
        lambda out, _: prepared(out, "Why does it rain?"),
        lambda out, _: prepared(out, "Why does it rain?", "Why does it snow?"),
    ),
}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("build", "alone"),
        ("build", "with notes"),
        ("report", "no swap"),
        ("curate", "with notes"),
        ("prepare", "with notes"),
    ],
)
def test_wherever_a_process_is_killed_the_old_or_the_new_is_there(
    command: str, kind: str, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    before, after = (tmp_path / name / "out" for name in ("before", "after"))
    write_old, write_new = WRITERS[command]
    for out in (before, after):
        out.parent.mkdir()
        if command == "prepare":
            out.mkdir()
        write_old(out, runs)
    if kind == "with notes":
        (before / "notes.txt").write_text("years of work")
        (after / "notes.txt").write_text("years of work")
    old = contents(before)
    write_new(after, runs)
    new = contents(after)
    assert old != new
    steps = count_steps(
        tmp_path, before.parent, lambda place: write_new(place / "out", runs), can_swap=kind != "no swap"
    )
    killed = 0
    for step, place in steps:
        killed += 1
        out = place / "out"
        if step % 3 == 0:  # the next attempt is killed too, somewhere else
            kill_at(step * 7 % 60, partial(write_new, out, runs), can_swap=kind != "no swap")
        interrupted(command, out)
        assert contents(out) in (old, new), step
        write_new(out, runs)
        assert contents(out) == new
        assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    assert killed > 5


def test_files_of_somebody_stay_and_are_in_nobodys_way(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_folder(runs[0], out)
    (out / ".git").mkdir()
    (out / ".git/config").write_text("mine")
    (out / "notes.txt").write_text("mine")
    (out / "README.md").write_text("edited")
    (out / "empty").mkdir()
    build_folder(runs[1], out, file_format="parquet")
    assert (out / ".git/config").read_text() == (out / "notes.txt").read_text() == "mine"
    assert (out / "README.md.edited").read_text() == "edited"
    assert (out / "empty").is_dir()
    assert check_folder(out) == []
    assert not list(out.glob("*/*.arrow"))
    manifest = read_built_manifest(out)
    assert manifest is not None
    assert manifest.file_format == "parquet"
    (out / "README.md").write_text("edited again")
    build_folder(runs[1], out, file_format="parquet")
    assert (out / "README.md.edited-2").read_text() == "edited again"


def test_a_file_in_the_way_is_named_and_nothing_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_folder(runs[0], out)
    (out / "croissant.json").write_text("mine")
    before = contents(out)
    with pytest.raises(
        StorageError, match=r"in the way, and not made by this tool: .*croissant.json; nothing"
    ):
        build_folder(runs[1], out, file_format="parquet")
    assert contents(out) == before
    (out / "croissant.json").unlink()
    shutil.move(out / "sft", tmp_path / "elsewhere")
    (out / "sft").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="in the way"):
        build_folder(runs[1], out)


def test_an_output_never_holds_what_is_read_nor_lies_in_it(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = runs[0]
    before = contents(place)
    (tmp_path / "link").symlink_to(place)
    for out in (place, place / "built", place.parent, tmp_path / "link/built", tmp_path / "link"):
        with pytest.raises(StorageError, match="which this command reads"):
            build_folder(place, out)
    monkeypatch.chdir(place.parent)
    with pytest.raises(StorageError, match="which this command reads"):
        build_folder(Path("run"), Path())
    assert contents(place) == before


def test_a_link_to_a_folder_is_followed_and_stays(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    (tmp_path / "new").symlink_to("not-yet")
    for out in ("out", "new"):
        for place in (*runs, runs[1]):
            build_folder(place, tmp_path / out)
        assert (tmp_path / out).is_symlink()
        assert check_folder(tmp_path / out) == []


def test_the_present_folder_is_written_into_and_stays(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in runs:
        build_folder(place, Path())
        assert check_folder(Path()) == []
    assert os.path.samefile(Path.cwd(), tmp_path)  # noqa: PTH121 - what the process holds, and what the name leads to


@pytest.mark.parametrize("what", ["file", "fifo", "loop", "/dev/null", "a\0b", "n" * 300])
def test_what_can_be_no_folder_is_refused(what: str, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / what
    if what == "file":
        out.write_text("mine")
    elif what == "fifo":
        os.mkfifo(out)
    elif what == "loop":
        out.symlink_to("loop")
    with pytest.raises(StorageError):
        build_folder(runs[0], out)
    assert what != "file" or out.read_text() == "mine"


def test_of_two_at_work_one_wins_and_the_other_says_who(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with replaced_output(out, command="build", read_owned=lambda _: None) as fresh:
        (fresh / "one").write_text("1")
        with (
            pytest.raises(LockedError, match=rf"multifaceted build, process {os.getpid()} on "),
            replaced_output(out, command="report", read_owned=lambda _: None),
        ):
            raise AssertionError("both")
    assert contents(out) == {"one": hash_file(out / "one")}
    assert list(tmp_path.iterdir()) == [out]


def test_what_only_looks_like_ours_is_left_alone(runs: tuple[Path, Path], tmp_path: Path) -> None:
    names = (".out.replaced", ".out.writing", ".out.multifaceted")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis").write_text("mine")
    with pytest.raises(StorageError, match="not written by multifaceted"):
        build_folder(runs[0], tmp_path / "out")
    shutil.rmtree(tmp_path / names[2])
    build_folder(runs[0], tmp_path / "out")
    assert (tmp_path / names[0] / "thesis").exists()
    assert (tmp_path / names[1] / "thesis").exists()


def test_a_curation_never_overwrites_a_file_of_somebody(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "record.parquet").write_text("mine")
    made = run_multifaceted("curate", runs[0], "--out", tmp_path)
    assert made.returncode == 2
    assert "was not made by `multifaceted curate`" in made.stderr
    assert (tmp_path / "record.parquet").read_text() == "mine"
    (tmp_path / "own").mkdir()
    (tmp_path / "own/curation.json").write_text('{"mine": 1}')
    assert run_multifaceted("curate", runs[0], "--out", tmp_path / "own").returncode == 0
    assert (tmp_path / "own/curation.json.edited").read_text() == '{"mine": 1}'
    assert read_curation(tmp_path / "own") is not None
