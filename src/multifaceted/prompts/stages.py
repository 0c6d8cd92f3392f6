"""What each stage asks and how its reply is read; pure, so a prompt can be looked at without a model.

Example:
    prompts = StagePrompts(taxonomy, templates)
    prompts.preferences(task)            # the chat turns
    prompts.parse_preferences(task, '{"style": {…}, …}')
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from multifaceted.prompts.reply import (
    FilledText,
    ReplyError,
    explain_fault,
    object_schema,
    read_json_object,
)
from multifaceted.prompts.rubrics import rubric_schema
from multifaceted.prompts.template import Template, TemplateName, ask_again
from multifaceted.records import STAGES, Message, PreferenceEntry, RowTask, Stage
from multifaceted.taxonomy import Preference, Subdimension, Taxonomy, rank_by_key
from multifaceted.yamlfile import show_path

EXAMPLES_SHOWN = 3  # preferences of the sampled subdimension shown to the model, the sampled one first

# What a very small model may write as a description: a bounded sentence. Left to itself it rambles inside a
# string until the reply is cut, and a plain `maxLength` would cut it in the middle of a word.
SMALL_DESCRIPTION = "^The reader [a-zA-Z ,;'-]{40,220}\\.$"

STAGE_TEMPLATES: dict[Stage, TemplateName] = {
    "preferences": "preference_set",
    "system_message": "system_message",
    "response": "response",
    "rubric": "rubric",
}


def templates_of(stages: Iterable[Stage]) -> list[TemplateName]:
    """The templates that a run of these stages needs."""
    return [*(STAGE_TEMPLATES[stage] for stage in stages), "repair"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    subdimension: FilledText
    preference: FilledText
    description: FilledText


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

    def rubric(self, instruction: str, entry: PreferenceEntry) -> tuple[Message, ...]:
        """Ask for the rubric of one preference: not from the reference answer, which it may then judge."""
        return self.templates["rubric"].render({"instruction": instruction, **entry.model_dump()})

    def repair(self, turns: tuple[Message, ...], text: str, fault: ReplyError) -> tuple[Message, ...]:
        """The turns so far, the reply that did not validate, and what is wrong with it."""
        return ask_again(self.templates["repair"], turns, text, fault.problems)

    def reply_schema(self, stage: Stage, task: RowTask, *, fix_known: bool) -> dict[str, Any] | None:
        """JSON Schema of a stage's reply; None where it is free text.

        Args:
            stage: which.
            task: the row that asks.
            fix_known: as in `schema`.
        """
        if stage == "preferences":
            return self.schema(task, fix_known=fix_known)
        return rubric_schema(bound=fix_known) if stage == "rubric" else None

    def schema(self, task: RowTask, *, fix_known: bool) -> dict[str, Any]:
        """JSON Schema of the preference-set reply: one property per dimension, none optional.

        Args:
            task: whose sampled subdimensions to fix.
            fix_known: fix the subdimension, offer the example preferences alone, and bound the description,
                for models too small to be asked.
        """
        if not fix_known:
            free = object_schema({name: {"type": "string"} for name in _Entry.model_fields})
            return object_schema(dict.fromkeys(self._slugs, free))
        entries = {}
        for preference in task.seeds.preferences:
            seed = self._seed(task, preference)
            names = [example["name"] for example in seed["examples"]]
            entries[seed["dimension"]] = object_schema(
                {
                    "subdimension": {"const": seed["subdimension"]},
                    "preference": {"enum": names},
                    "description": {"type": "string", "pattern": SMALL_DESCRIPTION},
                }
            )
        return object_schema(entries)

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
            problems += [f"{show_path(detail['loc'])}: {explain_fault(detail)}" for detail in error.errors()]
        if problems:
            raise ReplyError(problems)
        return [PreferenceEntry(dimension=slug, **dict(entries[slug])) for slug in self._slugs]

    @cached_property
    def taxonomy_fingerprint(self) -> str:
        """The taxonomy's fingerprint, taken once: every row carries it."""
        return self.taxonomy.fingerprint

    @property
    def hashes(self) -> dict[Stage, str]:
        """The hash of each stage's template, for the stages that a run has."""
        return {stage: self.templates[STAGE_TEMPLATES[stage]].hash for stage in self.stages}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that there are templates for."""
        return tuple(stage for stage in STAGES if STAGE_TEMPLATES[stage] in self.templates)

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
