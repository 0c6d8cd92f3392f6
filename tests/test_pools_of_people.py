"""Pools and benchmarks as people publish them: conversations, encodings, delimiters, wrappings, damage."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_cli import multifaceted

from multifaceted.errors import InputError
from multifaceted.instructions.csv_rows import MAX_LINES
from multifaceted.instructions.encoding import find_encoding
from multifaceted.instructions.read import read_instructions
from multifaceted.instructions.rows import FORMATS, read_rows
from multifaceted.instructions.turns import NoTurnError, user_turns

TALK = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Why is it so?"},
    {"from": "gpt", "value": "Because."},
    {"from": "human", "value": "And then?"},
]
ROLES = [{"role": turn["from"].replace("human", "user"), "content": turn["value"]} for turn in TALK]
BOTH = ("Why is it so?", "And then?")


@pytest.mark.parametrize(
    ("value", "turns"),
    [
        ("Why?", ("Why?",)),
        (None, ()),
        (TALK, BOTH),
        (ROLES, BOTH),
        ([*BOTH], BOTH),
        ({"conversations": TALK}, BOTH),
        ({"messages": ROLES, "id": 3}, BOTH),
        ({"role": "user", "content": "Why?"}, ("Why?",)),
        ([{"role": "user", "content": [{"type": "text", "text": "Why?"}]}], ("Why?",)),
        (json.dumps(TALK), BOTH),
        (json.dumps({"messages": ROLES}, indent=2), BOTH),
        (json.dumps([*BOTH]), BOTH),
        (repr(TALK), BOTH),
        (repr([*BOTH]), BOTH),
        ("['Why is it so?' 'And then?']", BOTH),  # as NumPy prints an array
        ("[\"It's why?\"\n 'And then?']", ("It's why?", "And then?")),
        ("\n\nHuman: Why is it so?\n\nAssistant: Because.\n\nHuman: And then?\n\nAssistant:", BOTH),
        ("Human: Why is it so?\nIt rains.\nAssistant: Because.", ("Why is it so?\nIt rains.",)),
        ("User: Why?\n\nAI: Because.", ("Why?",)),
        # What only looks like it is a text.
        ('["apple", "pear", "fig"]', ('["apple", "pear", "fig"]',)),
        ("[1, 2, 3]", ("[1, 2, 3]",)),
        ('{"a": 1}', ('{"a": 1}',)),
        ("[Verse] Write on. [Chorus]", ("[Verse] Write on. [Chorus]",)),
        ("{{ x }}", ("{{ x }}",)),
        ("Human: what does the word mean?", ("Human: what does the word mean?",)),
        ("Continue this:\nUser: Hello\nAssistant: Hi", ("Continue this:\nUser: Hello\nAssistant: Hi",)),
        ("[" * 5000 + "]" * 5000, ("[" * 5000 + "]" * 5000,)),
        ("[" + "-" * 5000 + "1]", ("[" + "-" * 5000 + "1]",)),
    ],
)
def test_what_the_user_says_is_found(value: Any, turns: tuple[str, ...]) -> None:
    assert user_turns(value) == turns


@pytest.mark.parametrize(
    "value", [5, [], [[1]], [{"role": "assistant", "content": "x"}], {"a": 1}, [1, "a"], True]
)
def test_where_no_user_speaks_is_told(value: Any) -> None:
    with pytest.raises(NoTurnError):
        user_turns(value)


def prepare(folder: Path, recipe: dict[str, Any]) -> tuple[int, str, pl.DataFrame, pl.DataFrame]:
    (folder / "sources.yaml").write_text(yaml.safe_dump(recipe))
    ended = multifaceted("instructions", "prepare", "sources.yaml", "--out", "out.parquet", cwd=folder)
    if ended.returncode:
        return ended.returncode, ended.stderr, pl.DataFrame(), pl.DataFrame()
    frames = (pl.read_parquet(folder / name) for name in ("out.parquet", "out.dropped.parquet"))
    kept, dropped = frames
    return 0, ended.stderr, kept, dropped


def test_every_turn_of_a_benchmark_is_kept_out(tmp_path: Path) -> None:
    """MT-Bench as FastChat has it, and as the Hub has it."""
    first = "Compose an engaging travel blog post about a recent trip to Hawaii."
    second = "Rewrite your previous response. Start every sentence with the letter A."
    rows = [first, second, "What is the tallest tree of the world?"]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows))
    question = {"question_id": 81, "category": "writing", "turns": [first, second]}
    (tmp_path / "question.jsonl").write_text(json.dumps(question) + "\n")
    pq.write_table(pa.table({"prompt": [[first, second]], "prompt_id": [81]}), tmp_path / "mt.parquet")
    (tmp_path / "mt.csv").write_text(
        'prompt_id,prompt\n81,"' + str([first, second]).replace('"', '""') + '"\n'
    )
    for benchmark in (
        {"path": "question.jsonl", "fields": {"prompt": "turns", "id": "question_id"}},
        {"path": "mt.parquet"},
        {"path": "mt.csv"},
    ):
        code, told, kept, dropped = prepare(
            tmp_path, {"sources": [{"path": "pool.jsonl"}], "decontaminate": [benchmark]}
        )
        assert code == 0, told
        assert kept["prompt"].to_list() == rows[2:]
        assert sorted(dropped["prompt"]) == sorted(rows[:2])
    code, told, *_ = prepare(
        tmp_path, {"sources": [{"path": "pool.jsonl"}], "decontaminate": [{"path": "question.jsonl"}]}
    )
    assert (code, "the row has question_id, category, turns" in told) == (2, True)


@pytest.mark.parametrize("name", ["license", "licence"])
def test_both_spellings_of_a_licence_are_read(tmp_path: Path, name: str) -> None:
    rows = [{"prompt": "Why is the sky blue?", name: "CC0-1.0"}, {"prompt": "Where does rain come from?"}]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "other.jsonl").write_text('{"prompt": "What is snow?", "terms": "GPL"}\n')
    sources = [{"path": "pool.jsonl", name: "MIT"}, {"path": "other.jsonl", "fields": {name: "terms"}}]
    code, told, kept, _ = prepare(tmp_path, {"sources": sources})
    assert code == 0, told
    assert sorted(kept["license"]) == ["CC0-1.0", "GPL", "MIT"]


def test_a_pool_of_a_recipe_may_hold_conversations(tmp_path: Path) -> None:
    rows = [{"prompt": TALK, "id": "a"}, {"prompt": [*BOTH], "id": "b"}, {"prompt": [], "id": "c"}]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"pool\.jsonl:3: 'prompt' is neither text nor a conversation"):
        list(read_instructions(tmp_path / "pool.jsonl"))
    found = read_instructions(tmp_path / "pool.jsonl", limit=2)
    assert [row.prompt for row in found] == [BOTH[0], BOTH[0]]


def test_nan_is_absence(tmp_path: Path) -> None:
    rows = '{"prompt": "Why is it so?", "id": NaN, "source": NaN, "license": NaN}\n{"prompt": NaN}\n'
    (tmp_path / "pool.jsonl").write_text(rows)
    code, told, kept, dropped = prepare(tmp_path, {"sources": [{"path": "pool.jsonl"}], "max_broken": 1})
    assert code == 0, told
    assert kept.select("prompt", "source", "license").rows() == [("Why is it so?", "pool", "")]
    assert not kept["id"].str.contains("(?i)nan").any()
    assert dropped["detail"].to_list() == ["'prompt' is empty"]
    frame = pa.table({"prompt": ["Why is it so?"], "id": [float("nan")], "source": pa.nulls(1)})
    pq.write_table(frame, tmp_path / "pool.parquet")
    [found] = read_instructions(tmp_path / "pool.parquet")
    assert found.id.startswith("i")


TEXTS = {
    "cp1252": ("Écrivez une histoire à propos d’un été à la mer", "Wie heißt die Hauptstadt von Österreich?"),
    "cp1250": ("Napisz wiersz o wiośnie i żółwiach, proszę cię",),
    "cp1251": ("Напиши стихотворение о весне и о море",),
    "shift_jis": ("春についての詩を書いてください。日本の首都はどこですか",),
    "gb18030": ("写一首关于春天的诗。中国的首都在哪里？",),
    "utf-16": ("Écrivez une histoire", "Напиши"),
    "utf-16-le": ("Ecrivez une histoire", "Why is it so?"),
    "utf-16-be": ("Ecrivez une histoire", "Why is it so?"),
    "utf-32": ("Écrivez une histoire",),
    "utf-8-sig": ("Écrivez une histoire",),
    "utf-8": ("Écrivez une histoire", "写一首关于春天的诗"),
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".tsv"])
def test_encodings_are_detected_and_named(
    tmp_path: Path, encoding: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"prompt": text} for text in TEXTS[encoding]]
    if suffix == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif suffix == ".json":
        text = json.dumps(rows, ensure_ascii=False)
    else:
        mark = "\t" if suffix == ".tsv" else ","
        text = f"prompt{mark}id\n" + "".join(f'"{row["prompt"]}"{mark}{n}\n' for n, row in enumerate(rows))
    path = tmp_path / f"pool{suffix}"
    path.write_bytes(text.encode(encoding))
    assert [found.prompt for found in read_instructions(path)] == list(TEXTS[encoding])
    named = [record.getMessage() for record in caplog.records]
    assert named == [] if encoding.startswith("utf-8") else encoding in named[0]


def test_a_file_in_utf8_with_a_few_broken_lines_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_bytes("prompt\nÉté\n".encode() + b"caf\xe9\n" + "Où est-ce?\n".encode())
    assert find_encoding(path) == "utf-8"
    found = [(row.line, row.data.get("prompt"), row.fault) for row in read_rows(path, "csv")]
    assert found == [
        (2, "Été", ""),
        (3, None, "is not text in the encoding of the file"),
        (4, "Où est-ce?", ""),
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters_are_told_by_the_header(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "pool.csv"
    path.write_text(f'id{mark}prompt{mark}source\na{mark}"One{mark} two; three, four"{mark}x\n')
    [found] = read_instructions(path)
    assert (found.id, found.prompt, found.source) == ("a", f"One{mark} two; three, four", "x")


@pytest.mark.parametrize(
    ("lines", "good", "faults"),
    [
        (["a,1", '"He said "so" once",2', "c,3", "d,4"], ["a", "c", "d"], [3]),
        (["a,1", '"never closed,2', "c,3", "d,4"], ["a", "c", "d"], [3]),
        (["a,1", '"never closed,2', "c,3", '"d, e",4', "f,5"], ["a", "c", "d, e", "f"], [3]),
        (["a,1", '"two', 'lines",2', "d,4"], ["a", "two\nlines", "d"], []),
        (["a,1", '5" nails,2', "d,4"], ["a", '5" nails', "d"], []),
        (["a,1", "b,2,3", "d"], ["a", "d"], [3]),
        (["a,1", "b\0c,2", "d,4"], ["a", "b\0c", "d"], []),
        (["", "a,1", "", "d,4"], ["a", "d"], []),
    ],
)
def test_a_broken_record_is_one_and_no_end_of_the_file(
    tmp_path: Path, lines: list[str], good: list[str], faults: list[int]
) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("prompt,id\n" + "".join(f"{line}\n" for line in lines))
    rows = list(read_rows(path, "csv"))
    assert [row.data["prompt"] for row in rows if not row.fault] == good
    assert [row.line for row in rows if row.fault] == faults
    assert all(row.raw for row in rows if row.fault)


def test_a_quote_that_nothing_closes_takes_no_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text('prompt,id\n"open,1\n' + "".join(f"row {n},{n}\n" for n in range(3 * MAX_LINES)))
    rows = list(read_rows(path, "csv"))
    assert [row.line for row in rows if row.fault] == [2]
    assert len(rows) == 3 * MAX_LINES + 1


ROWS = [{"prompt": "One?", "id": "a"}, {"prompt": "Two?", "id": "b"}]


@pytest.mark.parametrize(
    "content",
    [
        "".join(json.dumps(row) + "\n" for row in ROWS),
        json.dumps({"data": ROWS}),
        json.dumps({"version": "1.0", "data": ROWS, "info": {"by": "me"}}),
        json.dumps({"train": ROWS}, indent=1),
        json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)], "num_rows_total": 2}),
        json.dumps({"prompt": ["One?", "Two?"], "id": ["a", "b"]}),
        json.dumps({str(n): row for n, row in enumerate(ROWS)}),
        "\ufeff" + json.dumps(ROWS),
    ],
)
def test_json_in_the_wrappings_of_people(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pool.json"
    path.write_text(content, encoding="utf-8")
    assert [(row.id, row.prompt) for row in read_instructions(path)] == [("a", "One?"), ("b", "Two?")]


def test_which_of_several_lists_is_meant_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(InputError, match=r"has rows under 'train', 'test': write those that you mean"):
        list(read_rows(path, "json"))


def test_text_that_is_none_in_a_parquet_file_breaks_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "pool.parquet"
    texts = pa.array([b"One?", b"caf\xe9", b"Three?"]).view(pa.string())
    pq.write_table(pa.table({"prompt": texts, "id": ["a", "b", "c"]}), path)
    rows = list(read_rows(path, "parquet"))
    assert [row.fault for row in rows if row.fault] == ["'prompt' is not UTF-8 text: unexpected end of data"]
    assert [row.line for row in rows if row.fault] == [2]
    assert [row.data["prompt"] for row in rows if not row.fault] == ["One?", "Three?"]


def test_a_flipped_byte_of_a_parquet_file_costs_its_row_group(tmp_path: Path) -> None:
    path = tmp_path / "pool.parquet"
    table = pa.table({"prompt": [f"Question {n} of many?" for n in range(3000)]})
    pq.write_table(table, path, row_group_size=1000, write_page_checksum=True)
    whole = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    at = (group.dictionary_page_offset or group.data_page_offset) + 200
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    rows = list(read_rows(path, "parquet"))
    assert [row.line for row in rows] == list(range(1, 3001))
    assert [row.line for row in rows if row.fault] == list(range(1001, 2001))
    assert "damaged part" in rows[1000].fault


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_whatever_byte_is_flipped_there_are_rows_or_problems(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pool{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"prompt": ["One?", "Two?"], "n": [1, 2]}), path)
    else:
        rows = ['{"prompt": "Öne?"}', '{"prompt": "Two?"}']
        text = {"json": f"[{', '.join(rows)}]", "csv": 'prompt,n\n"Öne?",1\n', "tsv": "prompt\tn\nÖne?\t1\n"}
        path.write_text(text.get(suffix[1:], "\n".join(rows)), encoding="utf-8")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x95]) + whole[at + 1 :])
        with suppress(InputError):
            list(read_rows(path, FORMATS[suffix]))
