r"""What a user says in a field: a text, or a conversation in one of the shapes that people publish.

user_turns("Why?")                                              # ("Why?",)
user_turns([{"from": "human", "value": "Why?"}, …])             # ShareGPT's; OpenAI's role and content
user_turns(["Write a poem.", "Now make it rhyme."])             # MT-Bench's
user_turns('[{"role": "user", "content": "Why?"}]')            # the same as JSON, or as Python writes it
user_turns("\n\nHuman: Why?\n\nAssistant: Because.")         # a transcript
"""

import ast
import io
import re
import tokenize
from typing import Any

from pydantic_core import from_json

USER_ROLES = frozenset({"user", "human", "prompter"})
# Names of role and text in a turn: OpenAI's, ShareGPT's, and those of some older dumps.
TURN_KEYS = (
    ("role", "content"),
    ("from", "value"),
    ("role", "text"),
    ("role", "value"),
    ("from", "content"),
    ("from", "text"),
)
# Under which a conversation stands, where it is wrapped in an object.
WRAPPERS = ("messages", "conversations", "conversation", "turns")
_TRANSCRIPT = re.compile(r"^(Human|User|Assistant|AI|GPT|Bot|System):[ \t]*", re.MULTILINE)
_SAYS_USER = ("Human", "User")
_BEGINS = re.compile(
    r"\s*(?:Human|User):"
)  # the cleaner takes care of those that begin with a system message
_BETWEEN = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER}
_DEEPEST = 50  # brackets inside each other; Python's own parser would give up on many more with a crash


class NoTurnError(ValueError):
    """A value in which no user says anything, and why."""


def user_turns(value: Any) -> tuple[str, ...]:
    """All that the user says, in order; one text for what is not a conversation, nothing where it is empty.

    Raises:
        NoTurnError: where the value is neither a text nor a conversation with a user in it.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return _turns_in_text(value)
    if isinstance(value, dict):
        wrapped = next((value[name] for name in WRAPPERS if isinstance(value.get(name), list)), None)
        return user_turns(wrapped if wrapped is not None else [value])
    if not isinstance(value, list) or not value:
        raise NoTurnError("is neither text nor a conversation")
    if all(isinstance(item, str) for item in value):
        return tuple(item for item in value if item.strip())
    if not all(isinstance(item, dict) for item in value):
        raise NoTurnError("is neither text nor a conversation")
    turns = [_content(turn[text]) for turn in value if (text := _text_of_user(turn))]
    if not turns:
        raise NoTurnError("is a conversation without a user turn")
    return tuple(turns)


def _text_of_user(turn: dict[str, Any]) -> str:
    """Return the name of the text of a turn that is the user's; empty of another's."""
    for role, text in TURN_KEYS:
        if str(turn.get(role)).lower() in USER_ROLES and turn.get(text) is not None:
            return text
    return ""


def _content(content: Any) -> str:
    """Return the text of a turn; OpenAI's content may be a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
        raise NoTurnError("has a user turn that is not only text")
    return "\n\n".join(part["text"] for part in parts)


def _turns_in_text(text: str) -> tuple[str, ...]:
    stripped = text.strip()
    if stripped[:1] in ("[", "{") and stripped[-1:] in ("]", "}"):
        value = _parse(stripped)
        if _is_conversation(value):
            return user_turns(value)
    if _BEGINS.match(text) and (said := _read_transcript(text)):
        return said
    return (text,)


def _is_conversation(value: Any) -> bool:
    """Return whether what a text spells is a conversation, and no list or map that a prompt is about."""
    if isinstance(value, dict):
        return any(isinstance(value.get(name), list) for name in WRAPPERS) or bool(_text_of_user(value))
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(item, str) for item in value):
        return any(" " in item.strip() for item in value)  # ["apple", "pear"] is a list to be sorted
    return all(isinstance(item, dict) for item in value) and any(_text_of_user(turn) for turn in value)


def _parse(text: str) -> Any:
    """Return the value that a text spells in JSON, or as Python prints it; None where it spells none."""
    try:
        return from_json(text)
    except ValueError:
        pass
    if _depth(text) > _DEEPEST:
        return None
    try:
        return _list_strings(text) or ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError):
        return None


def _depth(text: str) -> int:
    deepest = now = 0
    for sign in re.findall(r"[\[{(\]})]", text):
        now += 1 if sign in "[{(" else -1
        deepest = max(deepest, now)
    return deepest


def _list_strings(text: str) -> list[str]:
    """Return the items of a list of strings; NumPy prints no commas between them, which Python would join."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            found.append(ast.literal_eval(token.string))
        elif token.type not in _BETWEEN and token.string not in ("[", "]", ","):
            return []
    return [item for item in found if isinstance(item, str)]


def _read_transcript(text: str) -> tuple[str, ...]:
    """What the user says in a transcript; nothing where nobody answers, for then it may be anything."""
    marks = list(_TRANSCRIPT.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    speakers = [mark.group(1) for mark in marks]
    if not any(name in _SAYS_USER for name in speakers) or all(name in _SAYS_USER for name in speakers):
        return ()
    said = [
        text[mark.end() : end].strip()
        for mark, end in zip(marks, ends, strict=True)
        if mark.group(1) in _SAYS_USER
    ]
    return tuple(turn for turn in said if turn)
