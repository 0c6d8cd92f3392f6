"""The taxonomy: ids, files, faults, changes and sampling; then what the shipped one promises."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from multifaceted.errors import InputError
from multifaceted.taxonomy import (
    Dimension,
    PreferenceSet,
    Subdimension,
    Taxonomy,
    diff_taxonomies,
    dump_taxonomy,
    load_taxonomy,
    sample_preference_sets,
    taxonomy_schema,
)

Data = dict[str, Any]
Shape = dict[str, dict[str, int]]  # dimension → subdimension → how many preferences

TINY: Shape = {"style": {"clarity": 2, "tone": 2, "format": 2, "length": 2}, "safety": {"care": 3, "law": 3}}
SLUGS = st.from_regex(r"[a-z0-9]{1,4}([-_][a-z0-9]{1,4})?", fullmatch=True)
SHAPES = st.dictionaries(
    SLUGS, st.dictionaries(SLUGS, st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PARTS = {
    "style": "clarity conciseness format tone vividness",
    "background_knowledge": "basic novice intermediate advanced expert",
    "informativeness": "relevance practicality depth creativity efficiency",
    "harmlessness": "safety accuracy morality trustworthiness sensitivity",
}


def make_data(shape: Shape, **changes: Any) -> Data:
    def node(*slugs: str, **children: Any) -> Data:
        path = " ".join(slugs)
        return {"slug": slugs[-1], "name": f"The {path}", "description": f"About {path}.", **children}

    dimensions = [
        node(
            slug,
            subdimensions=[
                node(slug, sub, preferences=[node(slug, sub, f"p{n}") for n in range(count)])
                for sub, count in subdimensions.items()
            ],
        )
        for slug, subdimensions in shape.items()
    ]
    return {"name": "tiny", "version": "1.0.0", "dimensions": dimensions, **changes}


def make_taxonomy(shape: Shape, **changes: Any) -> Taxonomy:
    return Taxonomy.model_validate(make_data(shape, **changes))


def nodes_in(data: Data) -> Iterator[Data]:
    for field in ("dimensions", "subdimensions", "preferences"):
        for child in data.get(field, []):
            yield child
            yield from nodes_in(child)


def subdimension_of(preference_id: str) -> str:
    return preference_id.rpartition("/")[0]


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    data = make_data(draw(SHAPES))
    for number, node in enumerate(nodes_in(data)):
        node.update(name=f"{draw(WORDS)} {number}", description=f"{draw(WORDS)} {number}")
    return Taxonomy.model_validate(data)


@settings(deadline=None)
@given(taxonomy=taxonomies())
def test_a_dumped_taxonomy_loads_as_an_equal_one(
    taxonomy: Taxonomy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "taxonomy.yaml"
    path.write_text(dump_taxonomy(taxonomy), encoding="utf-8")
    loaded = load_taxonomy(path)
    assert loaded == taxonomy
    assert loaded.fingerprint == taxonomy.fingerprint
    assert list(loaded.nodes) == list(taxonomy.nodes)


def test_an_id_joins_the_slugs_on_the_way_to_a_node_and_finds_it() -> None:
    taxonomy = make_taxonomy(TINY)
    assert [sub.id for sub in taxonomy.dimensions[1].subdimensions] == ["safety/care", "safety/law"]
    assert taxonomy.preferences[3].id == "style/tone/p1"
    assert taxonomy.get("style/tone/p1") is taxonomy.preferences[3]
    with pytest.raises(KeyError, match="style/tone/p9"):
        taxonomy.get("style/tone/p9")


def test_a_node_in_two_taxonomies_keeps_an_id_in_each() -> None:
    clarity = Subdimension.model_validate(make_data(TINY)["dimensions"][0]["subdimensions"][0])
    one, two = (
        Taxonomy(
            name="t",
            version="1.0.0",
            dimensions=(Dimension(slug=slug, name="N", description="D.", subdimensions=(clarity,)),),
        )
        for slug in ("one", "two")
    )
    assert [p.id for p in one.preferences] == ["one/clarity/p0", "one/clarity/p1"]
    assert [p.id for p in two.preferences] == ["two/clarity/p0", "two/clarity/p1"]
    assert clarity.id == "clarity"


def test_the_fingerprint_is_of_the_content_and_not_of_name_and_version() -> None:
    prints = {make_taxonomy(TINY).fingerprint, make_taxonomy(TINY, name="x", version="9.0.0").fingerprint}
    assert len(prints) == 1
    count = sum(1 for _ in nodes_in(make_data(TINY)))
    for index in range(count):
        data = make_data(TINY)
        list(nodes_in(data))[index]["description"] = "Says something else."
        prints.add(Taxonomy.model_validate(data).fingerprint)
    assert len(prints) == 1 + count


def test_a_taxonomy_cannot_be_changed_in_place() -> None:
    taxonomy = make_taxonomy(TINY)
    with pytest.raises(ValidationError, match="frozen"):
        taxonomy.version = "2.0.0"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        taxonomy.preferences[0].slug = "other"  # type: ignore[misc]


def test_a_dimension_is_added_at_the_end_and_a_doubled_one_refused() -> None:
    wit = Dimension.model_validate(make_data({"wit": {"puns": 2}})["dimensions"][0])
    taxonomy = make_taxonomy(TINY)
    before = (taxonomy.fingerprint, len(taxonomy.nodes))
    grown = taxonomy.add(wit)
    assert (grown.fingerprint != before[0], len(grown.nodes)) == (True, before[1] + 4)
    assert grown.dimensions[:-1] == taxonomy.dimensions
    assert [p.id for p in grown.preferences][-2:] == ["wit/puns/p0", "wit/puns/p1"]
    assert len(taxonomy.dimensions) == 2
    with pytest.raises(InputError, match="'wit' is there already"):
        grown.add(wit)


def test_a_merge_is_the_union_by_slug_with_its_own_nodes_first() -> None:
    mine = make_taxonomy({"style": {"tone": 1}, "safety": {"law": 1}})
    other = make_taxonomy({"wit": {"puns": 1}, "style": {"clarity": 1, "tone": 3}}, version="2.0.0")
    merged = mine.merge(other)
    assert [p.id for p in merged.preferences] == [
        *("style/tone/p0", "style/tone/p1", "style/tone/p2", "style/clarity/p0"),
        *("safety/law/p0", "wit/puns/p0"),
    ]
    assert all(merged.get(p.id) is p for p in merged.preferences)
    assert (merged.version, merged.check()) == ("1.0.0", [])


def test_a_merge_lists_every_node_that_says_something_else() -> None:
    data = make_data(TINY)
    data["dimensions"][0]["name"] = "Another name"
    data["dimensions"][1]["subdimensions"][0]["preferences"][2]["description"] = "Another description."
    with pytest.raises(InputError) as caught:
        make_taxonomy(TINY).merge(Taxonomy.model_validate(data))
    assert [p.message.split("'")[1] for p in caught.value.problems] == ["safety/care/p2", "style"]


@pytest.mark.parametrize(
    ("shape", "bump", "added", "removed"),
    [
        (TINY, "none", [], []),
        ({**TINY, "wit": {"puns": 1}}, "minor", ["wit", "wit/puns", "wit/puns/p0"], []),
        ({**TINY, "safety": {"care": 4}}, "major", ["safety/care/p3"], ["safety/law"]),
    ],
)
def test_a_diff_lists_ids_and_asks_for_a_version(
    shape: Shape, bump: str, added: list[str], removed: list[str]
) -> None:
    found = diff_taxonomies(make_taxonomy(TINY), make_taxonomy(shape))
    assert (found.bump, list(found.added)) == (bump, added)
    assert [node_id for node_id in found.removed if node_id.count("/") < 2] == removed


def test_a_diff_says_what_was_reworded() -> None:
    data = make_data(TINY)
    data["dimensions"][0]["description"] = "Reworded."
    found = diff_taxonomies(make_taxonomy(TINY), Taxonomy.model_validate(data))
    assert (found.bump, found.changed) == ("patch", {"style": ("description",)})


def test_check_finds_doubled_slugs_names_and_descriptions_with_their_place() -> None:
    data = make_data(TINY)
    style, safety = data["dimensions"]
    style["subdimensions"][1]["slug"] = "clarity"
    style["subdimensions"][2]["name"] = style["subdimensions"][0]["name"]
    safety["subdimensions"][1]["preferences"][2]["description"] = " about  STYLE."
    problems = Taxonomy.model_validate(data).check()
    assert [problem.where for problem in problems] == [
        "dimensions[0].subdimensions[1].slug",
        "dimensions[0].subdimensions[2].name",
        "dimensions[1].subdimensions[1].preferences[2].description",
    ]
    assert make_taxonomy(TINY).check() == []


def test_a_file_with_three_faults_has_all_three_reported_with_their_lines(tmp_path: Path) -> None:
    data = make_data({"style": {"tone": 3}})
    one, two, three = data["dimensions"][0]["subdimensions"][0]["preferences"]
    del one["description"]
    two["slug"] = "Bad Slug"
    three["slug"] = "p0"
    path = tmp_path / "taxonomy.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    lines = [n for n, line in enumerate(path.read_text().splitlines(), 1) if re.search("slug: (p|B)", line)]
    with pytest.raises(InputError) as caught:
        load_taxonomy(path)
    assert [problem.line for problem in caught.value.problems] == lines
    for problem, part in zip(caught.value.problems, ("'description' is missing", "Bad", "'p0'"), strict=True):
        assert part in problem.message


def test_a_preference_set_has_one_preference_per_dimension_in_order() -> None:
    chosen = PreferenceSet.of(make_taxonomy(TINY), ["safety/law/p2", "style/tone/p0"])
    assert chosen.ids == ("style/tone/p0", "safety/law/p2")
    assert chosen["safety"].id == "safety/law/p2"


def test_a_preference_set_lists_every_missing_doubled_and_unknown_preference() -> None:
    with pytest.raises(InputError) as caught:
        PreferenceSet.of(make_taxonomy(TINY), ["style/tone/p0", "style/tone/p1", "wit/puns/p0"])
    assert [problem.message for problem in caught.value.problems] == [
        "'wit/puns/p0' is not a preference of it",
        "dimension 'safety' has 0 preferences, must have 1",
        "dimension 'style' has 2 preferences, must have 1",
    ]


@settings(deadline=None)
@given(key=st.text(), n=st.integers(1, 6))
def test_samples_differ_in_subdimension_where_there_are_enough_else_in_preference(key: str, n: int) -> None:
    sets = sample_preference_sets(make_taxonomy(TINY), key, n=n)
    ids = [chosen.ids for chosen in sets]
    assert all([name.split("/")[0] for name in names] == ["style", "safety"] for names in ids)
    assert len({subdimension_of(style) for style, _ in ids}) == min(n, 4)
    assert len({safety for _, safety in ids}) == n


@settings(deadline=None)
@given(key=st.text())
def test_samples_stay_distinct_where_subdimensions_are_of_unequal_size(key: str) -> None:
    sets = sample_preference_sets(make_taxonomy({"style": {"one": 1, "many": 5}}), key, n=3)
    assert len({chosen.ids for chosen in sets}) == 3


def test_another_process_draws_the_same_samples() -> None:
    draw = "[s.ids for k in 'abc' for s in sample_preference_sets(load_taxonomy(sys.argv[1]), k)]"
    code = f"import json, sys; from multifaceted.taxonomy import *; print(json.dumps({draw}))"
    drawn = [
        subprocess.run(
            [sys.executable, "-c", code, "default"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    here = [list(s.ids) for key in "abc" for s in sample_preference_sets(load_taxonomy(), key)]
    assert json.loads(drawn[0]) == json.loads(drawn[1]) == here


def test_another_key_draws_other_samples_for_most_keys() -> None:
    taxonomy = make_taxonomy(TINY)
    drawn = {tuple(s.ids for s in sample_preference_sets(taxonomy, f"key-{n}")) for n in range(100)}
    assert len(drawn) > 90


def test_a_new_subdimension_moves_few_samples_and_none_of_another_dimension() -> None:
    old, new = (make_taxonomy({"style": dict.fromkeys("abcdefg"[:n], 3), "safety": {"s": 3}}) for n in (6, 7))
    moved = 0
    for n in range(100):
        pairs = zip(sample_preference_sets(old, f"{n}"), sample_preference_sets(new, f"{n}"), strict=True)
        for before, after in pairs:
            assert before["safety"].id == after["safety"].id
            moved += before["style"].id != after["style"].id
    assert 0 < moved < 150  # of 300


def test_the_default_taxonomy_is_sound_and_covers_what_it_must() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.check() == []
    assert [dimension.slug for dimension in taxonomy.dimensions] == list(PARTS)
    assert {f"{slug}/{sub}" for slug, subs in PARTS.items() for sub in subs.split()} <= set(taxonomy.nodes)
    assert len(taxonomy.subdimensions) >= 24
    assert len(taxonomy.preferences) >= 240


def test_no_two_preferences_of_the_default_taxonomy_share_a_name_or_description() -> None:
    preferences = load_taxonomy().preferences
    assert len({p.name.casefold() for p in preferences}) == len(preferences)
    assert len({p.description.casefold() for p in preferences}) == len(preferences)


def test_every_description_of_the_default_taxonomy_is_one_sentence() -> None:
    texts = [node.description for node in load_taxonomy().nodes.values()]
    assert [text for text in texts if not text.endswith(".") or re.search(r"[.!?]\s", text)] == []
    assert [text for text in texts if not 5 <= len(text.split()) <= 40] == []


def test_the_json_schema_asks_for_the_keys_of_a_dumped_taxonomy() -> None:
    schema = taxonomy_schema()
    dumped = yaml.safe_load(dump_taxonomy(load_taxonomy()))
    for level in ("Taxonomy", "Dimension", "Subdimension", "Preference"):
        described = schema if level == "Taxonomy" else schema["$defs"][level]
        assert set(described["required"]) == set(described["properties"]) == set(dumped)
        dumped = next((value[0] for value in dumped.values() if isinstance(value, list)), None)
