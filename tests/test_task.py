"""Whether two prompts that share nearly all words ask for the same thing."""

import pytest

from multifaceted.similar.near import NearSpec, find_near_duplicates
from multifaceted.similar.task import asks_the_same

PASSAGE = (
    "The lighthouse of Skagen was lit in 1858. Its keeper, Anna Holm, kept a diary of all ships that passed, "
    "until a storm took the northern dune and with it the boat house, the garden and the well behind it."
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"Hi! Who kept the diary?\n{PASSAGE}", f"{PASSAGE}\n\nQuestion: who kept the diary", True),
        (f"Summarize: {PASSAGE}", f"{PASSAGE} Write a summary of the text above.", True),
        (f"Name the keepers. {PASSAGE}", f"Name the keeper. {PASSAGE}", True),
        (f"Who kept the diary? {PASSAGE}", f"What took the boat house? {PASSAGE}", False),
        (f"Which was more? {PASSAGE}", f"Which was less? {PASSAGE}", False),
        (f"Say what is true. {PASSAGE}", f"Say what is not true. {PASSAGE}", False),
        (PASSAGE, PASSAGE.replace("1858", "1868"), False),
        (f"In C#: {PASSAGE}", f"In C++: {PASSAGE}", False),
        ("用一句话总结下面的段落", "请用一句话总结这个段落", True),
        ("把下面的句子翻译成法语", "把下面的句子翻译成德语", False),
    ],
)
def test_what_only_one_of_them_has_decides(one: str, other: str, same: bool) -> None:
    assert asks_the_same(one, other) == same
    assert asks_the_same(other, one) == same


def test_a_form_that_is_filled_in_again_and_again_is_kept_each_time() -> None:
    form = "You may use a shell to run commands. Say how you would do it, step by step, in short: {}"
    asked = [form.format(f"count the files of folder {number}") for number in range(200)]
    again = [text.replace("Say how", "Tell me how") for text in asked]
    found = find_near_duplicates([*asked, *again], NearSpec(threshold=0.5), same_task=True)
    assert {match.row for match in found.matches} == set(range(200, 400))
    assert all(match.row - match.kept == 200 for match in found.matches)
    assert len(find_near_duplicates(asked, NearSpec(threshold=0.5)).matches) == 199
