"""Instruction pools: what is read unchanged, and what is refused with its line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.errors import InputError
from multifaceted.instructions import InstructionReader, read_instructions
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


def write_lines(folder: Path, *lines: str) -> Path:
    path = folder / "pool.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def faults_in(path: Path) -> list[tuple[int, str]]:
    with pytest.raises(InputError) as caught:
        list(read_instructions(path))
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_jsonl_and_parquet_give_the_same_instructions(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "pool.parquet")
    from_parquet = list(read_instructions(tmp_path / "pool.parquet"))
    assert from_parquet == list(read_instructions(write_jsonl(tmp_path, ROWS)))
    assert from_parquet[0] == Instruction(id="a", prompt="Why?", source="s", original_source="o")
    assert [instruction.source for instruction in from_parquet] == ["s", "", "s"]


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
        *("id 'a' stands in line 1 already", "is no JSON object", "'prompt' is empty"),
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
        ("pool.csv", b"prompt\na\n", "is not one of .jsonl, .ndjson, .parquet"),
        ("pool.parquet", b'{"prompt": "a"}\n', "is no readable Parquet file"),
        ("pool.parquet", b"", "is no readable Parquet file"),
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
