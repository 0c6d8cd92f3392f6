"""The prompts of a run, before and without any model: `Prompts(taxonomy, stages, templates, repair)`.

Example:
    for asked in prompts.preview(task):
        asked.stage.name, asked.turns
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from multifaceted.prompts.template import Template
from multifaceted.records import Message, PreferenceEntry, RowTask
from multifaceted.stages.base import Draft, Stage
from multifaceted.taxonomy import Taxonomy
from multifaceted.taxonomy.index import TaxonomyIndex


class Preview(NamedTuple):
    """One request of a row."""

    stage: Stage
    part: PreferenceEntry | None  # what it asks about, in a stage that asks once for each preference
    turns: tuple[Message, ...]
    draft: Draft


@dataclass(frozen=True)
class Prompts:
    """The stages of a run in order, each with its template, and the taxonomy that they draw on.

    `fields` are those of an instruction's metadata; where an instruction lacks one, templates see null.
    """

    taxonomy: Taxonomy
    stages: tuple[Stage, ...]
    templates: Mapping[str, Template]  # by stage
    repair: Template
    fields: tuple[str, ...] = ()

    @cached_property
    def index(self) -> TaxonomyIndex:
        """Return the taxonomy with its look-ups."""
        return TaxonomyIndex(self.taxonomy)

    @property
    def hashes(self) -> dict[str, str]:
        """Return the hash of each stage's template, and of the repair turn's."""
        return {stage.name: self.templates[stage.name].hash for stage in self.stages} | {
            "repair": self.repair.hash
        }

    def draft(self, task: RowTask) -> Draft:
        """Return a row of which nothing is made yet."""
        return Draft(task, self.index, {**dict.fromkeys(self.fields), **task.instruction.metadata})

    def render(self, stage: Stage, draft: Draft) -> tuple[Message, ...]:
        """Return the chat turns of a stage.

        Raises:
            InputError: where its template fails.
        """
        return self.templates[stage.name].render(draft.show(stage))

    def preview(self, task: RowTask, *, characters_per_token: int | None = None) -> Iterator[Preview]:
        """Yield every request of a row, with stand-ins for what only replies can give.

        Args:
            task: the row.
            characters_per_token: make stand-ins for texts as long as replies are expected to be; None gives
                marks that say what stands there.
        """
        draft = self.draft(task)
        for stage in self.stages:
            for part in stage.list_parts(draft):
                about = draft.about(part)
                yield Preview(stage, part, self.render(stage, about), about)
            length = characters_per_token and stage.tokens * characters_per_token
            draft.add(stage, stage.imagine(draft, characters=length))
