"""The wheel as users get it: templates, taxonomy and builder are in it and are found without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROGRAM = """
import multifaceted
from importlib import resources
from multifaceted.builders import MultifacetedCollection
from multifaceted.prompts.template import shipped_template
from multifaceted.stages import SHIPPED
from multifaceted.taxonomy import load_taxonomy

assert "site" in multifaceted.__file__, multifaceted.__file__
names = [*(stage.template for stage in SHIPPED.values()), "repair"]
texts = {shipped_template(name).read_text() for name in names}
texts.add(shipped_template("preference_set", small=True).read_text())
assert len(texts) == 6
assert len(load_taxonomy().preferences) >= 240
templates = resources.files("multifaceted") / "templates"
assert (templates / "card.md.j2").is_file()
assert (templates / "views" / "chat_template.jinja").is_file()
print(MultifacetedCollection.__module__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # By way of the sdist, as a publisher would: what the sdist forgets, the wheel lacks.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_carries_templates_builders_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "templates").rglob("*.j2")}
    assert {f"multifaceted/{name}" for name in shipped} <= names
    assert {"multifaceted/py.typed", "multifaceted/builders/multifaceted_collection.py"} <= names
    assert not any(name.startswith(("tests/", "examples/")) for name in names)


def test_the_installed_wheel_finds_what_it_carries(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)  # what installing a pure wheel comes to
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "multifaceted.builders.multifaceted_collection"
