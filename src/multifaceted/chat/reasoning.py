"""Thoughts that a model wrote into its reply, told apart from the answer.

Example:
    split_reasoning("<think>2 + 2 …</think>4")       # ("2 + 2 …", "4")
    split_reasoning("2 + 2 …</think>4")              # the same: many chat templates write the opening mark
    split_reasoning("<think>2 + 2 …")                # ("2 + 2 …", ""): it never came to an answer

Marks are those of DeepSeek-R1 and Qwen3 (`<think>`), Magistral (`[THINK]`), Kimi (`◁think▷`), Command A
(`<|START_THINKING|>`), gpt-oss (channels), Sky-T1 (`<|begin_of_thought|>`) and Seed-OSS (`<seed:think>`), and
tags of other names in which models are told to think. Thoughts stand at the beginning of a reply; marks
elsewhere are something that the answer speaks of, unless it began with the same ones.
"""

import re

_WORDS = "think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|inner_monologue"
# Openings, whose first group is the name, and the closing that belongs to each.
_MARKS = (
    (rf"<((?:\w+:)?(?:{_WORDS}))(?:\s[^<>]*)?>", r"</\s*{name}\s*>"),
    (rf"\[({_WORDS})\]", r"\[/{name}\]"),
    (rf"◁({_WORDS})▷", r"◁/{name}▷"),
    (r"<\|start_(thinking)\|>", r"<\|end_{name}\|>"),
    (r"<\|begin_of_(thought)\|>", r"<\|end_of_{name}\|>"),
)
_OPENINGS = tuple(re.compile(rf"\s*{opening}", re.IGNORECASE) for opening, _ in _MARKS)
# Closings that may stand without their opening: only words that no answer uses as a tag of its own.
_LONE_CLOSING = re.compile(
    "|".join(closing.format(name=r"(?:\w+:)?(?:think|thinking|thought)") for _, closing in _MARKS),
    re.IGNORECASE,
)
_SURE = r"(?:\w+:)?think(?:ing)?"  # names that are never an answer's own, one closing the other now and then
# gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|start|return|channel|call)\|>|\Z)", re.DOTALL
)
# What a reply that began with thoughts may wrap its answer in.
_ANSWER = re.compile(
    r"\s*(?:<(?P<tag>answer|response|output)>(?P<tagged>.*)</(?P=tag)>"
    r"|<\|start_response\|>(?P<command>.*?)(?:<\|end_response\|>)?"
    r"|<\|begin_of_solution\|>(?P<sky>.*?)(?:<\|end_of_solution\|>)?)\s*",
    re.IGNORECASE | re.DOTALL,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str]:
    """Split a reply's text into the thoughts and the answer.

    Returns:
        The thoughts, "" where there are none, and the answer, "" where it never came to one.
    """
    if not ("<" in text or "[" in text or "◁" in text):
        return "", text  # nearly all replies
    if text.lstrip().startswith(("<|channel|>", "<|start|>")):
        thoughts, answer = _split_channels(text)
    else:
        thoughts, answer = _split_blocks(text)
    more, answer = _split_at_closing(answer)  # without an opening, or within what thoughts speak of
    thoughts += more
    if not thoughts:
        return "", text
    if wrapped := _ANSWER.fullmatch(answer):
        answer = next(wrapped[name] for name in ("tagged", "command", "sky") if wrapped[name] is not None)
    return "\n\n".join(thought.strip() for thought in thoughts), answer.strip()


def _split_channels(text: str) -> tuple[list[str], str]:
    found = [(name.lower(), words) for name, words in _CHANNEL.findall(text)]
    return [words for name, words in found if name != "final"], "".join(w for n, w in found if n == "final")


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
    """The inside of a block and what comes after it; None where it is no thoughts."""
    name = name or opening[1]
    is_sure = re.fullmatch(_SURE, name, re.IGNORECASE) is not None
    closings = (closing.format(name=_SURE if is_sure else re.escape(name)) for _, closing in _MARKS)
    closing = re.compile("|".join(closings), re.IGNORECASE).search(text, opening.end())
    inside = text[opening.end() : closing.start() if closing else len(text)]
    after = text[closing.end() :] if closing else ""
    # `<analysis>` and nothing beside it is how somebody wanted the answer.
    return (inside, after) if after.strip() or is_sure or _is_token(opening[0]) else None


def _split_at_closing(text: str) -> tuple[list[str], str]:
    """Where the chat template wrote the opening mark, the first closing one ends the thoughts."""
    if text.lstrip().startswith("{"):
        return [], text  # an answer in JSON, which may speak of tags
    closing = _LONE_CLOSING.search(text)
    if closing is None or _is_in_code(text, closing.start()):
        return [], text
    before = text[: closing.start()]
    opens = any(pattern.search(before) for pattern in _OPENINGS)  # the answer speaks of such marks
    return ([], text) if opens or before.endswith(("'", '"', "(", "“")) else ([before], text[closing.end() :])


def _is_token(mark: str) -> bool:
    return mark.strip().startswith(("<|", "◁", "["))


def _name_of(text: str) -> str:
    return next(found[1] for pattern in _OPENINGS if (found := pattern.match(text)))


def _is_in_code(text: str, position: int) -> bool:
    return any(code.start() <= position < code.end() for code in _CODE.finditer(text))
