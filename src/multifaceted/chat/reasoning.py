"""Thoughts that a model wrote into its reply, told apart from the answer.

Example:
    split_reasoning("<think>2 + 2 …</think>4")       # ("2 + 2 …", "4")
    split_reasoning("2 + 2 …</think>4")              # the same: many chat templates write the opening mark
    split_reasoning("<think>2 + 2 …")                # ("2 + 2 …", ""): it never came to an answer

Marks are those of DeepSeek-R1 and Qwen3 (`<think>`), Magistral (`[THINK]`), Kimi (`◁think▷`), Command A
(`<|START_THINKING|>`), gpt-oss (channels, see `channels.py`), Gemma (`<|channel>thought`), Apertus
(`<|inner_prefix|>`), Sky-T1 (`<|begin_of_thought|>`), Seed-OSS (`<seed:think>`), and tags of other
names in which models are told to think. Thoughts stand at the beginning of a reply; marks elsewhere are
something that the answer speaks of, unless it began with the same ones.
"""

import json
import re

from multifaceted.chat.channels import split_channels

_WORDS = (
    "think|thinking|thoughts?|reason|reasoning|reflection|scratchpad|analysis|cot|deliberation|antthinking|"
    "chain[_-]of[_-]thought|reasoning[_-]content|(?:think|thinking|thought|reasoning)[_-]process|"
    "(?:inner|internal)[_-](?:monologue|thoughts?|thinking|reasoning)"
)
# Openings, whose first group is the name, and the closing that belongs to each.
_MARKS = (
    (rf"<((?:\w+:)?(?:{_WORDS}))(?:\s+\w+\s*=[^<>]*|\s*)>", r"</\s*{name}\s*>"),
    (rf"\[({_WORDS})\]", r"\[/{name}\]"),
    (rf"◁({_WORDS})▷", r"◁/{name}▷"),
    (r"<\|start_(thinking)\|>", r"<\|end_{name}\|>"),
    (r"<\|(think(?:ing)?)\|>", r"<\|/{name}\|>"),
    (r"<\|begin_of_(thought)\|>", r"<\|end_of_{name}\|>"),
    (r"<\|channel>(thought)\b", r"<channel\|>"),
    (r"<\|inner_(prefix)\|>", r"<\|inner_suffix\|>"),
)
_OPENINGS = tuple(re.compile(rf"\s*{opening}", re.IGNORECASE) for opening, _ in _MARKS)
# Closings that may stand without their opening: only words that no answer uses as a tag of its own.
_LONE_CLOSING = re.compile(
    "|".join(closing.format(name=r"(?:\w+:)?(?:think|thinking|thought)") for _, closing in _MARKS),
    re.IGNORECASE,
)
_SURE = r"(?:\w+:)?think(?:ing)?"  # names that are never an answer's own, one closing the other now and then
# Names that models use of themselves. With the other ones, an answer may be marked up as somebody wanted it.
_OWN = re.compile(rf"{_SURE}|thought", re.IGNORECASE)
_ANSWERS = "answer|response|output|solution|final|final_answer"
_OTHER_TAG = re.compile(rf"\s*[<\[](?!(?:{_WORDS}|{_ANSWERS})\b)[a-z][\w-]*[\s\]>]", re.IGNORECASE)
# What follows a mark that a sentence speaks of: "<think> and </think> are …", "</think>, and then …"
_SPOKEN_OF = re.compile(
    r"[ ]*(?:[,/&…]|\.\.\.|[ ](?:and|or|to|is|are|was|marks?|means?|tags?|tokens?|blocks?|elements?)\b)"
)
# What a reply that began with thoughts may wrap its answer in.
_ANSWER = re.compile(rf"\s*<(?P<tag>{_ANSWERS})>(?P<text>.*)</(?P=tag)>\s*", re.IGNORECASE | re.DOTALL)
# Tokens of models around an answer: Command A, Sky-T1, GLM-V
_WRAPPED = tuple(
    re.compile(rf"\s*<\|{before}\|>(?P<text>.*?)(?:<\|{after}\|>)?\s*", re.IGNORECASE | re.DOTALL)
    for before, after in (
        ("start_response", "end_response"),
        ("begin_of_solution", "end_of_solution"),
        ("begin_of_box", "end_of_box"),
    )
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str]:
    """Split a reply's text into the thoughts and the answer.

    Returns:
        The thoughts, "" where there are none, and the answer, "" where it never came to one.
    """
    if found := split_channels(text):
        return found
    if not ("<" in text or "[" in text or "◁" in text):
        return "", text  # nearly all replies
    thoughts, answer = _split_blocks(text)
    more, answer = _split_at_closing(answer)  # without an opening, or within what thoughts speak of
    thoughts += more
    wrapped = _unwrap(answer, thoughts=bool(thoughts))
    if not thoughts:
        return "", text if wrapped is None else wrapped.strip()
    answer = answer if wrapped is None else wrapped
    return "\n\n".join(thought.strip() for thought in thoughts), answer.strip()


def _unwrap(answer: str, *, thoughts: bool) -> str | None:
    """Return what a model wraps its answer in, taken off; None where there is nothing of the kind."""
    patterns = (*(_WRAPPED if answer.lstrip().startswith("<|") else ()), *((_ANSWER,) if thoughts else ()))
    found = next(filter(None, (pattern.fullmatch(answer) for pattern in patterns)), None)
    return None if found is None else found["text"]


def _split_blocks(text: str) -> tuple[list[str], str]:
    """Take out the blocks at the beginning, and later ones of the kind that stood there."""
    thoughts, rest, again = [], text, None
    while opening := next(filter(None, (pattern.match(rest) for pattern in _OPENINGS)), None):
        block = _read_block(rest, opening)
        if block is None:
            break
        again = again or re.compile(rf"^{re.escape(opening[0].strip())}", re.IGNORECASE | re.MULTILINE)
        thoughts.append(block[0])
        rest = block[1]
    kept = ""
    while again is not None and (later := again.search(rest)):
        block = _read_block(rest, later, name=_name_of(text))
        if block is None or not block[1].strip() or _is_in_code(rest, later.start()):
            break
        kept += rest[: later.start()]
        thoughts.append(block[0])
        rest = block[1]
    return thoughts, kept + rest


def _read_block(text: str, opening: re.Match[str], *, name: str = "") -> tuple[str, str] | None:
    """Return the inside of a block and what comes after it; None where it is not thoughts."""
    name = name or opening[1]
    is_sure = re.fullmatch(_SURE, name, re.IGNORECASE) is not None
    closings = (closing.format(name=_SURE if is_sure else re.escape(name)) for _, closing in _MARKS)
    closing = re.compile("|".join(closings), re.IGNORECASE).search(text, opening.end())
    inside = text[opening.end() : closing.start() if closing else len(text)]
    after = text[closing.end() :] if closing else ""
    if _SPOKEN_OF.match(inside) and (closing is None or "\n" not in inside):
        return None
    # `<analysis>` and nothing beside it, or another tag, is how somebody wanted the answer.
    is_own = _OWN.fullmatch(name) is not None or _is_token(opening[0])
    if not is_own and (not after.strip() or _OTHER_TAG.match(after)):
        return None
    return (inside, after) if after.strip() or is_sure or _is_token(opening[0]) else None


def _split_at_closing(text: str) -> tuple[list[str], str]:
    """Return where the chat template wrote the opening mark, the first closing one ends the thoughts."""
    lowered = text.lower()
    if not any(word in lowered for word in ("think", "thought", "<channel|>", "inner_suffix")):
        return [], text  # nearly all that have angle brackets
    closing = _LONE_CLOSING.search(text)
    if closing is None or _is_in_code(text, closing.start()) or _is_in_json(text, closing.start()):
        return [], text
    before = text[: closing.start()]
    # The answer speaks of such marks
    if any(pattern.search(before) for pattern in _OPENINGS) or before.endswith(("'", '"', "(", "“")):
        return [], text
    in_sentence = re.search(r"[^\W_][,:]? $", before) and re.match(r"[ .,;:)?!](?!\n)", text[closing.end() :])
    return ([], text) if in_sentence else ([before], text[closing.end() :])


def _is_in_json(text: str, position: int) -> bool:
    """Return whether a position is inside the object that a text begins with, which may speak of tags."""
    start = text.find("{")
    if start < 0 or text[:start].strip():
        return False
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[1] > position
    except (ValueError, RecursionError):
        return True


def _is_token(mark: str) -> bool:
    return mark.strip().startswith(("<|", "◁", "[THINK]"))


def _name_of(text: str) -> str:
    return next(found[1] for pattern in _OPENINGS if (found := pattern.match(text)))


def _is_in_code(text: str, position: int) -> bool:
    return any(code.start() <= position < code.end() for code in _CODE.finditer(text))
