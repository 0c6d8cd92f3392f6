"""What a prompt has that models get of each row: its template, its values, and how replies are read; pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multifaceted.prompts.template import Template
from multifaceted.records import Message


@dataclass(frozen=True)
class AskedPrompt(ABC):
    """A template, and the turn after a reply that does not validate."""

    template: Template
    repair: Template

    @property
    def hash(self) -> str:
        """Of the template's text."""
        return self.template.hash

    def render(self, row: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the chat turns for one row.

        Raises:
            InputError: where the template fails.
        """
        return self.template.render(self.list_values(row))

    @abstractmethod
    def list_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables of the template."""

    @abstractmethod
    def parse(self, row: Mapping[str, Any], text: str) -> dict[str, int]:
        """Return what was said, as numbers by name.

        Raises:
            ReplyError: with everything that is wrong with the reply.
        """

    @abstractmethod
    def schema(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema of a reply."""
