"""What each stage asks and how its reply is read; pure, so a prompt can be looked at without a model.

prompts = StagePrompts(taxonomy, templates)
prompts.preferences(task)            # the chat turns
prompts.parse_preferences(task, '{"style": {…}, …}')
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from multifaceted.prompts.template import Template, TemplateName
from multifaceted.records import STAGES, Message, PreferenceEntry, RowTask, Stage
from multifaceted.taxonomy import Preference, Subdimension, Taxonomy, rank_by_key
from multifaceted.yamlfile import show_path

EXAMPLES_SHOWN = 3  # preferences of the sampled subdimension shown to the model, the sampled one first

# Bounds for a model that is told the subdimension: so small a one rambles inside a string without end.
SMALL_MODEL_LENGTHS = {"preference": (3, 60), "description": (40, 320)}

STAGE_TEMPLATES: dict[Stage, TemplateName] = {
    "preferences": "preference_set",
    "system_message": "system_message",
    "response": "response",
}


class ReplyError(ValueError):
    """A reply does not validate; `problems` go into the repair turn."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    subdimension: str = Field(min_length=1, pattern=r"\S")
    preference: str = Field(min_length=1, pattern=r"\S")
    description: str = Field(min_length=1, pattern=r"\S")


_ENTRIES = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True)
class StagePrompts:
    """The taxonomy and templates of a run, joined into the prompts of each stage."""

    taxonomy: Taxonomy
    templates: Mapping[TemplateName, Template]

    def preferences(self, task: RowTask) -> tuple[Message, ...]:
        """Ask for the preference set: the instruction, and per dimension the sampled subdimension."""
        values = {
            "dimensions": [
                {"slug": d.slug, "name": d.name, "description": d.description}
                for d in self.taxonomy.dimensions
            ],
            "instruction": task.instruction.prompt,
            "seeds": [self._seed(task, preference) for preference in task.seeds.preferences],
        }
        return self.templates["preference_set"].render(values)

    def system_message(self, preference_set: list[PreferenceEntry]) -> tuple[Message, ...]:
        """Ask for the system message, from the descriptions only."""
        descriptions = [entry.description for entry in preference_set]
        return self.templates["system_message"].render({"descriptions": descriptions})

    def response(self, system: str, instruction: str) -> tuple[Message, ...]:
        """Ask for the gold response."""
        return self.templates["response"].render({"system_message": system, "instruction": instruction})

    def repair(self, turns: tuple[Message, ...], text: str, fault: ReplyError) -> tuple[Message, ...]:
        """The turns so far, the reply that did not validate, and what is wrong with it."""
        asked_again = self.templates["repair"].render({"problems": fault.problems})
        return (*turns, Message("assistant", text), *asked_again)

    def schema(self, task: RowTask, *, fix_known: bool) -> dict[str, Any]:
        """JSON Schema of the preference-set reply: one property per dimension, none optional.

        Args:
            task: whose sampled subdimensions to fix.
            fix_known: fix the subdimension and bound the texts, for models too small to be asked.
        """
        entries = {
            slug: _entry_schema(self._subdimension(preference).name if fix_known else None)
            for slug, preference in zip(self._slugs, task.seeds.preferences, strict=True)
        }
        return _object_schema(entries)

    def parse_preferences(self, text: str) -> list[PreferenceEntry]:
        """Read a preference-set reply, in the taxonomy's order of dimensions.

        Raises:
            ReplyError: with everything that is wrong with it.
        """
        data = read_json_object(text)
        problems = [f"dimension {slug!r} is missing" for slug in self._slugs if slug not in data]
        problems += [f"{name!r} is no dimension" for name in data if name not in self._slugs]
        try:
            entries = _ENTRIES.validate_python({slug: data[slug] for slug in self._slugs if slug in data})
        except ValidationError as error:
            problems += [f"{show_path(detail['loc'])}: {detail['msg']}" for detail in error.errors()]
        if problems:
            raise ReplyError(problems)
        return [
            PreferenceEntry(dimension=slug, **{k: v.strip() for k, v in entries[slug].model_dump().items()})
            for slug in self._slugs
        ]

    @property
    def hashes(self) -> dict[Stage, str]:
        """The hash of each stage's template."""
        return {stage: self.templates[STAGE_TEMPLATES[stage]].hash for stage in STAGES}

    @property
    def _slugs(self) -> list[str]:
        return [dimension.slug for dimension in self.taxonomy.dimensions]

    def _subdimension(self, preference: Preference) -> Subdimension:
        node = self.taxonomy.get(preference.id.rsplit("/", 1)[0])
        assert isinstance(node, Subdimension)  # noqa: S101 - ids are made from the tree itself
        return node

    def _seed(self, task: RowTask, preference: Preference) -> dict[str, Any]:
        subdimension = self._subdimension(preference)
        others = [p for p in rank_by_key(subdimension.preferences, task.id) if p.id != preference.id]
        examples = [preference, *others][:EXAMPLES_SHOWN]
        return {
            "dimension": preference.id.split("/", 1)[0],
            "subdimension": subdimension.name,
            "description": subdimension.description,
            "examples": [{"name": p.name, "description": p.description} for p in examples],
        }


def parse_text(text: str) -> str:
    """Read a free-text reply: the text without surrounding white space.

    Raises:
        ReplyError: where nothing is left.
    """
    if not text.strip():
        raise ReplyError(["the reply is empty"])
    return text.strip()


def read_json_object(text: str) -> dict[str, Any]:
    """The JSON object in a reply; words or code fences around it are passed over.

    Raises:
        ReplyError: where there is none, it is broken, or a key stands twice in it.
    """
    start = text.find("{")
    if start < 0:
        raise ReplyError(["the reply holds no JSON object"])
    try:
        data, _ = json.JSONDecoder(object_pairs_hook=_unique_pairs).raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise ReplyError([f"the JSON is broken: {error}"]) from error
    except RecursionError as error:
        raise ReplyError(["the JSON is nested too deeply"]) from error
    assert isinstance(data, dict)  # noqa: S101 - it begins with a brace
    return data


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ReplyError(["a key stands twice in one JSON object"])
    return data


def _entry_schema(subdimension: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: {"type": "string"} for name in ("subdimension", "preference", "description")
    }
    if subdimension is not None:
        fields["subdimension"] = {"const": subdimension}
        for name, (least, most) in SMALL_MODEL_LENGTHS.items():
            fields[name] = {"type": "string", "minLength": least, "maxLength": most}
    return _object_schema(fields)


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
