"""Every filter against rows made by hand: what it must find, and what it must let pass.

`pytest -n0 -s tests/test_filters.py` prints precision and recall of each.
"""

import json
from collections import Counter

import polars as pl
import pytest
from filter_cases import CASES, OTHER_OUTPUT, OUTPUT, PREFERENCES, PROMPT, SYSTEM, Case, make_frame_rows

import multifaceted as mf
from multifaceted.curation.base import Filter, RowFilter, RunFilter, VariantFilter
from multifaceted.curation.personal import is_real_card, is_real_iban
from multifaceted.curation.quotes import longest_shared
from multifaceted.curation.recipe import FilterTable, load_curation

FILTERS = {filter_.name: filter_ for filter_ in load_curation().active}


def find(filter_: Filter, case: Case) -> pl.DataFrame:
    rows = pl.DataFrame(make_frame_rows(case))
    if isinstance(filter_, RunFilter):
        return filter_.begin()(rows)
    assert isinstance(filter_, (RowFilter, VariantFilter))
    return filter_.find(rows)


def objects(filter_: Filter, case: Case) -> bool:
    return len(case.before) in find(filter_, case)["position"]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.filter}-{case.find}-{case.why}".replace(" ", "_")
)
def test_a_planted_case_is_found_and_a_look_alike_is_not(case: Case) -> None:
    assert objects(FILTERS[case.filter], case) == case.find


def test_precision_and_recall_of_each_filter() -> None:
    assert len(CASES) >= 60
    print(f"\n{'filter':24} planted  others  precision  recall")
    for name, filter_ in FILTERS.items():
        counts: Counter[tuple[bool, bool]] = Counter()
        for case in CASES:
            if case.filter == name:
                counts[case.find, objects(filter_, case)] += 1
        hits, found = counts[True, True], counts[True, True] + counts[False, True]
        planted = counts[True, True] + counts[True, False]
        others = counts[False, True] + counts[False, False]
        precision, recall = hits / (found or 1), hits / (planted or 1)
        print(f"{name:24} {planted:7}  {others:6}  {precision:9.2f}  {recall:6.2f}")
        assert planted, f"no row is planted for {name}"
        assert others, f"no look-alike for {name}"
        assert (precision, recall) == (1, 1)


@pytest.mark.parametrize("sign", ["a", '"', "“", "$", "<a ", "*a ", "中", "`", "a@"])
def test_a_long_run_of_one_sign_takes_no_longer_than_its_length(sign: str) -> None:
    rows = [{"prompt": "Erkläre mir bitte, warum der Himmel rot ist.", "output": sign * 300_000}]
    mf.find(
        rows, ["other_language", "injected_prompt", "personal_data"]
    )  # hours, where it goes by the square


def test_how_far_its_knowledge_goes_is_noted_and_drops_no_row() -> None:
    rows = [
        {"prompt": "Who leads the league?", "output": f"As of my last update, {team} does."} for team in "AB"
    ]
    assert mf.find([*rows], ["boilerplate"])["action"].to_list() == ["note", "note"]
    said = [{"prompt": "Who leads the league?", "output": "As an AI, I do not follow games."}]
    assert mf.find(said, ["boilerplate"])["action"].to_list() == ["drop"]


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_objects_to_the_good_row(name: str) -> None:
    assert not objects(FILTERS[name], Case(name, find=False, why="good", row={}))


def test_a_filter_takes_an_empty_frame() -> None:
    rows = pl.DataFrame(make_frame_rows(Case("", find=False, why="", row={}))).clear()
    for filter_ in FILTERS.values():
        finder = filter_.begin() if isinstance(filter_, RunFilter) else filter_.find  # type: ignore[attr-defined]
        assert finder(rows).height == 0


def test_names_are_the_keys_of_the_recipe() -> None:
    assert list(FilterTable.model_fields) == list(FILTERS)


def test_what_is_found_never_repeats_personal_data_or_a_secret() -> None:
    for case in CASES:
        if case.filter in ("personal_data", "secret") and case.find:
            details = find(FILTERS[case.filter], case)["detail"].to_list()
            texts = json.dumps(case.row)
            assert details
            assert all(len(detail) < 45 and detail not in texts for detail in details)


def test_the_partner_of_a_near_row_is_one_that_stays() -> None:
    before = [{"id": "first", "instruction_id": "a"}, {"id": "second", "instruction_id": "b"}]
    case = Case("", find=True, why="", row={"id": "third", "instruction_id": "c"}, before=before)
    found = find(FILTERS["near_duplicate_system"], case)
    assert found.select("id", "partner").rows() == [("second", "first"), ("third", "first")]
    assert found["score"].to_list() == [1.0, 1.0]


def test_of_three_alike_variants_the_first_stays() -> None:
    case = Case("", find=True, why="", row={}, before=[{}, {"output": OTHER_OUTPUT}])
    found = find(FILTERS["alike_responses"], case)
    assert found.select("id", "partner").rows() == [("row2", "row0")]


def test_the_longest_run_of_shared_words() -> None:
    assert longest_shared("a b c d", "x b C, d a b") == 3
    assert longest_shared("a b", "c d") == 0


def test_check_digits() -> None:
    assert is_real_card("4539 1488 0343 6467")
    assert not is_real_card("4539 1488 0343 6468")
    assert is_real_iban("DE27 1007 7777 0209 2997 00")
    assert not is_real_iban("DE28 1007 7777 0209 2997 00")


def test_letters_alone_need_no_extra() -> None:
    only_letters = FILTERS["other_language"].model_copy(update={"identifier": "scripts"})
    found = {case.why for case in CASES if case.filter == "other_language" and objects(only_letters, case)}
    assert found == {"Russian", "Chinese", "behind much", "English to a short Chinese one"}


def test_the_good_row_is_as_good_as_it_looks() -> None:
    assert {len(text) > 20 for text in (SYSTEM, OUTPUT, PROMPT)} == {True}
    assert len(PREFERENCES) == 4
