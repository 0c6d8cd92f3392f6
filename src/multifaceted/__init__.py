"""Build and curate preference datasets: instructions in, a Multifaceted Collection out.

    import multifaceted as mf

    recipe = mf.Recipe(instructions=["Why is the sky blue?"], model={"base_url": "…", "name": "mine"})
    run = mf.generate(recipe, "run")
    mf.curate(run)
    mf.build(run, "multifaceted_collection").load()

Everything that the command line does is here, under the names of its commands. What a name needs is imported
when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multifaceted.api.building import build as build
    from multifaceted.api.building import check as check
    from multifaceted.api.built import BuiltFolder as BuiltFolder
    from multifaceted.api.curating import Curated as Curated
    from multifaceted.api.curating import curate as curate
    from multifaceted.api.curating import list_filters as list_filters
    from multifaceted.api.exporting import export as export
    from multifaceted.api.generating import generate as generate
    from multifaceted.api.generating import retry as retry
    from multifaceted.api.hub import pull as pull
    from multifaceted.api.hub import push as push
    from multifaceted.api.planning import plan as plan
    from multifaceted.api.planning import try_rows as try_rows
    from multifaceted.api.prompts import preview as preview
    from multifaceted.api.reporting import diff as diff
    from multifaceted.api.reporting import report as report
    from multifaceted.api.runs import Run as Run
    from multifaceted.api.runs import open_run as open_run
    from multifaceted.api.starting import init as init
    from multifaceted.api.starting import install_model as install_model
    from multifaceted.api.starting import prepare_instructions as prepare_instructions
    from multifaceted.curation.classifier import classifier as classifier
    from multifaceted.curation.frame import find as find
    from multifaceted.errors import MultifacetedError as MultifacetedError
    from multifaceted.planning.recipe import Recipe as Recipe
    from multifaceted.planning.recipe import load_recipe as load_recipe
    from multifaceted.taxonomy import Taxonomy as Taxonomy
    from multifaceted.taxonomy import diff_taxonomies as diff_taxonomies
    from multifaceted.taxonomy import load_taxonomy as load_taxonomy
    from multifaceted.taxonomy import taxonomy_schema as taxonomy_schema
    from multifaceted.why.rows import iter_rows as iter_rows

    __version__: str

# The module that each name is in.
_HOMES = {
    "BuiltFolder": "api.built",
    "Curated": "api.curating",
    "MultifacetedError": "errors",
    "Recipe": "planning.recipe",
    "Run": "api.runs",
    "Taxonomy": "taxonomy",
    "build": "api.building",
    "check": "api.building",
    "classifier": "curation.classifier",
    "curate": "api.curating",
    "diff": "api.reporting",
    "diff_taxonomies": "taxonomy",
    "export": "api.exporting",
    "find": "curation.frame",
    "generate": "api.generating",
    "init": "api.starting",
    "install_model": "api.starting",
    "iter_rows": "why.rows",
    "list_filters": "api.curating",
    "load_recipe": "planning.recipe",
    "load_taxonomy": "taxonomy",
    "open_run": "api.runs",
    "plan": "api.planning",
    "prepare_instructions": "api.starting",
    "preview": "api.prompts",
    "pull": "api.hub",
    "push": "api.hub",
    "report": "api.reporting",
    "retry": "api.generating",
    "taxonomy_schema": "taxonomy",
    "try_rows": "api.planning",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - these are strings


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415 - most do without

        return metadata.version("multifaceted")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
