r"""System messages that stand inside a prompt: found by fixed rules, and taken out.

    split_system("You are a helpful assistant.\n\nWhy?")   # the prompt is "Why?"

The rules, the first that fits; all look at the beginning of the prompt only:

1. A chat template's system turn (ChatML, Llama 2, Llama 3, `<|system|>`), or a heading or label such as
   `### System:` or `System prompt:`. What follows the next user turn's mark, up to the next turn's, is the
   prompt. Without a user turn nothing of it is a prompt.
2. The frame of Alpaca, "Below is an instruction that describes a task": what follows its `### Instruction:`
   and `### Input:` is the prompt.
3. A first paragraph "You are a helpful assistant.", with other such manners, and after it only sentences that
   begin with You, Your, If, Always, Never, Do not, Be, Think or Help as; another paragraph must follow, which
   is the prompt. Any other role ("You are a pirate", "You are a dentist's assistant") is taken for the task.
"""

import re
from dataclasses import dataclass

_SYSTEM, _USER, _OTHER = "system", "user", "other"
_LABELS = {
    _SYSTEM: r"system(?:[ _]?(?:prompt|message|instructions?))?",
    _USER: r"user|human|instruction|prompter|question",
    _OTHER: r"assistant|response|answer|gpt|bot|ai|output",
}


@dataclass(frozen=True, slots=True)
class Split:
    """A prompt without its system message."""

    prompt: str  # empty where nothing is left
    removed: str


def _tags(template: str, *, end: str) -> re.Pattern[str]:
    """Marks of turns: `template` with each role in place of ROLE."""
    roles = "|".join(f"(?P<{role}>{template.replace('ROLE', names)})" for role, names in _LABELS.items())
    return re.compile(rf"{roles}|(?P<end>{end})", re.IGNORECASE | re.MULTILINE)


_NEVER = r"(?!)"
# Each style of marks. A prompt is of a style if it begins with the style's system mark.
_STYLES = (
    _tags(r"<\|im_start\|>\s*(?:ROLE)\s*\n?", end=r"<\|im_end\|>"),
    _tags(r"<\|start_header_id\|>\s*(?:ROLE)\s*<\|end_header_id\|>", end=r"<\|eot_id\|>"),
    _tags(r"<\|(?:ROLE)\|>", end=r"<\|end\|>|</s>|<\|endoftext\|>"),
    _tags(r"^#{1,6}[ \t]*(?:ROLE)[ \t]*:", end=_NEVER),
    _tags(r"^\[?\*{0,2}(?:ROLE)\*{0,2}\]?[ \t]*:", end=_NEVER),
)
_START_TOKENS = re.compile(r"\s*(?:<s>|<\|begin_of_text\|>)?\s*")
_LLAMA2 = re.compile(r"\[INST\]\s*<<SYS>>.*?<</SYS>>(?P<prompt>.*?)(?:\[/INST\]|\Z)", re.DOTALL)
_ALPACA = re.compile(
    r"Below is an instruction that describes a task.*?^### Instruction:(?P<prompt>.*?)"
    r"(?:^### Input:(?P<input>.*?))?(?:^### Response:|\Z)",
    re.DOTALL | re.MULTILINE,
)
# "You are a helpful AI assistant that …", and then sentences about its manners only. Words that make of it
# somebody's assistant, or a figure to play, are not among these.
_MANNERS = (
    "helpful|harmless|honest|respectful|friendly|kind|polite|smart|intelligent|knowledgeable|advanced|large"
)
_TRADES = "AI|A\\.I\\.|virtual|digital|programming|coding|general|general-purpose|and"
_YOU_ARE = r"You(?: are|['\u2019]re)"
_PERSONA = re.compile(
    rf"{_YOU_ARE} an?(?:[ ,]+(?:{_MANNERS}|{_TRADES}))* (?:assistant|chat ?bot|language model|model|AI)\b"
    r"(?:[.!]| (?:that|who|which|trained|developed|designed|created|built|made)\b[^.!?\n]*[.!])"
    r"(?:[ \n](?:You|Your|If|Always|Never|Do not|Don't|Be|Think|Help as)\b[^.!?\n]*[.!])*[ \t]*\n[ \t]*\n",
    re.IGNORECASE,
)
# All that a prompt must hold for any rule to fit; most hold none of it, and are done in one look.
_HINT = re.compile(rf"\s*(?:<|\[|#|\*|system|{_YOU_ARE} |below is an instruction)", re.IGNORECASE)


def split_system(prompt: str) -> Split | None:
    """Take the system message out of a prompt; None where there is none."""
    if not _HINT.match(prompt):
        return None
    text = prompt[_START_TOKENS.match(prompt).end() :]  # type: ignore[union-attr]  # it matches anything
    for style in _STYLES:
        first = style.match(text)
        if first and first[_SYSTEM]:
            return _split_turns(text, style)
    if found := _LLAMA2.match(text) or _ALPACA.match(text):
        return _keep(text, *(found.span(name) for name, part in found.groupdict().items() if part))
    if found := _PERSONA.match(text):
        return _keep(text, (found.end(), len(text)))
    return None


def _split_turns(text: str, style: re.Pattern[str]) -> Split:
    marks = list(style.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark[_USER]:
            return _keep(text, (mark.end(), following.start() if following else len(text)))
    return Split("", text)


def _keep(text: str, *spans: tuple[int, int]) -> Split:
    """These parts of the text are the prompt; what is in none of them was removed."""
    ends = [0, *(end for _, end in spans)]
    begins = [*(begin for begin, _ in spans), len(text)]
    parts = [text[begin:end].strip() for begin, end in spans]
    others = [text[end:begin].strip() for end, begin in zip(ends, begins, strict=True)]
    return Split("\n\n".join(filter(None, parts)), "\n\n".join(filter(None, others)))
