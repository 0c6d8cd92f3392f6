"""The stages: what each asks, the schema of its reply, and how any reply at all is read."""

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multifaceted.prompts.reply import ReplyError, parse_text, read_json
from multifaceted.prompts.template import ask_again, load_repair, load_template, shipped_template
from multifaceted.records import Instruction, Message, PreferenceEntry, RowTask
from multifaceted.stages import PREFERENCES, SHIPPED, Draft, Prompts
from multifaceted.taxonomy import PreferenceSet, Taxonomy

SLUGS = ["style", "background", "safety"]
FIELDS = ["subdimension", "preference", "description"]
ENTRY = {"subdimension": "Tone", "preference": "Warm words", "description": "Wants warmth."}
REPLY = dict.fromkeys(SLUGS, ENTRY)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(dict.fromkeys(FIELDS, st.text())) | JSON_VALUES
REPLIES = st.dictionaries(st.sampled_from([*SLUGS, "mood"]), ENTRIES).map(json.dumps)


def make_taxonomy() -> Taxonomy:
    def node(*slugs: str, **children: Any) -> dict[str, Any]:
        name = " ".join(slugs)
        return {"slug": slugs[-1], "name": f"The {name}", "description": f"About {name}.", **children}

    dimensions = [
        node(
            slug,
            subdimensions=[
                node(slug, sub, preferences=[node(slug, sub, p) for p in ("a", "b", "c", "d")])
                for sub in ("tone", "clarity")
            ],
        )
        for slug in SLUGS
    ]
    return Taxonomy.model_validate({"name": "tiny", "version": "1.0.0", "dimensions": dimensions})


TAXONOMY = make_taxonomy()
STAGES = tuple(SHIPPED.values())
TEMPLATES = {
    stage.name: load_template(
        stage.template, variables=stage.list_variables(other.name for other in STAGES[:index])
    )
    for index, stage in enumerate(STAGES)
}
PROMPTS = Prompts(TAXONOMY, STAGES, TEMPLATES, load_repair())


def make_task(prompt: str = "Why is the sky blue?") -> RowTask:
    seeds = PreferenceSet.of(TAXONOMY, ["style/tone/b", "background/clarity/a", "safety/tone/d"])
    return RowTask(Instruction(id="i1", prompt=prompt), 1, seeds, 7)


def make_draft() -> Draft:
    return PROMPTS.draft(make_task())


def read_preferences(text: str) -> list[PreferenceEntry]:
    entries: list[PreferenceEntry] = PREFERENCES.read(make_draft(), text)
    return entries


def make_schema(*, small: bool) -> dict[str, Any]:
    schema = PREFERENCES.schema(make_draft(), small=small)
    assert schema is not None
    return schema


def problems_of(text: str) -> list[str]:
    with pytest.raises(ReplyError) as caught:
        read_preferences(text)
    return caught.value.problems


def test_the_preference_prompt_shows_the_instruction_and_the_sampled_preference_first() -> None:
    system, user = PROMPTS.render(PREFERENCES, make_draft())
    assert all(f"About {slug}." in system.content for slug in SLUGS)
    assert "Why is the sky blue?" in user.content
    shown = [line for line in user.content.splitlines() if "About style tone" in line]
    assert len(shown) == 4  # the subdimension and three of its four preferences
    assert "About style tone b." in shown[1]
    assert "style clarity" not in user.content


def test_the_schema_has_one_required_property_per_dimension_and_no_other() -> None:
    schema = make_schema(small=False)
    assert list(schema["properties"]) == schema["required"] == SLUGS
    assert schema["additionalProperties"] is False
    for entry in schema["properties"].values():
        assert list(entry["properties"]) == entry["required"] == FIELDS
        assert entry["additionalProperties"] is False
        assert all(field == {"type": "string"} for field in entry["properties"].values())


def test_a_small_model_gets_the_sampled_subdimensions_fixed_and_its_texts_bounded() -> None:
    entries = make_schema(small=True)["properties"]
    fixed = [entry["properties"]["subdimension"] for entry in entries.values()]
    assert [field["const"] for field in fixed] == [
        *("The style tone", "The background clarity", "The safety tone")
    ]
    offered = [entry["properties"]["preference"]["enum"] for entry in entries.values()]
    sampled = [preference.name for preference in make_task().sampled.preferences]
    assert all(name in names for name, names in zip(sampled, offered, strict=True))
    patterns = [entry["properties"]["description"]["pattern"] for entry in entries.values()]
    assert all(
        re.match(pattern, "The reader wants short words and no haste.") is None for pattern in patterns
    )
    fitting = "The reader wants short words, no haste, and one example to hold on to."
    assert all(re.match(pattern, fitting) for pattern in patterns)


@pytest.mark.parametrize(
    "shape",
    ["{}", "```json\n{}\n```", "Here it is:\n\n{}\n\nAnything else? {{smile}}", "\ufeff {}\n", "[{}]"],
)
def test_a_reply_is_found_among_words_and_fences(shape: str) -> None:
    text = shape.replace("{}", json.dumps(REPLY, indent=1)).replace("{{", "{").replace("}}", "}")
    assert [entry.dimension for entry in read_preferences(text)] == SLUGS


def test_entries_keep_the_order_of_the_taxonomy_and_lose_outer_white_space() -> None:
    padded = {slug: {k: f" {v}\n" for k, v in ENTRY.items()} for slug in reversed(SLUGS)}
    entries = read_preferences(json.dumps(padded))
    assert [entry.model_dump() for entry in entries] == [{"dimension": slug, **ENTRY} for slug in SLUGS]


def test_everything_wrong_with_a_reply_is_listed_at_once() -> None:
    wrong = {"style": {**ENTRY, "preference": " \n"}, "background": {"subdimension": 5}, "mood": ENTRY}
    found = problems_of(json.dumps(wrong))
    places = ["style.preference", *(f"background.{field}" for field in FIELDS)]
    assert found[:2] == ["dimension 'safety' is missing", "'mood' is not a dimension"]
    assert [problem.partition(":")[0] for problem in found[2:]] == places


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the reply holds no JSON object"),
        ("I would rather not.", "the reply holds no JSON object"),
        ('["style", "safety"]', "the reply holds no JSON object"),
        ('{"style": {"subdimension": "Tone"', "the JSON is broken"),
        ('{"style": {"preference": "a" b"}}', "the JSON is broken"),
        ('{"style": {}, "style": {}}', "a key stands twice"),
        ('{"style": {"preference": "a", "preference": "b"}}', "a key stands twice"),
        ('{"style": ' * 50_000, "nested too deeply"),
        ('{"style": ' + "[" * 50_000, "nested too deeply"),
    ],
)
def test_a_reply_without_a_readable_object_has_one_problem(text: str, problem: str) -> None:
    [found] = problems_of(text)
    assert problem in found


@settings(deadline=None)
@given(text=st.text() | REPLIES)
@example(text=json.dumps(REPLY))
@example(text=json.dumps(REPLY).replace("Tone", "\\ud800"))
@example(text=json.dumps({**REPLY, "\ud800": 1}))
@example(text=json.dumps(REPLY).replace("Tone", "\\u001c"))
@example(text='{"style": NaN}')
@example(text='{"style": ' + "7" * 5000 + "}")
def test_any_text_is_read_as_entries_or_refused_as_a_reply(text: str) -> None:
    try:
        entries = read_preferences(text)
    except ReplyError as error:
        assert error.problems  # noqa: PT017 - both ways are right
    else:
        assert [entry.dimension for entry in entries] == SLUGS
        assert all(all(entry.model_dump().values()) for entry in entries)


@settings(deadline=None)
@given(data=st.dictionaries(st.text(), JSON_VALUES, max_size=3))
def test_a_json_object_is_read_back_from_among_words(data: dict[str, Any]) -> None:
    dumped = json.dumps(data)
    read = read_json(f"Well: {dumped} }} and so on", dict)
    assert json.dumps(read) == dumped


def test_a_free_text_is_stripped_and_an_empty_one_refused() -> None:
    assert parse_text("\n You are kind. \n") == "You are kind."
    with pytest.raises(ReplyError, match="the reply is empty"):
        parse_text(" \n\u3000")


def test_the_repair_turns_carry_the_faulty_reply_and_what_is_wrong() -> None:
    turns = PROMPTS.render(PREFERENCES, make_draft())
    repaired = ask_again(PROMPTS.repair, turns, "oops", ["dimension 'style' is missing", "it is rude"])
    assert repaired[:3] == (*turns, Message("assistant", "oops"))
    assert repaired[3].role == "user"
    assert "dimension 'style' is missing" in repaired[3].content
    assert "it is rude" in repaired[3].content


def test_a_preview_shows_every_stage_before_anything_is_asked() -> None:
    preview = list(PROMPTS.preview(make_task()))
    asked = [(found.stage.name, found.part.dimension if found.part else "") for found in preview]
    assert asked[:3] == [(stage.name, "") for stage in STAGES[:3]]
    assert asked[3:] == [("rubric", slug) for slug in SLUGS]
    preferences, system_message, response, *rubrics = [found.turns for found in preview]
    assert preferences == PROMPTS.render(PREFERENCES, make_draft())
    assert "About style tone b." in system_message[-1].content
    mark = "[the system message that the model writes]"
    assert response == (Message("system", mark), Message("user", "Why is the sky blue?"))
    assert "About style tone b." in rubrics[0][-1].content


def test_each_stage_has_the_hash_of_its_own_template() -> None:
    shipped = {"preferences": "preference_set", "repair": "repair"}
    names = ["preferences", "system_message", "response", "rubric", "repair"]
    files = {name: shipped_template(shipped.get(name, name)).read_bytes() for name in names}
    assert PROMPTS.hashes == {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}
