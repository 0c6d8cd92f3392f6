"""Croissant metadata: the built folder described for machines, as JSON-LD. `render_croissant(manifest, …)`.

Written by hand rather than with `mlcroissant`, which brings a dozen libraries; the tests validate it with
that, and read rows through it. See https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html.

Only of folders in Parquet: Croissant has no encoding format for Arrow streams, and nothing reads them by it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from multifaceted.building.card_header import TAGS
from multifaceted.building.citation import CITATION
from multifaceted.building.config import PublishedConfig
from multifaceted.building.configs import configs_of
from multifaceted.building.fields import Column, describe_columns
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest

CROISSANT = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
PARQUET = "application/x-parquet"
DATA_TYPES = {
    pa.string(): "sc:Text",
    pa.int64(): "cr:Int64",
    pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
}
_NAMES = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
    *("fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath"),
    *("key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "separator", "source", "subField", "transform"),
)
# The terms of the standard, each where it is defined.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _NAMES},
}


def render_croissant(manifest: BuiltManifest) -> str:
    """Return the file's whole text; a function of the manifest and the row models alone."""
    return json.dumps(describe_folder(manifest), indent=2, ensure_ascii=False) + "\n"


def describe_folder(manifest: BuiltManifest) -> dict[str, Any]:
    """Return the JSON-LD as plain data."""
    run = manifest.run
    published = configs_of(run)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": manifest.name,
        "description": (
            "Instructions, each with system messages that state the values of one reader, and responses that"
            " follow them. Made by language models, by the method of the paper cited."
        ),
        "version": f"1.0.0+content.{manifest.digest}",
        **({"license": run.license} if run.license else {}),
        **({"inLanguage": run.language} if run.language else {}),
        "keywords": list(TAGS),
        "citeAs": CITATION,
        "isLiveDataset": False,
        "distribution": [part for config in manifest.configs for part in _distribute(config)],
        "recordSet": [
            part for config in manifest.configs for part in _describe_config(config, published[config.name])
        ],
    }


def find_croissant_faults(text: str, manifest: BuiltManifest) -> Iterator[str]:
    """What is not true of the folder in its Croissant file; words that only explain are not compared."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield f"is not JSON: {error}"
        return
    for key in ("distribution", "recordSet"):
        expected = {part["@id"]: part for part in describe_folder(manifest)[key]}
        listed = found.get(key, []) if isinstance(found, dict) else []
        items = listed if isinstance(listed, list) else []
        parts = {str(part.get("@id")): part for part in items if isinstance(part, dict)}
        for name in sorted(expected.keys() | parts.keys(), key=str):
            if _without_words(parts.get(name)) != _without_words(expected.get(name)):
                yield f"what {key} says of {name!r} is not true of the folder"


def _without_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_words(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _without_words(inner) for key, inner in value.items() if key != "description"}
    return value


def _distribute(config: BuiltConfig) -> Iterator[dict[str, Any]]:
    """Yield each shard with its hash, and all of them as the set that rows are read from."""
    for file in config.files:
        yield {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": PARQUET,
            "sha256": file.sha256,
        }
    yield {
        "@type": "cr:FileSet",
        "@id": _files_of(config),
        "name": _files_of(config),
        "description": f"The shards of config {config.name}.",
        "encodingFormat": PARQUET,
        "includes": [f"{config.name}/{split}-*.parquet" for split in config.splits],
    }


def _describe_config(config: BuiltConfig, published: PublishedConfig) -> Iterator[dict[str, Any]]:
    splits = f"{config.name}_splits"
    yield {
        "@type": "cr:RecordSet",
        "@id": splits,
        "name": splits,
        "description": f"The splits of config {config.name}.",
        "dataType": "cr:Split",
        "key": {"@id": f"{splits}/name"},
        "field": [{"@type": "cr:Field", "@id": f"{splits}/name", "dataType": "sc:Text"}],
        "data": [{f"{splits}/name": name} for name in config.splits],
    }
    fields = [_describe_column(config, column) for column in describe_columns(published.model)]
    yield {
        "@type": "cr:RecordSet",
        "@id": config.name,
        "name": config.name,
        "description": f"{published.summary}; {config.rows} rows.",
        "key": {"@id": f"{config.name}/id"},
        "field": [*fields, _describe_split(config, splits)],
    }


def _describe_split(config: BuiltConfig, splits: str) -> dict[str, Any]:
    """Return the split, which stands in the name of the file alone."""
    names = "|".join(map(re.escape, config.splits))
    return {
        "@type": "cr:Field",
        "@id": f"{config.name}/split",
        "description": "the split that the row is in",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": _files_of(config)},
            "extract": {"fileProperty": "fullpath"},
            # Readers that follow the reference apply it a second time, to what it found.
            "transform": {"regex": rf"^(?:(?:.*/)?{re.escape(config.name)}/)?({names})(?:-[^/]+)?$"},
        },
        "references": {"field": {"@id": f"{splits}/name"}},
    }


def _describe_column(config: BuiltConfig, column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": "/".join((config.name, *column.path)),
        "description": column.meaning,
    }
    if column.repeated:
        described |= {"isArray": True, "arrayShape": "-1"}
    if column.inner:
        return {**described, "subField": [_describe_column(config, inner) for inner in column.inner]}
    innermost = column.type.value_type if column.repeated else column.type
    source: dict[str, Any] = {
        "fileSet": {"@id": _files_of(config)},
        "extract": {"column": column.path[0]},
    }
    if len(column.path) > 1:
        source["transform"] = {"jsonPath": ".".join(map(_path_step, column.path[1:]))}
    return {**described, "dataType": DATA_TYPES[innermost], "source": source}


def _path_step(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def _files_of(config: BuiltConfig) -> str:
    return f"files_of_{config.name}"
