"""`preferences`: the sampled subdimensions of the taxonomy become a preference set fitted to the instruction.

Example:
    read_preferences(draft, '{"style": {"subdimension": …, "preference": …, "description": …}, …}')
"""

from collections.abc import Collection
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from multifaceted.fieldtypes import object_schema
from multifaceted.prompts.reply import FilledText, check_reply, read_json
from multifaceted.records import PreferenceEntry
from multifaceted.stages.base import Draft, Schema, Stage
from multifaceted.taxonomy import Preference, rank_by_key

EXAMPLES_SHOWN = 3  # preferences of the sampled subdimension shown to the model, the sampled one first

# What a very small model may write as a description: a bounded sentence. Left to itself it rambles inside a
# string until the reply is cut, and a plain `maxLength` would cut it in the middle of a word.
SMALL_DESCRIPTION = "^The reader [a-zA-Z ,;'-]{40,220}\\.$"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    subdimension: FilledText
    preference: FilledText
    description: FilledText


_ENTRIES = TypeAdapter(dict[str, _Entry])


def preferences_schema(draft: Draft, *, small: bool) -> Schema:
    """JSON Schema of the reply: one property for each dimension, none optional.

    For a small model the subdimension is fixed, the example preferences alone are offered, and the
    description is bounded.
    """
    if not small:
        free = object_schema({name: {"type": "string"} for name in _Entry.model_fields})
        return object_schema(dict.fromkeys(draft.taxonomy.slugs, free))
    entries = {}
    for seed in list_sampled(draft):
        names = [example["name"] for example in seed["examples"]]
        entries[seed["dimension"]] = object_schema(
            {
                "subdimension": {"const": seed["subdimension"]},
                "preference": {"enum": names},
                "description": {"type": "string", "pattern": SMALL_DESCRIPTION},
            }
        )
    return object_schema(entries)


def read_preferences(draft: Draft, text: str) -> list[PreferenceEntry]:
    """Read a reply, in the taxonomy's order of dimensions.

    Raises:
        ReplyError: with everything that is wrong with it.
    """
    return read_json(text, partial(_check_entries, draft.taxonomy.slugs))


def _check_entries(slugs: Collection[str], data: dict[str, Any]) -> list[PreferenceEntry]:
    problems = [f"dimension {slug!r} is missing" for slug in slugs if slug not in data]
    problems += [f"{name!r} is not a dimension" for name in data if name not in slugs]
    entries = check_reply(_ENTRIES, {slug: data[slug] for slug in slugs if slug in data}, problems)
    return [PreferenceEntry(dimension=slug, **dict(entries[slug])) for slug in slugs]


def list_dimensions(draft: Draft) -> list[dict[str, str]]:
    """Return every dimension of the taxonomy, as the template sees it."""
    return [{"slug": d.slug, "name": d.name, "description": d.description} for d in draft.taxonomy.dimensions]


def list_sampled(draft: Draft) -> list[dict[str, Any]]:
    """Return the sampled subdimension of each dimension, with examples: first the sampled preference."""
    return [_describe_sampled(draft, preference) for preference in draft.task.sampled.preferences]


def _describe_sampled(draft: Draft, preference: Preference) -> dict[str, Any]:
    subdimension = draft.taxonomy.subdimension_of(preference)
    others = [p for p in rank_by_key(subdimension.preferences, draft.task.id) if p.id != preference.id]
    examples = [preference, *others][:EXAMPLES_SHOWN]
    return {
        "dimension": preference.id.split("/", 1)[0],
        "subdimension": subdimension.name,
        "description": subdimension.description,
        "examples": [{"name": p.name, "description": p.description} for p in examples],
    }


def _imagine_entries(draft: Draft) -> list[PreferenceEntry]:
    """Return the sampled preferences themselves."""
    return list(map(_to_entry, draft.task.sampled.preferences))


def _to_entry(sampled: Preference) -> PreferenceEntry:
    dimension, subdimension, _ = sampled.id.split("/")
    return PreferenceEntry(
        dimension=dimension,
        subdimension=subdimension,
        preference=sampled.name,
        description=sampled.description,
    )


PREFERENCES = Stage(
    name="preferences",
    column="preference_set",
    record="preferences",
    description="what one reader wants: one entry for each dimension, in the taxonomy's order",
    annotation=list[PreferenceEntry],
    template="preference_set",
    tokens=300,  # from trials with the shipped templates
    values={"dimensions": list_dimensions, "sampled": list_sampled},
    schema=preferences_schema,
    read=read_preferences,
    sample=_imagine_entries,
)
