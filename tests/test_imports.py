"""The import direction: what each part of the package may import of the others, and who reaches outside."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeRecipe

import multifaceted
from multifaceted.testing import ChatServer

ROOT = Path(str(multifaceted.__file__)).parent
ARCHITECTURE = ROOT.parents[1] / "docs/explanation/architecture.md"


def read_table() -> dict[str, set[str]]:
    """What each part may import, as the table in the architecture page says it; `floor` is a set of parts."""
    rows = re.findall(r"^\| (`.+?) \| .+ \| (.+) \|$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    table: dict[str, set[str]] = {}
    floor: set[str] = set()
    for parts, allowed in rows:
        names = re.findall(r"`(\w+)(?:\.py|/)?`", parts)
        may = set(re.findall(r"\w+", allowed.partition(";")[0])) - {"nothing"}
        floor |= set(names) if "(floor)" in parts else set()
        if "above" in may:
            may = set(table)
        table |= dict.fromkeys(names, may)
    return {name: (may - {"floor"}) | (floor if "floor" in may else set()) for name, may in table.items()}


MAY_IMPORT = read_table()
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


CPU = """
import resource, sys
sys.argv = ["multifaceted", "--help"]
{}
try:
    {}
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, *sorted(sys.modules), file=sys.stderr)
"""
HEAVY = {"aiohttp", "datasets", "httpx2", "numpy", "openai", "pandas", "polars", "pyarrow", "pydantic"}


def measure_start(imports: str, call: str) -> tuple[float, set[str]]:
    """Seconds of CPU that a start takes, the least of five; and the modules that it imported."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", CPU.format(imports, call)], capture_output=True, text=True, check=True
        ).stderr.split()
        for _ in range(5)
    ]
    return min(float(words[0]) for words in runs), set(runs[0][1:])


def test_help_takes_little_more_than_typer_and_rich() -> None:
    least, _ = measure_start("import typer, typer.rich_utils, rich.console, rich.table", "pass")
    used, modules = measure_start("from multifaceted.__main__ import main", "main()")
    assert modules & HEAVY == set()
    assert used < least + 0.25


SPENDING = """
import sys
import multifaceted as mf
folder, live, batch, judges = sys.argv[1:]
run = mf.generate(live, folder + "/run", progress=False)
mf.retry(run, progress=False)
mf.curate(run, judges, progress=False)
mf.generate(batch, folder + "/batches", progress=False)
print("pandas" in sys.modules)
"""


def test_nothing_that_talks_to_endpoints_imports_pandas(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Some functions of Arrow import it where it is installed: two seconds in which no reply is read."""
    live = make_recipe(server.base_url, count=3, variants=1, shard_rows=2)
    batch = make_recipe(
        server.base_url, name="b.yaml", count=3, variants=1, mode="batch", batch={"poll_seconds": 0.01}
    )
    judges = tmp_path / "curate.yaml"
    judges.write_text(json.dumps({"judge": {"models": [{"base_url": server.base_url, "name": "judge"}]}}))
    words = [str(word) for word in (tmp_path, live, batch, judges)]
    found = subprocess.run(
        [sys.executable, "-c", SPENDING, *words], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


def test_commands_import_nothing_late() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("cli/*.py")}
    late = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert late == []
