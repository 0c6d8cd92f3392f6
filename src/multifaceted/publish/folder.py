"""Building the published folder: whole beside its place first, then moved there in one step."""

from pathlib import Path

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, Choice, choose
from multifaceted.export.build import read_run_rows, write_configs
from multifaceted.export.choice import keep_rows
from multifaceted.export.summary import summarize_rows
from multifaceted.ids import hash_text
from multifaceted.publish.card import CARD, render_card
from multifaceted.publish.card_template import load_card_template
from multifaceted.publish.croissant import CROISSANT, render_croissant
from multifaceted.store.atomic import replaced_folder, write_text
from multifaceted.store.built_folder import (
    BuiltManifest,
    FileFormat,
    read_built_manifest,
    write_built_manifest,
)
from multifaceted.store.curation import read_kept
from multifaceted.store.manifest import read_whole_run
from multifaceted.store.run_folder import RunFolder


def build_folder(
    run: Path, out: Path, *, file_format: FileFormat = "arrow", card: Path | None = None, curated: bool = True
) -> BuiltManifest:
    """Turn a whole run into a folder that `load_dataset` opens.

    Args:
        run: the run folder.
        out: where to build; an earlier build there is replaced, anything else is left alone.
        file_format: of the published shards.
        card: a template of the card that extends the shipped one.
        curated: leave out the rows that the run's curation drops, where it has one.

    Raises:
        InputError: where that template is missing or wrong. Nothing is written then.
        StorageError: where the run is not whole or damaged, its curation is of other rows, or `out` holds
            something else.
    """
    template = load_card_template(card)
    folder = RunFolder(run)
    data = read_whole_run(folder)
    curation = read_kept(folder, data) if curated else None
    if curation is not None and not curation.summary.kept:
        hint = f"see why with: multifaceted curate {run} --show REASON; or build all rows with --no-curation"
        raise StorageError(f"the curation of {run} drops all of its {data.ok} rows", hint=hint)
    _refuse_foreign(out)
    with replaced_folder(out) as place:
        files = [folder.rows_file(summary.name) for summary in data.summaries]
        published = CONFIGS[data.kind].values()
        kept = curation.kept if curation else None
        chosen = any(config.chosen for config in published)
        choice = choose(read_run_rows(files), data.seed, kept=kept) if chosen else Choice(kept=kept)
        configs = write_configs(files, choice, published, place, file_format)
        present = {config.name for config in configs}
        manifest = BuiltManifest(
            name=data.name,
            file_format=file_format,
            configs=configs,
            absent=[config.name for config in published if config.name not in present],
            left_out=choice.left_out,
            curation=curation.summary if curation else None,
            run=data,
        )
        summary = summarize_rows(keep_rows(read_run_rows(files), choice.kept))
        text = render_card(template, manifest, summary, place)
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
