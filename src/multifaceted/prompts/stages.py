"""What each stage asks and how its reply is read; pure, so a prompt can be looked at without a model.

Example:
    prompts = StagePrompts(taxonomy, templates)
    prompts.preferences(task)            # the chat turns
    prompts.parse_preferences(task, '{"style": {…}, …}')
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from multifaceted.prompts.template import Template, TemplateName
from multifaceted.records import STAGES, Message, PreferenceEntry, RowTask, Stage
from multifaceted.taxonomy import Preference, Subdimension, Taxonomy, rank_by_key
from multifaceted.yamlfile import show_path

EXAMPLES_SHOWN = 3  # preferences of the sampled subdimension shown to the model, the sampled one first

# What a very small model may write as a description: a bounded sentence. Left to itself it rambles inside a
# string until the reply is cut, and a plain `maxLength` would cut it in the middle of a word.
SMALL_DESCRIPTION = "^The reader [a-zA-Z ,;'-]{40,220}\\.$"

OBJECT_START = re.compile(r'\{\s*["}]')  # no brace in the prose before it

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

    subdimension: str
    preference: str
    description: str

    @field_validator("*")
    @classmethod
    def _strip(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty")
        return text.strip()


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
            fix_known: fix the subdimension, offer the example preferences alone, and bound the description,
                for models too small to be asked.
        """
        if not fix_known:
            free = _object_schema({name: {"type": "string"} for name in _Entry.model_fields})
            return _object_schema(dict.fromkeys(self._slugs, free))
        entries = {}
        for preference in task.seeds.preferences:
            seed = self._seed(task, preference)
            names = [example["name"] for example in seed["examples"]]
            entries[seed["dimension"]] = _object_schema(
                {
                    "subdimension": {"const": seed["subdimension"]},
                    "preference": {"enum": names},
                    "description": {"type": "string", "pattern": SMALL_DESCRIPTION},
                }
            )
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
            problems += [f"{show_path(detail['loc'])}: {_explain(detail)}" for detail in error.errors()]
        if problems:
            raise ReplyError(problems)
        return [PreferenceEntry(dimension=slug, **dict(entries[slug])) for slug in self._slugs]

    @cached_property
    def taxonomy_fingerprint(self) -> str:
        """The taxonomy's fingerprint, taken once: every row carries it."""
        return self.taxonomy.fingerprint

    @property
    def hashes(self) -> dict[Stage, str]:
        """The hash of each stage's template."""
        return {stage: self.templates[STAGE_TEMPLATES[stage]].hash for stage in STAGES}

    @property
    def _slugs(self) -> list[str]:
        return [dimension.slug for dimension in self.taxonomy.dimensions]

    @cached_property
    def _subdimensions(self) -> dict[str, Subdimension]:
        return {subdimension.id: subdimension for subdimension in self.taxonomy.subdimensions}

    def _subdimension(self, preference: Preference) -> Subdimension:
        return self._subdimensions[preference.id.rsplit("/", 1)[0]]

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
    start = OBJECT_START.search(text)
    if start is None:
        raise ReplyError(["the reply holds no JSON object"])
    try:
        data, _ = json.JSONDecoder(object_pairs_hook=_unique_pairs).raw_decode(text, start.start())
    except ReplyError:
        raise
    except ValueError as error:
        raise ReplyError([f"the JSON is broken: {error}"]) from error
    except RecursionError as error:
        raise ReplyError(["the JSON is nested too deeply"]) from error
    assert isinstance(data, dict)  # noqa: S101 - it begins with a brace
    return data


def _explain(detail: Any) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "model_type":
        return "must be an object"
    return str(detail["msg"]).removeprefix("Value error, ")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ReplyError(["a key stands twice in one JSON object"])
    return data


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
