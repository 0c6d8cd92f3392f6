# ruff: noqa: RUF001 - marks of Chinese text
"""Run-on turns in every chat format that FastChat knows, behind answers of strong models."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from answers import STRONG, read_answers
from cases import Case, CaseSet, draw
from repositories import read

_SPECIAL = re.compile(r"<[^<>\s]{1,30}>|\[/?[A-Z_]{2,20}\]|<[｜|][^<>\n]{1,30}[｜|]>")


@dataclass(frozen=True)
class _Format:
    name: str
    roles: tuple[str, str]
    style: str
    sep: str
    sep2: str

    def continue_turn(self, prompt: str, answer: str) -> str:
        """Write the next turn as this format has it."""
        user, assistant = self.roles
        if self.style == "LLAMA3":
            user, assistant = (f"<|start_header_id|>{role}<|end_header_id|>\n" for role in self.roles)
        end = self.sep2 or self.sep or ("<|eot_id|>" if self.style == "LLAMA3" else "\n")
        on_own_line = re.search("CHATML|NEW_LINE|CHATGLM3|ROBIN|DOLLY", self.style)
        line = "\n" if on_own_line else "" if "NO_COLON" in self.style else " "
        colon = ":" if user[-1].isalnum() and not re.search("CHATML|NEW_LINE|NO_COLON", self.style) else ""
        return f"{end}{user}{colon}{line}{prompt}{self.sep or chr(10)}{assistant}{colon}{line}{answer}"


def read_formats() -> list[_Format]:
    """Read the chat formats of FastChat, as far as they differ."""
    tree = ast.parse(read("lm-sys/FastChat", "fastchat/conversation.py"))
    found: dict[tuple[object, ...], _Format] = {}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "Conversation":
            continue
        if any(word.arg == "name" and isinstance(word.value, ast.Constant) for word in call.keywords):
            given = {word.arg: word.value for word in call.keywords}
            style = getattr(given.get("sep_style"), "attr", "ADD_COLON_SINGLE")
            roles = ast.literal_eval(given["roles"]) if "roles" in given else ("USER", "ASSISTANT")
            seps = [
                str(ast.literal_eval(given[key]) or "") if key in given else "" for key in ("sep", "sep2")
            ]
            if all(roles) and style != "DEFAULT":
                name = ast.literal_eval(given["name"])
                found.setdefault((roles, style, *seps), _Format(name, tuple(roles)[:2], style, *seps))
    return list(found.values())


def make_run_on() -> Iterator[Case]:
    """Answers as they are, and each with a turn of one format behind it; half without its special tokens.

    A format is in one half as a whole, so that no rule is written by a format that is reported.
    """
    formats = read_formats()
    for model in STRONG:
        for row, other in pairwise(read_answers(model)):
            prompt, output = row["instruction"], row["output"]
            if draw(prompt + model, 3):
                continue
            yield Case(output, faulty=False, prompt=prompt, group="none")
            form = formats[draw(prompt + model + "format", len(formats))]
            turn = form.continue_turn(other["instruction"], other["output"][:200])
            bare = _SPECIAL.sub("", turn) if draw(prompt + "bare", 2) else turn
            if re.search(r"\w", bare.replace(other["instruction"], "").replace(other["output"][:200], "")):
                yield Case(output + bare, faulty=True, prompt=prompt, group=form.name, key=form.name)


def holds_special(case: Case) -> bool:
    """Return whether one of the commonest special tokens is in the text."""
    return bool(re.search(r"<\|im_|</?s>|\[/?INST\]|<\|end|### (?:Human|Instruction|Assistant)", case.output))


SETS = (CaseSet("run-on turns", ("leaked_text",), "appended by us", make_run_on, holds_special),)
