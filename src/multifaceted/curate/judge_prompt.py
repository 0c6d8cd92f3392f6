"""What a judge is asked and how its reply is read; pure.

Example:
    prompt = JudgePrompt.load()
    prompt.render(row)                           # the chat turns
    prompt.parse(row, '{"style": {"reason": "…", "score": 4}, …}')    # {"style": 4, …}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from jinja2 import StrictUndefined, TemplateError
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_text
from multifaceted.prompts.reply import ReplyError, read_json_object
from multifaceted.prompts.template import Template, load_template
from multifaceted.records import Message

SCORES = range(1, 6)
_TRIAL = {
    "prompt": "-",
    "output": "-",
    "preference_set": [{"dimension": "-", "subdimension": "-", "preference": "-", "description": "-"}],
}


class _Score(BaseModel):
    model_config = ConfigDict(extra="ignore")

    score: Annotated[int, Field(ge=SCORES[0], le=SCORES[-1])]


_REPLY = TypeAdapter(dict[str, _Score])


@dataclass(frozen=True)
class JudgePrompt:
    """The judge's template, and the turn after a reply that does not validate."""

    hash: str
    file: str
    _compiled: JinjaTemplate
    _repair: Template

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The shipped template, or a file of one's own in its place.

        Raises:
            InputError: where it cannot be read, or stumbles over the values of a row.
        """
        file = str(path) if path else "templates/judge.j2"
        shipped = resources.files("multifaceted") / "templates" / "judge.j2"
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        try:
            source = (path or shipped).read_text(encoding="utf-8")
            compiled = environment.from_string(source)
        except (OSError, UnicodeDecodeError, TemplateError) as error:
            raise InputError([Problem(file, 0, f"is no template: {error}")]) from error
        prompt = cls(hash_text(source), file, compiled, load_template("repair"))
        if "user" not in compiled.blocks:
            raise InputError([Problem(file, 0, "has no {% block user %}")])
        prompt.render(_TRIAL)
        return prompt

    def render(self, row: Mapping[str, Any]) -> tuple[Message, ...]:
        """The chat turns for one row.

        Raises:
            InputError: where the template stumbles.
        """
        values = {
            "instruction": row["prompt"],
            "preferences": row["preference_set"],
            "response": row["output"],
        }
        try:
            context = self._compiled.new_context(values)
            blocks = self._compiled.blocks
            system = "".join(blocks["system"](context)) if "system" in blocks else ""
            user = "".join(blocks["user"](context))
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise InputError([Problem(self.file, 0, str(error))]) from error
        return (*([Message("system", system)] if system else []), Message("user", user))

    def repair(self, turns: tuple[Message, ...], text: str, fault: ReplyError) -> tuple[Message, ...]:
        """The turns so far, the reply that did not validate, and what is wrong with it."""
        return (*turns, Message("assistant", text), *self._repair.render({"problems": fault.problems}))

    def parse(self, row: Mapping[str, Any], text: str) -> dict[str, int]:
        """The score of each dimension.

        Raises:
            ReplyError: with everything that is wrong with the reply.
        """
        data = read_json_object(text)
        wanted = [entry["dimension"] for entry in row["preference_set"]]
        problems = [f"{name!r} is missing" for name in wanted if name not in data]
        try:
            scores = _REPLY.validate_python({name: data[name] for name in wanted if name in data})
        except ValidationError as error:
            problems += [f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
        if problems:
            raise ReplyError(problems)
        return {name: scores[name].score for name in wanted}

    def schema(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """JSON Schema of the reply."""
        score = {"type": "integer", "enum": list(SCORES)}
        one = _object({"reason": {"type": "string"}, "score": score})
        return _object({entry["dimension"]: one for entry in row["preference_set"]})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
