"""The import direction: what each part of the package may import of the others, and who reaches outside."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import multifaceted

ROOT = Path(str(multifaceted.__file__)).parent
FLOOR = {
    *("credentials", "errors", "extras", "fieldtypes", "ids", "inputfile", "jinjafile", "jinjalimits"),
    *("jinjasizes", "licenses", "proxies", "strictmodel", "yamlfile", "yamllimits"),
}
# What stands on the floor, and for each other part what it may import besides.
BESIDES = {
    "taxonomy": "",
    "models": "",
    "testing": "",
    "records": "taxonomy",
    "prompts": "records",
    "stages": "prompts records taxonomy",
    "kinds": "stages",
    "languages": "",
    "similar": "",
    "instructions": "languages records similar store",
    "planning": "instructions kinds models prompts records stages taxonomy",
    "chat": "models records",
    "journal": "records",
    "store": "journal kinds records",
    "ask": "chat journal models prompts records",
    "batch": "ask chat journal models records store",
    "generation": "ask batch chat instructions journal models planning records stages store",
    "curation": "ask batch chat journal languages models prompts records similar stages store",
    "building": "curation kinds records store",
    "exporting": "building store",
    "publishing": "building store",
    "reporting": "building similar store taxonomy",
    "why": "ask chat curation building generation journal planning records store",
}
MAY_IMPORT = {part: {*names.split(), *FLOOR} for part, names in BESIDES.items()}
MAY_IMPORT |= {part: set() for part in ("__init__", *FLOOR)}
MAY_IMPORT |= {"proxies": {"credentials", "errors", "extras"}, "extras": {"errors"}, "inputfile": {"errors"}}
MAY_IMPORT |= {"jinjafile": {"jinjalimits"}, "jinjalimits": {"jinjasizes"}}
MAY_IMPORT["yamlfile"] = {"credentials", "errors", "inputfile", "yamllimits"}
MAY_IMPORT["errors"] = {"credentials"}
MAY_IMPORT["pipeline"] = set(MAY_IMPORT) - {"__init__", "testing"}
MAY_IMPORT["cli"] = {"pipeline", *MAY_IMPORT["pipeline"]}
MAY_IMPORT["__main__"] = {"cli"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "builders")
BUILDERS = sorted((ROOT / "builders").resolve().glob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    names = [name.split(".") for name in imported_names(path)]
    return {parts[1] for parts in names if parts[0] == "multifaceted" and len(parts) > 1}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_part_may(path: Path) -> None:
    part = part_of(path)
    assert imported_parts(path) - {part} <= MAY_IMPORT[part]


def test_the_table_names_only_parts_that_exist() -> None:
    assert {part_of(path) for path in MODULES} == set(MAY_IMPORT)


def test_nothing_is_imported_relatively() -> None:
    names = [name for path in MODULES + BUILDERS for name in imported_names(path)]
    assert [name for name in names if name.startswith(".")] == []


def test_builders_import_the_package_and_never_the_reverse() -> None:
    assert any(imported_parts(path) - {"builders"} for path in BUILDERS)
    assert [path.name for path in MODULES if "builders" in imported_parts(path)] == []


def test_only_publishing_weights_and_proxies_import_the_hub() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for name in imported_names(path)
        if name.split(".")[0] == "huggingface_hub"
    }
    assert importers
    others = {name for name in importers if not name.startswith("publishing/")}
    assert others <= {"building/card_header.py", "chat/weights.py", "proxies.py"}


def test_the_taxonomy_is_imported_without_the_heavy_libraries() -> None:
    heavy = "{'datasets', 'polars', 'openai', 'torch', 'pyarrow', 'huggingface_hub'}"
    code = f"import sys, multifaceted.taxonomy; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_command_line_starts_without_the_sdk() -> None:
    code = "import sys, multifaceted.cli; print('openai' in sys.modules, 'datasets' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False False"
