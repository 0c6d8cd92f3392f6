"""Instruction pools: what is read unchanged, and what is refused with its line; types of further fields."""

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from multifaceted.errors import InputError
from multifaceted.instructions import ColumnType, InstructionReader, fit_value, read_instructions
from multifaceted.instructions.columns import TypeAccount
from multifaceted.records import Instruction

PROMPTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
ROWS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "Why?", "source": "s", "original_source": "o"},
    {"id": "b", "prompt": "How?\nWhen?", "source": None, "original_source": None},
    {"id": None, "prompt": " 全角\u3000の質問？ ", "source": "s", "original_source": ""},
]


def write_jsonl(folder: Path, rows: list[dict[str, Any]], *, name: str = "pool.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_format(folder: Path, rows: list[dict[str, Any]], suffix: str) -> Path:
    path = folder / f"pool{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        write_jsonl(folder, rows, name=path.name)
    return path


def write_lines(folder: Path, *lines: str) -> Path:
    path = folder / "pool.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def faults_in(path: Path) -> list[tuple[int, str]]:
    with pytest.raises(InputError) as caught:
        list(read_instructions(path))
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return [(problem.line, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".csv", ".parquet"])
def test_every_format_gives_the_same_instructions(tmp_path: Path, suffix: str) -> None:
    read = list(read_instructions(write_format(tmp_path, ROWS, suffix)))
    assert read[0] == Instruction(id="a", prompt="Why?", source="s", original_source="o")
    assert [instruction.prompt for instruction in read] == [row["prompt"] for row in ROWS]
    assert [instruction.source for instruction in read] == ["s", "", "s"]
    assert read[2].id == "ibacdc57703536bd7"  # made from the prompt; never another one


@settings(deadline=None)
@given(prompts=st.lists(PROMPTS, min_size=1, max_size=5, unique=True))
def test_every_prompt_survives_both_formats_unchanged(
    prompts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    pq.write_table(pa.table({"prompt": prompts}), folder / "pool.parquet")
    jsonl = write_jsonl(folder, [{"prompt": prompt} for prompt in prompts])
    for path in (jsonl, folder / "pool.parquet"):
        assert [instruction.prompt for instruction in read_instructions(path)] == prompts


@pytest.mark.parametrize(
    "prompt", ["word " * 20_000, "全角！" * 1000, "one\u2028two\u2029three\x85four\r\nfive"]
)
def test_long_and_unusual_prompts_survive_unchanged(tmp_path: Path, prompt: str) -> None:
    [instruction] = read_instructions(write_jsonl(tmp_path, [{"id": "a", "prompt": prompt}]))
    assert instruction.prompt == prompt


def test_an_id_made_from_a_prompt_does_not_depend_on_where_it_stands(tmp_path: Path) -> None:
    rows = [{"prompt": f"Question {n}"} for n in range(5)]
    forward = {i.prompt: i.id for i in read_instructions(write_jsonl(tmp_path, rows))}
    backward = {i.prompt: i.id for i in read_instructions(write_jsonl(tmp_path, rows[::-1], name="b.jsonl"))}
    assert forward == backward
    assert len(set(forward.values())) == 5


def test_a_number_is_an_id_too(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path, [{"id": 7, "prompt": "a"}, {"id": 0, "prompt": "b"}])
    assert [instruction.id for instruction in read_instructions(path)] == ["7", "0"]


def test_every_fault_is_listed_with_its_line(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path,
        '{"id": "a", "prompt": "fine"}',
        '{"id": "b", "prompt": ',
        '{"id": "c"}',
        '{"id": "d", "prompt": " \\n"}',
        '{"id": "e", "prompt": 5, "source": 6}',
        '{"id": "a", "prompt": "doubled"}',
        '["prompt"]',
        '{"id": "f", "prompt": ""}',
    )
    found = faults_in(path)
    assert [line for line, _ in found] == [2, 3, 4, 5, 5, 6, 7, 8]
    expected = [
        *("is not valid JSON", "'prompt' is missing", "'prompt' is empty", "'prompt': ", "'source': "),
        *("duplicate id 'a' (first used in line 1)", "is not a JSON object", "'prompt' is empty"),
    ]
    assert [message for (_, message), part in zip(found, expected, strict=True) if part not in message] == []


def test_a_wrong_id_is_one_fault_that_names_the_id(tmp_path: Path) -> None:
    [(line, message)] = faults_in(write_lines(tmp_path, '{"id": 1.5, "prompt": "a"}'))
    assert line == 1
    assert message.startswith("'id'")


def test_a_prompt_that_is_not_utf8_is_a_fault_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{"prompt": "\xff"}\n')
    [(line, message)] = faults_in(path)
    assert (line, message[:17]) == (2, "is not valid JSON")


def test_parquet_faults_carry_the_number_of_the_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b", "a"], "prompt": ["x", None, "z"]}), tmp_path / "p.parquet")
    assert [line for line, _ in faults_in(tmp_path / "p.parquet")] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "faults"),
    [
        (
            "p.json",
            '[{"prompt": "a"}, 5, {"prompt": ""}]',
            [(2, "is not a JSON object"), (3, "'prompt' is empty")],
        ),
        ("p.json", '"a"', [(0, "is not a JSON list of rows")]),
        ("p.json", '{"prompt": ""}', [(1, "'prompt' is empty")]),
        (
            "p.csv",
            'prompt\n"a\nb"\nc,d\n" "\n',
            [(4, "has more cells than the header"), (5, "'prompt' is empty")],
        ),
        ("p.csv", "text\na\n", [(2, "'prompt' is missing")]),
        (
            "p.csv",
            "prompt\n" + "b" * 200_000 + '\n"',
            [(3, "has a quote that nothing closes")],
        ),
    ],
)
def test_faults_in_json_and_csv_carry_their_place_too(
    tmp_path: Path, name: str, content: str, faults: list[tuple[int, str]]
) -> None:
    (tmp_path / name).write_text(content)
    assert faults_in(tmp_path / name) == faults


def test_a_csv_column_without_a_name_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text(",prompt\n0,a\n1,b\n")
    assert [instruction.prompt for instruction in read_instructions(tmp_path / "pool.csv")] == ["a", "b"]


def test_blank_lines_are_passed_over_and_still_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path, "", '{"prompt": "a"}', "  ", "", '{"prompt": ""}')
    assert faults_in(path) == [(5, "'prompt' is empty")]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n{"prompt": "b"}\r\n')
    assert [instruction.prompt for instruction in read_instructions(path)] == ["a", "b"]


def test_a_limit_reads_the_first_instructions_and_no_fault_after_them(tmp_path: Path) -> None:
    path = write_lines(tmp_path, *(f'{{"id": {n}, "prompt": "q"}}' for n in range(4)), "broken")
    assert [instruction.id for instruction in read_instructions(path, limit=4)] == ["0", "1", "2", "3"]
    assert len(faults_in(path)) == 1


def test_a_reader_goes_on_past_faults_and_can_be_read_again(tmp_path: Path) -> None:
    reader = InstructionReader(
        write_lines(tmp_path, '{"id": 1, "prompt": "a"}', "x", '{"id": 2, "prompt": "b"}')
    )
    for _ in range(2):
        assert [instruction.id for instruction in reader] == ["1", "2"]
        assert [problem.line for problem in reader.problems] == [2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pool.jsonl", b"", "holds no instruction"),
        ("pool.jsonl", b"\n \n", "holds no instruction"),
        ("pool.jsonl", None, "cannot be read: No such file"),
        ("pool.parquet", None, "cannot be read: "),
        ("pool.txt", b"prompt\na\n", "is not one of .jsonl, .ndjson, .json, .csv, .tsv, .parquet"),
        ("pool.json", b"[]", "holds no instruction"),
        ("pool.json", b"[", "is not valid JSON: EOF"),
        ("pool.csv", b"prompt\n", "holds no instruction"),
        ("pool.parquet", b'{"prompt": "a"}\n', "is not a readable Parquet file"),
        ("pool.parquet", b"", "is not a readable Parquet file"),
    ],
)
def test_a_file_that_is_no_pool_is_one_fault(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    [(line, found)] = faults_in(tmp_path / name)
    assert line == 0
    assert found.startswith(message)


def test_a_wholly_wrong_file_lists_a_hundred_faults_and_says_there_are_more(tmp_path: Path) -> None:
    found = faults_in(write_lines(tmp_path, *["{}"] * 500))
    assert sorted(line for line, _ in found) == list(range(101))
    assert "more faults" in found[0][1]


def read_kept(
    path: Path, *names: str, limit: int | None = None
) -> tuple[dict[str, ColumnType], list[list[JsonValue]]]:
    """The types of some further fields, and each instruction's values as columns have them."""
    reader = InstructionReader(path, limit, metadata=names)
    read = list(reader)
    assert reader.problems == []
    types = reader.kept_types
    return types, [[fit_value(row.metadata.get(name), types[name]) for name in types] for row in read]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_further_fields_travel_only_where_they_are_asked_for(tmp_path: Path, suffix: str) -> None:
    path = write_format(tmp_path, [{"prompt": "a", "topic": "t", "licence": "MIT", "note": "n"}], suffix)
    asked: list[tuple[str, ...] | None] = [(), ("topic",), None]
    read = [next(read_instructions(path, metadata=names)).metadata for names in asked]
    assert read == [{}, {"topic": "t"}, {"topic": "t", "note": "n"}]


def test_values_that_json_does_not_know_become_text_or_null(tmp_path: Path) -> None:
    row = {
        "prompt": "a",
        "day": date(2024, 2, 29),
        "at": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "raw": b"\xff\x00",
    }
    path = write_format(tmp_path, [{**row, "ratio": float("nan"), "deep": [{"x": float("inf")}]}], ".parquet")
    [instruction] = read_instructions(path, metadata=None)
    expected = {"day": "2024-02-29", "at": "2024-02-29T12:00:00Z", "raw": "_wA=", "ratio": None}
    assert instruction.metadata == {**expected, "deep": [{"x": None}]}


@pytest.mark.parametrize(
    ("given_values", "column_type", "fitted"),
    [
        (["a", None, ""], "string", ["a", None, ""]),
        ([1, -(2**63)], "integer", [1, -(2**63)]),
        ([1, 0.5], "number", [1.0, 0.5]),
        ([True, None, False], "boolean", [True, None, False]),
        ([["a", None], [], None], ["string"], [["a", None], [], None]),
        ([[1], [0.5]], ["number"], [[1.0], [0.5]]),
        ([[2**64], ["a"]], ["string"], [["18446744073709551616"], ["a"]]),
        ([2**63, 1], "string", ["9223372036854775808", "1"]),
        ([True, 1, 0.5, "é"], "string", ["true", "1", "0.5", "é"]),
        ([{"é": [1]}, [[1], None]], "string", ['{"é": [1]}', "[[1], null]"]),
        ([[1, "a"]], "string", ['[1, "a"]']),
        ([[1], 1], "string", ["[1]", "1"]),
        ([None], "string", [None]),
        ([[], [None]], ["string"], [[], [None]]),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_every_value_of_the_pool(
    tmp_path: Path, given_values: list[JsonValue], column_type: ColumnType, fitted: list[JsonValue]
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": n, "prompt": "a", "kept": value} for n, value in enumerate(given_values)
    ]
    rows.append({"id": "without", "prompt": "a"})
    types, values = read_kept(write_jsonl(tmp_path, rows), "kept")
    assert types == {"kept": column_type}
    assert values == [*([value] for value in fitted), [None]]


def test_types_stand_in_the_order_asked_for_and_are_of_the_rows_within_the_limit(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a", "user_id": 1, "topic": "t"}]
    rows.append({"prompt": "b", "user_id": "x", "topic": "t"})
    path = write_jsonl(tmp_path, rows)
    assert list(read_kept(path, "user_id", "topic")[0].items()) == [
        ("user_id", "string"),
        ("topic", "string"),
    ]
    assert read_kept(path, "topic", "user_id", limit=1)[0] == {"topic": "string", "user_id": "integer"}


def test_types_are_taken_anew_when_a_reader_is_read_again(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path, [{"prompt": "a", "n": 1}])
    reader = InstructionReader(path, metadata=["n"])
    assert [[row.metadata for row in reader], reader.kept_types] == [[{"n": 1}], {"n": "integer"}]
    write_jsonl(tmp_path, [{"prompt": "a", "n": True}])
    assert [[row.metadata for row in reader], reader.kept_types] == [[{"n": True}], {"n": "boolean"}]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_field_that_no_instruction_has_is_a_fault_with_the_nearest_name(
    tmp_path: Path, suffix: str
) -> None:
    path = write_format(tmp_path, [{"prompt": "a", "topic": "t"}, {"prompt": "b", "topic": None}], suffix)
    with pytest.raises(InputError) as caught:
        list(read_instructions(path, metadata=["topic", "topics"]))
    assert [(problem.line, problem.message) for problem in caught.value.problems] == [
        (0, "no instruction has a field 'topics'; did you mean 'topic'?")
    ]


def test_a_date_that_cannot_be_read_is_a_fault_of_its_row(tmp_path: Path) -> None:
    days = pa.array([2**30], pa.date32())
    pq.write_table(pa.table({"prompt": ["a"], "day": days}), tmp_path / "pool.parquet")
    reader = InstructionReader(tmp_path / "pool.parquet", metadata=["day"])
    assert list(reader) == []
    assert ["'day' cannot be read" in problem.message for problem in reader.problems] == [True]
    assert len(list(read_instructions(tmp_path / "pool.parquet"))) == 1


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PROMPTS
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PROMPTS, inner, max_size=3),
    max_leaves=5,
)
# Mostly values of one kind, for among any values there is hardly ever a type in common.
FIELDS = st.sampled_from([VALUES, st.integers(), st.integers() | st.floats(allow_nan=False), st.booleans()])
ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


@settings(deadline=None)
@given(values=FIELDS.flatmap(lambda one: st.lists(one, max_size=5) | st.lists(st.lists(one, max_size=3))))
def test_a_fitted_value_is_always_one_that_its_column_takes(values: list[JsonValue]) -> None:
    account = TypeAccount()
    for value in values:
        account.add(value)
    kind = account.column_type
    arrow = pa.list_(ARROW[kind[0]]) if isinstance(kind, list) else ARROW[kind]
    fitted = [fit_value(value, kind) for value in values]
    assert pa.array(fitted, arrow).to_pylist() == fitted
    assert [value is None for value in fitted] == [value is None for value in values]
