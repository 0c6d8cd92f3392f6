"""Statistics against sums by hand, and the page in a browser where there is one."""

import html
import json
import random
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from hypothesis import given
from hypothesis import strategies as st
from test_cli import multifaceted
from test_generate import rows_of, run

from multifaceted.building.folder import build_folder
from multifaceted.reporting import drawing, figures, renderer
from multifaceted.reporting.diversity import distinct_n, rouge_l, spread_within
from multifaceted.reporting.page import write_report
from multifaceted.reporting.rows import open_rows
from multifaceted.reporting.statistics import Statistics, measure
from multifaceted.similar.words import split_words
from multifaceted.taxonomy import load_taxonomy
from multifaceted.testing import ChatServer, Fault

pytest.importorskip("altair", reason="the extra `report` is not installed")
CHROMIUM = shutil.which("chromium")
HOSTILE = "</script><script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"


def answer(body: dict[str, Any]) -> Fault | None:
    """Replies with names out of the taxonomy, some coined, and texts of many lengths; some refusals."""
    generator = random.Random(body["seed"])
    words = ["plain", "words", "for", "a", "reader", "in", "a", "hurry", "with", "many", "doubts"]
    text = " ".join(generator.choices(words, k=generator.randint(5, 60)))
    if body["seed"] % 29 == 0:
        return Fault(refusal="I will not.")
    if "response_format" not in body:
        return Fault(content=f"{text} {HOSTILE}" if body["seed"] % 7 == 0 else text)
    entries = {}
    for dimension in load_taxonomy().dimensions:
        subdimension = generator.choice(dimension.subdimensions[:4])
        name = generator.choice(subdimension.preferences).name if generator.random() < 0.8 else "my own"
        entries[dimension.slug] = {
            "subdimension": subdimension.name.upper(),
            "preference": name,
            "description": text,
        }
    return Fault(content=json.dumps(entries))


@pytest.fixture
def made(make_recipe: MakeRecipe, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A run, and its rows."""
    with ChatServer(fault=answer) as server:
        data = run(make_recipe(server.base_url, count=30), tmp_path / "run")
    return tmp_path / "run", rows_of(tmp_path / "run", data)


def measured(place: Path) -> Statistics:
    return measure(open_rows(place), load_taxonomy())


def test_counts_are_those_of_the_rows(made: tuple[Path, list[dict[str, Any]]]) -> None:
    place, rows = made
    found = measured(place)
    assert found.counts == {"planned": 90, "ok": len(rows), "failed": 90 - len(rows), "pending": 0}
    assert found.failures == {"refused": 90 - len(rows)}
    assert found.instructions == len({row["instruction_id"] for row in rows})
    assert found.sources == dict(Counter(row["main_source"] for row in rows))
    for stage in ("preferences", "system_message", "response"):
        assert found.tokens[stage]["prompt"] == sum(row[stage]["tokens"]["prompt"] for row in rows)
    for name in ("system", "prompt", "output"):
        sizes = [len(row[name]) for row in rows]
        assert (sum(found.lengths[name].bins), found.lengths[name].longest) == (len(rows), max(sizes))
        assert found.lengths[name].mean == pytest.approx(sum(sizes) / len(sizes))
    assert found.unique_systems == len({row["system"] for row in rows}) / len(rows)


def test_coverage_counts_every_entry_once_and_knows_names_in_any_case(
    made: tuple[Path, list[dict[str, Any]]],
) -> None:
    place, rows = made
    leaves = measured(place).coverage
    assert sum(leaf.rows for leaf in leaves) == 4 * len(rows)
    assert sum(leaf.known for leaf in leaves) == len(load_taxonomy().preferences)
    coined = sum(e["preference"] == "my own" for row in rows for e in row["preference_set"])
    assert sum(leaf.rows for leaf in leaves if not leaf.known) == coined > 0
    assert any(leaf.known and not leaf.rows for leaf in leaves)


def test_responses_are_compared_within_their_instruction(made: tuple[Path, list[dict[str, Any]]]) -> None:
    place, rows = made
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(row["instruction_id"], []).append(split_words(row["output"]))
    values = [rouge_l(a, b) for group in groups.values() for a, b in combinations(group, 2)]
    found = measured(place).rouge_responses
    assert found is not None
    assert (found.n, sum(found.histogram)) == (len(values), len(values))
    assert found.mean == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_a_built_folder_gives_the_numbers_of_its_run(
    made: tuple[Path, list[dict[str, Any]]], tmp_path: Path, file_format: Any
) -> None:
    place, _ = made
    build_folder(place, tmp_path / "built", file_format=file_format)
    assert measured(tmp_path / "built").as_dict() == measured(place).as_dict()


def test_a_bench_is_measured_too_with_its_rubrics(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = run(make_recipe(server.base_url, kind="bench", variants=1), tmp_path / "run")
    rows = rows_of(tmp_path / "run", data)
    build_folder(tmp_path / "run", tmp_path / "built")
    found = measured(tmp_path / "run")
    assert found.tokens["rubric"]["prompt"] == sum(
        r["tokens"]["prompt"] for row in rows for r in row["rubric"]
    )
    assert measured(tmp_path / "built").as_dict() == found.as_dict()


Words = st.lists(st.sampled_from("abc"), max_size=12)


@given(Words, Words)
def test_rouge_l_is_that_of_the_longest_common_subsequence(first: list[str], second: list[str]) -> None:
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if a == b else max(lengths[i][j + 1], lengths[i + 1][j])
    total = len(first) + len(second)
    assert rouge_l(first, second) == pytest.approx(2 * lengths[-1][-1] / total if total else 1.0)


def test_distinct_n_and_spread_of_little_text() -> None:
    assert distinct_n(["a b a b", "A B"], 2) == pytest.approx(2 / 4)
    assert distinct_n(["a"], 2) is None
    assert spread_within([["only one"]]).mean is None
    assert spread_within([["今天天气很好", "今天天气不好"]]).mean == pytest.approx(5 / 6)


def test_the_command_writes_page_numbers_and_figures_and_replaces_only_its_own(
    made: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    place, rows = made
    out = tmp_path / "report"
    printed = json.loads(multifaceted("report", place, "--out", out, "--json").stdout)
    assert printed["counts"]["ok"] == len(rows)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figures = ("sunburst", "funnel", "sources", "lengths", "tokens", "diversity")
    assert names == {"index.html", "statistics.json", ".multifaceted.json"} | {
        f"figures/{figure}.{kind}" for figure in figures for kind in ("svg", "png")
    }
    assert all((out / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG") for figure in figures)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert multifaceted("report", place, "--out", out, "--rows", "3").returncode == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    refused = multifaceted("report", place, "--out", tmp_path / "mine")
    assert (refused.returncode, "was not made by `multifaceted report`" in refused.stderr) == (2, True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_a_folder_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    result = multifaceted("report", tmp_path, "--out", tmp_path / "report")
    assert (result.returncode, (tmp_path / "report").exists()) == (2, False)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_and_filters_the_rows_and_runs_nothing_that_they_say(
    made: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    place, rows = made
    assert multifaceted("report", place, "--out", tmp_path / "report", "--rows", "90").returncode == 0
    whole = look(tmp_path / "report" / "index.html", tmp_path)
    assert f"{len(rows)} of {len(rows)} rows" in whole
    assert "<title>multifaceted_collection: report</title>" in whole
    wanted = [row for row in rows if "doubts" in row["output"] and row["main_source"] == "s1"]
    sought = [row for row in wanted if row["id"] == wanted[0]["id"]]
    address = f"#search={sought[0]['id']}+doubts&source=s1&row={sought[0]['id']}"
    found = look(tmp_path / "report" / "index.html", tmp_path, address)
    assert f"1 of {len(rows)} rows" in found
    assert "how it was made" in found


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_on_a_phone_nothing_is_wider_than_the_screen(
    made: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    write_report(made[0], tmp_path / "report", taxonomy=load_taxonomy())
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    coined = f"<option>{'a long name that a model coined ' * 4}</option>"
    probe = "<script>onload = () => { const all = document.documentElement;"
    probe += "document.body.append(all.scrollWidth > all.clientWidth ? 'too wide' : 'fits') }</script>"
    page = page.replace('<option value="">any</option>', coined).replace("</body>", f"{probe}</body>")
    # In a frame: a window of Chromium's is never as narrow as a phone.
    frame = f'<iframe style="width:390px;height:800px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    frame += "<script>onload = () => document.title = frames[0].document.body.lastChild.data</script>"
    (tmp_path / "phone.html").write_text(frame, encoding="utf-8")
    assert "<title>fits</title>" in look(tmp_path / "phone.html", tmp_path)


def look(page: Path, folder: Path, address: str = "") -> str:
    """The page as it stands once its script ran."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [
        f"--user-data-dir={folder / 'browser'}",
        "--virtual-time-budget=2000",
        page.as_uri() + address,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return result.stdout


ODD = "a\x00b\x1b[31m\u2028c\x85\x07\ud83d d"


def odd_statistics(made: tuple[Path, list[dict[str, Any]]]) -> Statistics:
    found = measure(open_rows(made[0]), load_taxonomy())
    leaves = [replace(leaf, dimension=f"{leaf.dimension}{ODD}", preference=ODD) for leaf in found.coverage]
    return replace(found, sources={ODD: 3, f"{ODD}2": 1}, failures={ODD: 1}, coverage=leaves)


def test_names_that_no_engine_draws_cost_no_figure(made: tuple[Path, list[dict[str, Any]]]) -> None:
    drawn = figures.draw_figures(odd_statistics(made))
    assert [figure.fault for figure in drawn] == [""] * len(drawn)
    assert all("<svg" in figure.svg and figure.png[:4] == b"\x89PNG" for figure in drawn)


@pytest.mark.parametrize(
    "case",
    [
        (
            "import os, sys; sys.stdin.readline(); print('out of memory', file=sys.stderr); os.abort()",
            "SIGABRT",
        ),
        ("import sys; sys.exit(7)", "exit code 7"),
        ("import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28)); exec(REAL)", ""),
        ("import time; time.sleep(60)", "SIGKILL"),
        ('print(\'{"error": "no such mark"}\', flush=True); input(); input()', "no such mark"),
    ],
)
def test_a_figure_that_cannot_be_drawn_costs_only_itself(
    made: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: tuple[str, str],
) -> None:
    code, told = case
    script = tmp_path / "renderer.py"
    real = Path(renderer.__file__).read_text(encoding="utf-8")
    script.write_text(code.replace("REAL", f"{real!r}, {{'__name__': '__main__'}}"))
    monkeypatch.setattr(renderer, "__file__", str(script))
    monkeypatch.setattr(drawing, "MAX_SECONDS", 20 if "REAL" in code else 0.5)
    out = tmp_path / "report"
    found = write_report(made[0], out, taxonomy=load_taxonomy())
    assert found.kept == len(made[1])
    assert not (out / "figures").exists()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("This figure could not be drawn: ") == 6
    assert told in page
    assert "could not be drawn" in caplog.text
    assert json.loads((out / "statistics.json").read_text())["kept"] == len(made[1])
