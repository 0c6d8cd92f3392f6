"""The card: complete, true, and never broken by what the data says."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from conftest import MakeRecipe
from fork_server import run_multifaceted
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.card_template import load_card_template
from multifaceted.building.check import check_folder
from multifaceted.building.check_card import find_card_faults
from multifaceted.building.configs import CONFIGS
from multifaceted.building.fields import describe_fields
from multifaceted.building.folder import build_folder
from multifaceted.building.markdown import escape_line, quote_text, show_value
from multifaceted.building.summary import SourceCount, summarize_rows
from multifaceted.errors import InputError
from multifaceted.planning import compile_plan
from multifaceted.records import Row
from multifaceted.store.manifest import read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.schema import arrow_schema
from multifaceted.store.shards import read_batches
from multifaceted.testing import ChatServer, Fault

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
DOCUMENTS = Path(__file__).parents[1] / "docs"
HOSTILE = """# Heading
<script>alert(1)</script> <!-- --> &amp; ![x](y.png) [a](b) www.example.com me@example.com ~~x~~ $y$

```python
    indented | piped
```
- item
+ item
12. twelfth
> quoted
Setext
===
---
| a | b |
|---|---|
| 1 | 2 |
\tcode\x00\x1b[31m\u202egnissam
\\ end \\"""


def generate(recipe: Path, run: Path) -> Path:
    asyncio.run(pipeline.generate(compile_plan(recipe), run, control=RunControl()))
    return run


def card_of(recipe: Path, folder: Path, **options: Any) -> str:
    build_folder(generate(recipe, folder / "run"), folder / "out", **options)
    return (folder / "out/README.md").read_text(encoding="utf-8")


def header_of(card: str) -> dict[str, Any]:
    header: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return header


def body_of(card: str) -> str:
    return card.split("\n---\n", 1)[1]


def test_the_card_tells_every_config_and_every_field_with_its_meaning(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    card = card_of(make_recipe(server.base_url, count=20), tmp_path)
    for config in CONFIGS["collection"].values():
        assert f"### Fields of `{config.name}`" in card
        for field in describe_fields(config.model):
            assert field.meaning, f"{config.name}: {field.name}"
            assert f"| `{field.name}` | {field.type} | {field.meaning} |" in card
    header = header_of(card)
    assert {entry["config_name"] for entry in header["configs"]} == set(CONFIGS["collection"])
    assert (header["size_categories"], header["license"]) == (["n<1K"], "unknown")
    assert "| `rm` | train: 19, test: 1 |" in card
    assert "None was stated by its makers" in card
    assert "The language of the texts was not stated." in card
    assert "multifaceted_collection" in header["pretty_name"].lower().replace(" ", "_")


def test_the_reference_tells_the_fields_in_the_same_words() -> None:
    reference = (DOCUMENTS / "reference/datasets.md").read_text(encoding="utf-8")
    lines = {
        f"| `{field.name}` | {field.type} | {field.meaning} |"
        for configs in CONFIGS.values()
        for config in configs.values()
        for field in describe_fields(config.model)
    }
    assert sorted(line for line in lines if line not in reference) == []


def test_the_code_in_the_card_runs_and_keeps_the_system_message(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    out = tmp_path / "multifaceted_collection"
    build_folder(generate(recipe, tmp_path / "run"), out)
    tokens = MARKDOWN.parse(body_of((out / "README.md").read_text()))
    script = "".join(token.content for token in tokens if token.type == "fence" and token.info == "python")
    script += "import json; print(json.dumps([train[0], preferences[0], pairs[0], origins.num_rows]))"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", script]
    shown = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    train, preferences, pair, count = json.loads(shown.stdout)
    assert [turn["role"] for turn in train["prompt"] + train["completion"]] == ["system", "user", "assistant"]
    assert preferences["prompt"][0] == {"role": "system", "content": pair["system"]}
    assert [preferences["chosen"], preferences["rejected"]] == [[pair["chosen"][1]], [pair["rejected"][1]]]
    assert count == 30


def test_text_from_data_neither_breaks_the_page_nor_adds_to_it(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    shapes = []
    for name, text in (("tame", "plain"), ("wild", HOSTILE)):
        folder = tmp_path / name
        recipe = make_recipe(server.base_url, instructions={"path": f"{name}.jsonl"})
        row = {"id": f"{text}|", "prompt": f"{text}\n{text}", "source": text, "license": "L\n| x | <b>"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
        tokens = MARKDOWN.parse(body_of(card_of(recipe, folder)))
        kinds = [token.type for token in tokens if not token.type.startswith("paragraph")]
        inline = [inner.type for token in tokens for inner in token.children or []]
        shapes.append((kinds.count("heading_open"), kinds.count("td_open"), inline.count("link_open")))
        assert "html_block" not in kinds
        assert not {"html_inline", "image"} & set(inline)
    assert shapes[0] == shapes[1]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("#-+=`*_[](){}<>|\\~&!1.: \n\t"))
@example(HOSTILE)
def test_any_text_is_quoted_as_it_stands(text: str) -> None:
    tokens = MARKDOWN.parse(quote_text(text))
    kinds = {token.type for token in tokens}
    assert kinds <= {"blockquote_open", "blockquote_close", "paragraph_open", "paragraph_close", "inline"}
    inner = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inner} <= {"text", "text_special", "softbreak", "hardbreak"}
    shown = "".join(child.content or " " for child in inner)
    if not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text) and len(text) < 2000:
        assert "".join(shown.split()) == "".join(text.split())


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("|\\`*_[]<>&\n ~$!"))
@example(HOSTILE)
def test_any_text_fits_into_one_cell_of_a_table(text: str) -> None:
    tokens = MARKDOWN.parse(f"| a | b |\n| --- | --- |\n| {escape_line(text)} | end |\n\nafter")
    cells = [token.content for token in tokens if token.type == "inline"]
    assert (len(cells), cells[3:]) == (5, ["end", "after"])
    inner = [child.type for token in tokens for child in token.children or []]
    assert set(inner) <= {"text", "text_special"}


def test_values_of_any_shape_are_shown() -> None:
    nested = [{"criteria": "<b>?", "scores": {"1": "bad", "more": ["1. x"]}}, {"criteria": ""}]
    assert show_value(nested).split("\n")[2:] == [
        "- 1 of 2",
        r"  - **criteria**: \<b\>?",
        "  - **scores**",
        "    - **1**: bad",
        "    - **more**",
        r"      - 1\. x",
        "- 2 of 2",
        "  - **criteria**: ",
    ]
    assert "| user | hello |" in show_value([{"role": "user", "content": "hello"}])
    assert show_value("") == " (empty)"
    assert (show_value([]), show_value(7)) == (" (empty)", " 7")
    assert len(quote_text("long " * 1000)) < 2100


def test_licenses_come_from_the_pool_and_the_recipe_knows_better(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    rows = [
        {"prompt": "A?", "source": "a", "license": "MIT"},
        {"prompt": "B?", "source": "a", "licence": "Apache-2.0"},
        {"prompt": "C?", "source": "b", "license": {"name": "no text"}},
        {"prompt": "D?", "source": "c", "license": "wrong"},
        {"prompt": "E?"},
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {"path": "pool.jsonl", "licenses": {"c": "CC BY | 4.0"}}
    recipe = make_recipe(server.base_url, instructions=spec, license="cc-by-4.0", language=["en", "de"])
    card = card_of(recipe, tmp_path)
    for line in (
        "| a | 2 | 6 | Apache-2.0; MIT |",
        "| b | 1 | 3 | not stated |",
        r"| c | 1 | 3 | CC BY \| 4.0 |",
        "| (not named) | 1 | 3 | not stated |",
    ):
        assert line in card
    header = header_of(card)
    assert (header["license"], header["language"]) == ("cc-by-4.0", ["en", "de"])
    assert "`cc-by-4.0`, as its makers state" in card
    assert "language of the texts was not stated" not in card


def test_a_license_changes_nothing_that_was_made(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run = generate(make_recipe(server.base_url), tmp_path / "run")
    asked = len(server.bodies)
    card = card_of(make_recipe(server.base_url, license="mit"), tmp_path)
    assert (header_of(card)["license"], len(server.bodies)) == ("mit", asked)
    assert run.is_dir()


@pytest.mark.parametrize(
    "changes",
    [
        {"license": "CC BY 4.0"},
        {"language": ["English"]},
        {"instructions": {"path": "p", "licenses": {"a": "x\ny"}}},
    ],
)
def test_a_license_or_language_that_the_hub_would_refuse_is_refused(
    server: ChatServer, make_recipe: MakeRecipe, changes: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"license|language"):
        compile_plan(make_recipe(server.base_url, **changes))


def test_the_cost_is_that_of_the_replies_the_rows_are_made_of(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = {"base_url": server.base_url, "name": "m", "prices": {"input": 100, "output": 1000}}
    card = card_of(make_recipe(server.base_url, model=model), tmp_path)
    data = read_manifest(RunFolder(tmp_path / "run"))
    assert data is not None
    files = [RunFolder(tmp_path / "run").rows_file(shard.name) for shard in data.summaries]
    batches = (batch for file in files for batch in read_batches(file))
    tokens = summarize_rows(batches, data.stages).tokens
    usd = sum(spent["prompt"] * 1e-4 + spent["completion"] * 1e-3 for spent in tokens.values())
    assert f"{usd:,.2f} USD for the replies" in card
    assert "(100 in, 1000 out (recipe))" in card


def test_other_prices_count_only_once_the_run_was_started_with_them(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def priced(usd: int) -> Path:
        model = {"base_url": server.base_url, "name": "m", "prices": {"input": usd, "output": usd}}
        return make_recipe(server.base_url, model=model)

    first = card_of(priced(1), tmp_path)
    recipe = priced(2)
    build_folder(tmp_path / "run", tmp_path / "out")
    assert (tmp_path / "out/README.md").read_text() == first
    assert "(2 in, 2 out (recipe))" in card_of(recipe, tmp_path)


def test_an_unknown_cost_is_said_to_be_unknown(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    card = card_of(make_recipe(server.base_url), tmp_path)
    assert "Unknown: preferences, system_message, response have no known price" in card
    assert "USD for the replies" not in card


def test_failed_rows_and_missing_pairs_are_told(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def refuse_some(body: dict[str, Any]) -> Fault | None:
        return Fault(refusal="No.") if int(str(body["seed"])) % 4 == 0 else None

    with ChatServer(fault=refuse_some) as server:
        card = card_of(make_recipe(server.base_url), tmp_path)
    data = read_manifest(RunFolder(tmp_path / "run"))
    assert data is not None
    assert f"30 planned = {data.ok} here + {data.failed} failed (refused: {data.failed})" in card
    assert f"{data.failed} planned rows are missing" in card
    assert "no pair: `too_few_variants`" in card


def test_sources_are_counted_by_row_and_by_instruction_across_batches(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run = generate(make_recipe(server.base_url, shard_rows=1000), tmp_path / "run")
    rows = pa.Table.from_batches(read_batches(run / "shards/00000/rows.arrow"), arrow_schema(Row))
    for size in (1, 2, 7, 30):
        summary = summarize_rows(rows.combine_chunks().to_batches(size), {"response": "response"})
        assert (summary.rows, summary.instructions) == (30, 10)
        assert summary.sources == [
            SourceCount("s0", 4, 12),
            SourceCount("s1", 3, 9),
            SourceCount("s2", 3, 9),
        ]


EXTENDS = '{% extends "card.md.j2" %}\n'
OWN = """{# Ours. #}
{% extends "card.md.j2" %}
{% block title %}Letters of the {{ title }}{% endblock %}
{% block header %}{{ super() }}
annotations: ours
{% endblock %}
{% block limitations %}{{ super() }}
- Written for one newspaper, {{ manifest.run.seed }}.
{% endblock %}
{% block more %}
## Thanks

To {{ summary.sources[0].name | escape_line }}.

{% endblock %}
"""


def test_a_template_of_ones_own_changes_what_it_names_and_keeps_the_rest(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card.md.j2").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    card = card_of(make_recipe(server.base_url), tmp_path, card=Path("card.md.j2"))
    assert "# Letters of the Multifaceted Collection" in card
    assert "- The readers are imagined." in card
    assert "- Written for one newspaper, 7." in card
    assert card.index("## Thanks") < card.index("To s0.") < card.index("## Citation")
    assert header_of(card)["annotations"] == "ours"
    assert check_folder(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, (0, "cannot be read")),
        (f"{EXTENDS}{{% block more %}}", (2, "template syntax")),
        (f"{EXTENDS}{{% block limitation %}}{{% endblock %}}", (2, "did you mean 'limitations'?")),
        (f"{EXTENDS}{{% block more %}}\n{{{{ sumary }}}}{{% endblock %}}", (3, "did you mean 'summary'?")),
        ('{% extends "other.j2" %}', (1, "can take nothing in but 'card.md.j2'")),
        ("{% set name = '/etc/passwd' %}{% include name %}", (1, "can take nothing in but 'card.md.j2'")),
        (f"{EXTENDS}\n{{% block more %}}{{{{ manifest.nothing }}}}{{% endblock %}}", (3, "nothing")),
        (f"{EXTENDS}{{% block more %}}{{{{ 1 | shout }}}}{{% endblock %}}", (2, "shout")),
        (f"{EXTENDS}{{% block header %}}license: mit{{% endblock %}}", (0, "the content digest")),
        (f"words first\n{EXTENDS}", (0, "has no YAML header")),
        ("# A card without a header", (0, "has no YAML header")),
    ],
)
def test_a_faulty_template_is_reported_and_nothing_is_written(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, text: str | None, told: tuple[int, str]
) -> None:
    line, message = told
    own = tmp_path / "own.md.j2"
    if text is not None:
        own.write_text(text)
    run = generate(make_recipe(server.base_url, count=2), tmp_path / "run")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        build_folder(run, tmp_path / "built/out", card=own)
    assert caught.value.problems[0].file == str(own)
    assert caught.value.problems[0].line == line
    assert not any(path.is_file() for path in (tmp_path / "built").rglob("*"))


def test_the_command_line_takes_a_template_and_exits_with_2_for_a_faulty_one(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run = generate(make_recipe(server.base_url, count=2), tmp_path / "run")
    words: list[str | Path] = ["build", run, "--out", tmp_path / "out", "--card"]
    wrong = run_multifaceted(*words, tmp_path / "none.j2")
    assert (wrong.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "none.j2: cannot be read: No such file" in wrong.stderr
    (tmp_path / "own.md.j2").write_text(OWN)
    assert run_multifaceted(*words, tmp_path / "own.md.j2").returncode == 0
    assert "Letters of the" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("path: sft/train-*.arrow", "path: sft/*.arrow"), "the files of config 'sft'"),
        (("default: true", "default: false"), "config 'sft' is not said to be the default"),
        (("- n<1K", "- 1K<n<10K"), "the size category is not n<1K"),
        (("- config_name: provenance\n  data", "- config_name: more\n  data"), "names config 'more'"),
        (("variant\n    dtype: int64", "variant\n    dtype: int32"), "the features of config 'provenance'"),
        (("num_examples: 30", "num_examples: 31"), "the rows of config 'sft'"),
        (("description: content", "description: was"), "the content digest of config 'rm'"),
        (("dataset_info:\n", "dataset_info: [1\n"), "has no YAML header"),
        (("    num_examples: 30\n", ""), "cannot be read"),
    ],
)
def test_a_card_that_is_not_true_is_found_out(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    old, new = change
    manifest = build_folder(generate(make_recipe(server.base_url), tmp_path / "run"), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert list(find_card_faults(card, manifest)) == []
    assert old in card
    faults = " ".join(find_card_faults(card.replace(old, new), manifest))
    assert fault in faults


def test_the_shipped_template_is_sound_by_itself() -> None:
    assert load_card_template().file == "templates/card.md.j2"
