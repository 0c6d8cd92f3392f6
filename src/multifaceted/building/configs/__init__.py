"""Published configs, one file each: `configs_of(run)["sft"].schema`.

Every module in this package that holds a `PublishedConfig` at its top level adds one. Nothing else has to be
edited: the card, Croissant, `check` and the `datasets` builder read all they say from the config itself.
"""

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from multifaceted.building.config import PublishedConfig
from multifaceted.kinds import KINDS, KindName
from multifaceted.store.manifest import AddedColumn, RunData


def _find_configs() -> Iterator[PublishedConfig]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        values = vars(import_module(f"{__name__}.{module.name}")).values()
        yield from (value for value in values if isinstance(value, PublishedConfig))


def _list_configs(kind: KindName) -> dict[str, PublishedConfig]:
    # A module may import the config of another one.
    found = {config.name: config for config in _find_configs() if config.kind == kind}
    return dict(sorted(found.items(), key=lambda item: item[1].order))


# What a run of each kind is published as; the first has all rows and is the default of `load_dataset`.
CONFIGS: dict[KindName, dict[str, PublishedConfig]] = {kind: _list_configs(kind) for kind in KINDS}


def configs_of(run: RunData) -> dict[str, PublishedConfig]:
    """Return what a run is published as, by name, with the columns that its recipe adds."""
    return _widen_configs(run.kind, tuple(column.model_dump_json() for column in run.added))


@cache
def _widen_configs(kind: KindName, added: tuple[str, ...]) -> dict[str, PublishedConfig]:
    # Once for each set of columns: a schema is kept for each model that there is.
    columns = [AddedColumn.model_validate_json(column) for column in added]
    return {name: config.widen(columns) for name, config in CONFIGS[kind].items()}
