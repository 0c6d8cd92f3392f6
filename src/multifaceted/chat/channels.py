"""Replies in which a model itself tells thoughts and answer apart by channels or headings.

gpt-oss writes `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`; servers
that leave out special tokens make `analysis…assistantfinal…` of it. Granite writes headings.
"""

import re

_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^\n]{0,200}?<\|message\|>(.*?)(?=<\|(?:end|start|return|channel|call)\|>|\Z)",
    re.DOTALL,
)
# The prompt may have opened the channel of thoughts already.
_END_OF_THOUGHTS = re.compile(r"<\|end\|>\s*<\|start\|>assistant\s*(?=<\|channel\|>)")
_HEADINGS = re.compile(
    r"\s*Here(?:'s| is) my thought process:(.*?)\bHere(?:'s| is) my response:(.*)", re.DOTALL
)
_BARE = re.compile(r"\s*analysis(.*)assistantfinal(.*)", re.DOTALL)  # the last one, whatever thoughts quote


def split_channels(text: str) -> tuple[str, str] | None:
    """Split a reply that has channels into thoughts and answer; None where it has none."""
    if "<|channel|>" in text:
        return _split_marked(text)
    if not text.lstrip().startswith(("analysis", "Here")):
        return None
    found = _BARE.fullmatch(text) or _HEADINGS.fullmatch(text)
    return (found[1].strip(), found[2].strip()) if found else None


def _split_marked(text: str) -> tuple[str, str] | None:
    thoughts: list[str] = []
    if not text.lstrip().startswith(("<|channel|>", "<|start|>")):
        end = _END_OF_THOUGHTS.search(text)
        if end is None or "`" in text[: end.start()].rpartition("\n")[2] or "```" in text[: end.start()]:
            return None  # an answer that speaks of channels
        thoughts, text = [text[: end.start()]], text[end.end() :]
    found = [(name.lower(), words.strip()) for name, words in _CHANNEL.findall(text)]
    thoughts += [words for name, words in found if name != "final"]
    return "\n\n".join(thoughts), "".join(words for name, words in found if name == "final")
