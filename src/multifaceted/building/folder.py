"""Building the published folder: whole beside its place first, then moved there."""

from pathlib import Path

from multifaceted.building.card import CARD, render_card
from multifaceted.building.card_template import load_card_template
from multifaceted.building.croissant import CROISSANT, render_croissant
from multifaceted.building.source import RunSource, open_run
from multifaceted.building.summary import summarize_rows
from multifaceted.building.write import write_configs
from multifaceted.errors import StorageError
from multifaceted.ids import hash_text
from multifaceted.store.atomic import write_text
from multifaceted.store.built_folder import (
    BuiltManifest,
    FileFormat,
    read_built_files,
    write_built_manifest,
)
from multifaceted.store.loadable import require_loadable
from multifaceted.store.manifest import read_whole_run
from multifaceted.store.output_folder import replaced_output
from multifaceted.store.run_folder import MANIFEST, RunFolder


def build_folder(
    run: Path,
    out: Path,
    *,
    file_format: FileFormat = "arrow",
    card: Path | None = None,
    curated: bool = True,
    partial: bool = False,
) -> BuiltManifest:
    """Turn a run into a folder that `load_dataset` opens.

    Args:
        run: the run folder.
        out: where to build; the files of an earlier build there are replaced, and no others; what was edited
            by hand is kept aside.
        file_format: of the published shards.
        card: a template of the card that extends the shipped one.
        curated: leave out the rows that the run's curation drops, where it has one.
        partial: of an unfinished run, take the rows that are done, and say so; no curation is applied.

    Raises:
        InputError: where that template is missing or wrong. Nothing is written then.
        StorageError: where the run has to be finished and is not, or has no finished row; is damaged,
            its curation is of other rows, or something else is in the way at `out`.
    """
    require_loadable(out)
    template = load_card_template(card)
    source = _open_partial(run, curated=curated) if partial else _open_whole(run, curated=curated)
    if source.curation is not None and not source.curation.kept:
        hint = f"see why with: multifaceted curate {run} --show REASON; or build all rows with --no-curation"
        raise StorageError(f"the curation of {run} drops all of its {source.run.ok} rows", hint=hint)
    inputs = [run, *([card] if card else [])]
    with replaced_output(
        out, command="build", marker=MANIFEST, inputs=inputs, read_owned=read_built_files
    ) as staging:
        manifest = _write_rows(source, staging, file_format)
        summary = summarize_rows(source.read_rows(), source.run.stages)
        texts = {CARD: render_card(template, manifest, summary, staging)}
        if file_format == "parquet":
            texts[CROISSANT] = render_croissant(manifest)
        for name, content in texts.items():
            write_text(staging / name, content)
        metadata = {name: hash_text(content) for name, content in texts.items()}
        manifest = manifest.model_copy(update={"metadata": metadata})
        write_built_manifest(staging, manifest)
    return manifest


def _open_whole(run: Path, *, curated: bool) -> RunSource:
    otherwise = "; or build the rows that are done with --partial"
    read_whole_run(RunFolder(run), verified=False, otherwise=otherwise)
    return open_run(run, curated=curated)


def _open_partial(run: Path, *, curated: bool) -> RunSource:
    source = open_run(run, curated=curated, whole=False)
    if not source.run.ok:
        hint = f"see how far it is with: multifaceted status {run}"
        raise StorageError(f"{run} has no finished row yet", hint=hint)
    return source


def _write_rows(source: RunSource, staging: Path, file_format: FileFormat) -> BuiltManifest:
    configs = write_configs(source, staging, file_format)
    present = {config.name for config in configs}
    return BuiltManifest(
        name=source.run.name,
        file_format=file_format,
        configs=configs,
        absent=[name for name in source.configs if name not in present],
        left_out=source.left_out,
        fitting=dict(source.fitting),
        curation=source.curation,
        pending=source.run.counts["pending"],
        run=source.run,
    )
