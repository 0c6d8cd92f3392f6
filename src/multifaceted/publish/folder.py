"""Building the published folder: whole beside its place first, then moved there in one step."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, choose
from multifaceted.export.build import read_run_rows, write_configs
from multifaceted.export.choice import keep_rows
from multifaceted.export.summary import summarize_rows
from multifaceted.ids import hash_text
from multifaceted.publish.card import CARD, render_card
from multifaceted.store.atomic import translate_os_errors, write_text
from multifaceted.store.built_folder import (
    BuiltManifest,
    FileFormat,
    read_built_manifest,
    write_built_manifest,
)
from multifaceted.store.curation import read_kept
from multifaceted.store.manifest import RunData, read_manifest
from multifaceted.store.run_folder import RunFolder


def build_folder(
    run: Path, out: Path, *, file_format: FileFormat = "arrow", curated: bool = True
) -> BuiltManifest:
    """Turn a whole run into a folder that `load_dataset` opens.

    Args:
        run: the run folder.
        out: where to build; an earlier build there is replaced, anything else is left alone.
        file_format: of the published shards.
        curated: leave out the rows that the run's curation drops, where it has one.

    Raises:
        StorageError: where the run is not whole or damaged, its curation is of other rows, or `out` holds
            something else.
    """
    folder = RunFolder(run)
    data = _read_whole_run(folder)
    curation = read_kept(folder, data) if curated else None
    if curation is not None and not curation.summary.kept:
        hint = f"see why with: multifaceted curate {run} --show REASON; or build all rows with --no-curation"
        raise StorageError(f"the curation of {run} drops all of its {data.ok} rows", hint=hint)
    _refuse_foreign(out)
    with _replaced(out) as place:
        files = [folder.rows_file(summary.name) for summary in data.summaries]
        choice = choose(read_run_rows(files), data.seed, kept=curation.kept if curation else None)
        configs = write_configs(files, choice, CONFIGS, place, file_format)
        present = {config.name for config in configs}
        manifest = BuiltManifest(
            name=data.name,
            file_format=file_format,
            configs=configs,
            absent=[config.name for config in CONFIGS if config.name not in present],
            left_out=choice.left_out,
            curation=curation.summary if curation else None,
            run=data,
        )
        card = render_card(manifest, summarize_rows(keep_rows(read_run_rows(files), choice.kept)))
        write_text(place / CARD, card)
        manifest = manifest.model_copy(update={"metadata": {CARD: hash_text(card)}})
        write_built_manifest(place, manifest)
    return manifest


def _read_whole_run(folder: RunFolder) -> RunData:
    data = read_manifest(folder)
    if data is None:
        hint = f"finish it with: multifaceted generate recipe.yaml --run {folder.path}"
        raise StorageError(f"{folder.path} holds no finished run", hint=hint)
    faults = folder.verify(data.summaries)
    if faults:
        hint = "run `multifaceted generate` again: the rows come back from the journal"
        raise StorageError("\n".join(faults), hint=hint)
    if not data.ok:
        hint = f"see {folder.path}/shards/*/failures.jsonl for the reasons"
        raise StorageError(f"{folder.path} has no finished row, all {data.failed} failed", hint=hint)
    return data


def _refuse_foreign(out: Path) -> None:
    if Path.cwd().is_relative_to(out.resolve()):
        hint = "name a folder below this one, such as --out multifaceted_collection"
        raise StorageError(f"{out} is the present folder or above it, and would be replaced", hint=hint)
    if out.exists() and not (out.is_dir() and (read_built_manifest(out) or not any(out.iterdir()))):
        hint = "name another folder with --out, or move this one away"
        raise StorageError(f"{out} exists and was not made by `multifaceted build`", hint=hint)


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A fresh folder beside `out`, which takes its place if nothing goes wrong."""
    fresh = out.with_name(f".{out.name}.building")
    old = out.with_name(f".{out.name}.replaced")
    with translate_os_errors(out):
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            yield fresh
            if out.exists():
                out.rename(old)
            fresh.rename(out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
