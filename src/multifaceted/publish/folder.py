"""Building the published folder: whole beside its place first, then moved there in one step."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, Choice, choose
from multifaceted.export.build import read_run_rows, write_configs
from multifaceted.export.summary import summarize_rows
from multifaceted.ids import hash_text
from multifaceted.publish.card import CARD, render_card
from multifaceted.publish.card_template import load_card_template
from multifaceted.publish.croissant import CROISSANT, render_croissant
from multifaceted.store.atomic import translate_os_errors, write_text
from multifaceted.store.built_folder import (
    BuiltManifest,
    FileFormat,
    read_built_manifest,
    write_built_manifest,
)
from multifaceted.store.manifest import read_whole_run
from multifaceted.store.run_folder import RunFolder


def build_folder(
    run: Path, out: Path, *, file_format: FileFormat = "arrow", card: Path | None = None
) -> BuiltManifest:
    """Turn a whole run into a folder that `load_dataset` opens.

    Args:
        run: the run folder.
        out: where to build; an earlier build there is replaced, anything else is left alone.
        file_format: of the published shards.
        card: a template of the card that extends the shipped one.

    Raises:
        InputError: where that template is missing or wrong. Nothing is written then.
        StorageError: where the run is not whole or damaged, or `out` holds something else.
    """
    template = load_card_template(card)
    folder = RunFolder(run)
    data = read_whole_run(folder)
    _refuse_foreign(out)
    with _replaced(out) as place:
        files = [folder.rows_file(summary.name) for summary in data.summaries]
        published = CONFIGS[data.kind].values()
        chosen = any(config.chosen for config in published)
        choice = choose(read_run_rows(files), data.seed) if chosen else Choice()
        configs = write_configs(files, choice, published, place, file_format)
        present = {config.name for config in configs}
        manifest = BuiltManifest(
            name=data.name,
            file_format=file_format,
            configs=configs,
            absent=[config.name for config in published if config.name not in present],
            left_out=choice.left_out,
            run=data,
        )
        text = render_card(template, manifest, summarize_rows(read_run_rows(files)), place)
        texts = {CARD: text}
        if file_format == "parquet":
            texts[CROISSANT] = render_croissant(manifest)
        for name, content in texts.items():
            write_text(place / name, content)
        metadata = {name: hash_text(content) for name, content in texts.items()}
        manifest = manifest.model_copy(update={"metadata": metadata})
        write_built_manifest(place, manifest)
    return manifest


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
