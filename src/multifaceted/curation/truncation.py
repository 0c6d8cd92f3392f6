# ruff: noqa: E501 - patterns of many languages
"""Replies that stop before their end though no limit cut them: half a sentence, an open row, an empty item.

Complete texts often end without a mark too: a title, a signature, a list of names, a tag, a formula. So the last
line is measured by its own kind: by the other items of its list, the other rows of its table, the other
paragraphs of its prose.
"""

import re
from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter

_FENCE = r"(?m)^[ \t>]*(?:`{3,}|~{3,})"
_ENDED_TAIL = r"[.!?…。．！？；;)\]}」』）】》〉\"”’»`>|~]$|\p{S}$"
_SPACELESS = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]$"  # written without a mark at the end of a sentence

_EMPTY_ITEM = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*+•–])\s*(?:\*\*)?\s*$|^#{1,6}$")
_ITEM = re.compile(r"^\s*(?:[-*+•–>]\s|\d{1,3}[.)）、]|\(?[a-zA-Z][.)]|[①-⑳])\s*\S")
_BOLD_LEAD = re.compile(
    r"^\s*(?:[-*+•–]|\d{1,3}[.)])\s+\*\*[^*\n]+\*\*:?\s*(.*)$|^\s*(?:[-*+•–]|\d{1,3}[.)])\s+[^:\n]{2,60}[:：]\s*(.*)$"
)
_HEADING = re.compile(r"^#{1,6}\s+\S|^\*\*[^*\n]{2,80}\*\*:?$")
# Marks that nothing ends in, and words.
_OPEN_MARK = re.compile(r"[,，、(\[{“‘«「『（【《–—]$|\w-$")
_PROMISE = re.compile(r"[\w*]\s?[:：]$")
_OPEN_BRACKET = re.compile(r"(?<![:;=])[(（](?=[^()（）]*[^\W_]{2})[^()（）\n]{3,}$")
_DANGLING = re.compile(
    r"\b(?:and|or|but|the|an|a|of|to|in|with|for|by|from|at|on|as|into|than|because|such as|which|whose|who|that|their|your|its|his"
    r"|our|my|including|is|are|was|were|be|been|has|have|had|will|would|can|could|should|may|might|must|not|if|when|while|where|these|those"
    r"|und|oder|aber|der|die|das|den|dem|des|ein|eine|einen|einer|zu|zur|zum|mit|für|von|vom|im|auf|ist|sind|wird|werden|kann|können|dass|weil"
    r"|el|los|las|una|que|del|con|por|para|en|es|son|como|su|sus|le|les|du|et|ou|dans|pour|avec|sur|est|sont|qui|vous|votre|une|il|gli|lo"
    r"|della|delle|dei|degli|di|che|per|sono|è|het|een|van|voor|met|niet|om|te|dat|worden|w|z|na|do|się|i|że|jest|są|oraz|и|в|на|с|что|для|по|от|не|или)$",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"\b(?:and|or|but|the|an|because|such as|which|whose|their|your|its|including|und|oder|et|y|oraz|или)$"
)
# An address, a tag, a formula, a name under a quotation, a smiley.
_NO_SENTENCE = re.compile(
    r"[\"”»」]\s*[-–—―~]+\s*[^.!?]{2,80}$|\s=\s|(?:://|www\.|@|#|\\|=|\$)\S*\s*\S*$|(?:^|\s)[A-HJ-Z]$|[:;=]-?\($|^\s*(?:#\w+\s*)+$"
)
_CLOSED_EMPHASIS = re.compile(r"(?:^|\s)(\*{1,3}|_{1,3})(?=\S)[^*_\n]+\1$")  # "**The End**", "*bows*"
_ENDED = re.compile(r"[.!?:;…。．！？：；)\]\"”’»`|」』）】]$")
_SENTENCE_INSIDE = re.compile(r"(?:\w{2,}|\w\d|\s\d|[)\]\"”])[.!?][\"”’)]*\s+\S|[。！？]")
_FIELD = re.compile(r"^\W*[^\W\d][\w ()/-]{1,30}[:：]\s*\S")  # "Place: the shop on the corner"
# Words that begin a sentence and no title.
_OPENER = re.compile(
    r"^(?:However|Therefore|Additionally|Moreover|Furthermore|In (?:this|these|the|addition|summary|conclusion|contrast|short)|Please|Let['’]s|Here['’]s"
    r"|Here (?:is|are)|This|These|Remember|If|When|While|For (?:example|instance|more)|As (?:you|a|the|for)|By|Note|It(?:['’]s| is)|You|We|There (?:is|are)"
    r"|Now|So|But|With|Overall|Finally|Based on|Keep in mind|总之|因此|此外|例如|另外|所以|请|希望|如果)\b"
)
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SIGN_OFF = re.compile(
    r"(?i)(?:regards|wishes|sincerely|yours|love|thanks|thank you|cheers|best|warmly|respectfully|grüße[n]?|saludos|cordialement)\W*$"
)
_LETTER_BEGINS = re.compile(r"(?i)^\W*(?:dear|hi|hello|hey|subject|good (?:morning|afternoon|evening))\b")
_MOSTLY = 0.7  # of the lines of its kind end in a mark, so the last one should too
_FEWEST = 2  # lines for such a share to mean anything
_SIGNATURE = 8  # words of the last line of a letter, at most
_LONG_ITEM = 6  # words of an item that one other is enough to measure by
_NEAR_LINES = 30  # lines before the last one that are compared with it


class TruncatedFilter(RowFilter):
    """Measures the last line by the others of its kind; verse, titles and short answers need no mark at the end."""

    name: ClassVar[str] = "truncated"
    summary: ClassVar[str] = "the response ends in the middle of a sentence, an item or a row"
    min_words: int = Field(default=5, ge=1)  # of a line of prose that should end in a mark

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        text = pl.col("output").str.strip_chars_end()
        tail = text.str.strip_chars_end("*_ ").str.slice(-20)
        suspects = rows.filter(
            (~tail.str.contains(_ENDED_TAIL) & ~tail.str.contains(_SPACELESS))
            | text.str.contains("`[^`\n]*$|\ufffd$")
            | text.str.contains(r"(?m)^\s*(?:\d{1,3}[.)]|[-*+•–])(?:\s*\*\*)?$")
        )
        # In an open block of code it is the fence that is told of.
        suspects = suspects.filter(~_has_open_fence())
        details = [find_cut(output, self.min_words) for output in suspects["output"]]
        return suspects.with_columns(detail=pl.Series(details, dtype=pl.String)).filter(
            pl.col("detail") != ""
        )


class FenceFilter(RowFilter):
    """A block of code that is opened and not closed; most are cut off, some are only written carelessly."""

    name: ClassVar[str] = "unbalanced_fence"
    summary: ClassVar[str] = "a block of code is opened and not closed"

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        return rows.filter(_has_open_fence()).with_columns(
            detail=pl.lit("… ") + pl.col("output").str.strip_chars_end().str.slice(-40)
        )


def _has_open_fence() -> pl.Expr:
    output = pl.col("output")
    odd = output.str.count_matches(_FENCE) % 2 == 1
    # A fence may be closed behind the last line of its code.
    return odd & ~output.str.contains(r"[^`\s][^`\n]*```\s*$")


def find_cut(text: str, min_words: int = 5) -> str:
    """Return what shows that a text was cut off, in a few words; empty where it looks complete."""
    lines = [line.rstrip() for line in text.rstrip().split("\n") if line.strip()]
    if not lines:
        return ""
    last, others = lines[-1], lines[-1 - _NEAR_LINES : -1]
    bare = last.rstrip("*_ ")
    if others and (_EMPTY_ITEM.match(last) or _is_next_number(last, others)):
        return "ends in an empty item"
    if _is_cut_row(last, others) or last.endswith("\ufffd"):
        return f"ends in: … {last[-40:]}"
    if _needs_no_mark(last, bare) or _is_signed_letter(lines[0], last):
        return ""
    if (
        _has_open_mark(last)
        or _is_open(bare, others, min_words)
        or _is_unfinished(last, bare, others, min_words)
    ):
        return f"ends in: … {bare[-40:]}"
    return ""


def _needs_no_mark(last: str, bare: str) -> bool:
    if _SIGN_OFF.search(bare) or _NO_SENTENCE.search(bare):
        return True
    return not _ITEM.match(last) and bool(_CLOSED_EMPHASIS.search(last))


def _is_cut_row(last: str, others: list[str]) -> bool:
    rows = [line for line in others if line.startswith("|")]
    return last.startswith("|") and len(rows) >= _FEWEST and not last.endswith("|") and rows[-1].endswith("|")


def _is_signed_letter(first: str, last: str) -> bool:
    return bool(_LETTER_BEGINS.match(first)) and _count_words(last) < _SIGNATURE and not _ITEM.match(last)


def _is_next_number(last: str, others: list[str]) -> bool:
    return last.strip().isdigit() and any(
        line.lstrip().startswith((f"{int(last) - 1}. ", f"{int(last) - 1}) ")) for line in others
    )


def _has_open_mark(last: str) -> bool:
    """Whether bold text or code is begun in the last line and not ended."""
    return (last.count("**") % 2 == 1 and "***" not in last) or (
        last.count("`") % 2 == 1 and "```" not in last
    )


def _is_open(bare: str, others: list[str], min_words: int) -> bool:
    """Whether it ends in what nothing ends in: a comma, an open bracket, "and"."""
    words = _count_words(bare) + sum(_count_words(line) for line in others)
    if words < min_words:
        return False
    if _OPEN_MARK.search(bare) or _OPEN_BRACKET.search(bare) or _SURE.search(bare):
        return True
    if _PROMISE.search(bare):
        return _count_words(bare) >= min_words or bool(_ITEM.match(bare)) or bool(_HEADING.match(bare + "**"))
    # Lines of verse end in "of" and "in" now and then.
    in_prose = (
        bool(_SENTENCE_INSIDE.search(bare)) or bool(_ITEM.match(bare)) or _share_ended(others) >= _MOSTLY
    )
    return in_prose and bool(_DANGLING.search(bare))


def _is_unfinished(last: str, bare: str, others: list[str], min_words: int) -> bool:
    """Whether it lacks the mark that the other lines of its kind have; an answer may end in a number."""
    if _ENDED.search(bare) or not bare[-1:].isalpha():
        return False
    if _HEADING.match(last):
        return sum(bool(_HEADING.match(line)) for line in others) >= _FEWEST
    if _ITEM.match(last):
        return _is_cut_item(last, others)
    if _SENTENCE_INSIDE.search(last):
        return True
    prose = [line for line in others if not _HEADING.match(line) and not _ITEM.match(line)]
    prose = [line for line in prose if _count_words(line) >= min_words]
    if _FIELD.match(last) and any(_FIELD.match(line) and not _ENDED.search(line) for line in others):
        return False
    is_long = _count_words(last) >= min_words or bool(_OPENER.match(last))
    return is_long and bool(prose) and _share_ended(prose) >= _MOSTLY


def _is_cut_item(last: str, others: list[str]) -> bool:
    kind = _find_kind(last)
    items = [line for line in others if _ITEM.match(line) and _find_kind(line) == kind]
    if _SENTENCE_INSIDE.search(_ITEM.sub("", last, count=1)):
        return True
    if len(items) < _FEWEST:
        return bool(items) and _count_words(last) >= _LONG_ITEM and _share_ended(items) == 1
    # "- **Name**: what it is", and of the last one only the name
    leads = [match for line in items if (match := _BOLD_LEAD.match(line))]
    full = [match for match in leads if (match[1] or match[2] or "").strip()]
    if "**" in last and len(full) >= _FEWEST and len(full) >= _MOSTLY * len(items):
        mine = _BOLD_LEAD.match(last)
        if mine is None or not (mine[1] or mine[2] or "").strip():
            return True
    return _share_ended(items) >= _MOSTLY


def _find_kind(line: str) -> tuple[int, bool]:
    """Return how far an item is set in, and whether it has a number."""
    bare = line.lstrip()
    return len(line) - len(bare), bare[0].isdigit()


def _share_ended(lines: list[str]) -> float:
    """Return the share of lines that end in a mark; 0 of none."""
    ended = sum(bool(_ENDED.search(line.rstrip("*_ "))) for line in lines)
    return ended / len(lines) if lines else 0.0


def _count_words(text: str) -> int:
    dense = len(_DENSE.findall(text))
    return len(text.split()) + dense // 2
