# ruff: noqa: E501 - a pattern is read along its line
"""Prompts that try to override the system message: "ignore all previous instructions"."""

from typing import ClassVar, Literal

import polars as pl

from multifaceted.curation.base import NOTE, RowFilter
from multifaceted.curation.narrow import find_first

_WHAT = r"(?:instructions?|prompts?|directions?|directives?|rules?|guidelines?|commands?|orders?|messages?|programming|training|restrictions?|system prompt)"
_BEFORE = r"(?:previous(?:ly)?|prior|preceding|above|earlier|former|initial|original|existing|foregoing|past|system)"
_PATTERNS = (
    rf"(?i)\b(?:ignore|disregard|forget|override|bypass|discard|neglect|skip)\b[^.!?\n]{{0,25}}?\b{_BEFORE}\b[^.!?\n]{{0,25}}?\b{_WHAT}\b",
    rf"(?i)\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+(?:of\s+)?)?(?:your|these|those)\s+(?:\w+\s+)?{_WHAT}\b",
    r"(?i)\b(?:ignore|disregard|forget)\s+(?:all|everything|anything|whatever)\b[^.!?\n]{0,30}\b(?:above|before|said|told|earlier|previously)\b",
    r"(?i)\b(?:reveal|print|show|repeat|output|leak|tell me|give me|what (?:is|are|was|were))\b[^.!?\n]{0,20}\byour\s+(?:system|initial|hidden|secret|original)\s+(?:prompt|instructions?|message)",
    r"(?i)\b(?:you are|act as|pretend to be|become)\b[^.!?\n]{0,15}\b(?:now\s+)?(?:DAN\b|in (?:developer|debug|god|jailbreak) mode|jailbroken|an? (?:unrestricted|unfiltered|uncensored) (?:ai|model|assistant|chatbot|language model))",
    r"(?i)\bdo anything now\b|\b(?:developer|jailbreak|god) mode (?:enabled|activated|on)\b",
    r"(?i)\b(?:ignorier(?:e|en Sie)|vergiss|vergessen Sie|missachte)\b[^.!?\n]{0,30}\b(?:vorherigen|vorigen|bisherigen|obigen|früheren)\b[^.!?\n]{0,20}\b(?:Anweisung|Instruktion|Befehl|Regel|Vorgabe)",
    r"(?i)\b(?:ignor[ae]|olvid[ae]|ignorez|oublie[zr]?|esqueç?a|dimentica|ignorare)\b[^.!?\n]{0,30}\b(?:instrucciones|instructions|instruções|istruzioni|consignes|reglas|règles|regras|regole|órdenes|ordens)\b[^.!?\n]{0,20}\b(?:anterior|previas?|précédent|ci-dessus|precedent|prévi|dadas)",
    r"(?i)(?:игнорируй|забудь|проигнорируй)[^.!?\n]{0,30}(?:предыдущ|прежн|все)[^.!?\n]{0,20}(?:инструкци|указани|правил|команд)",
    r"(?:忽略|无视|忘记|忘掉|不要理会)[^。！？\n]{0,10}(?:之前|以前|先前|上面|以上|前面|系统)[^。！？\n]{0,8}(?:指令|指示|提示|规则|命令|要求|设定)",
    r"(?:以前|これまで|上記|前|すべて)の?[^。！？\n]{0,6}(?:指示|命令|ルール|プロンプト)[^。！？\n]{0,6}(?:無視|忘れ)",
    r"(?:이전|위|앞|기존)[^.!?\n]{0,8}(?:지시|명령|지침|프롬프트|규칙)[^.!?\n]{0,8}(?:무시|잊)",
)
# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR = [
    *(
        "ignor",
        "disregard",
        "forget",
        "overrid",
        "bypass",
        "discard",
        "neglect",
        "skip",
        "your system",
        "your initial",
    ),
    *(
        "your hidden",
        "your secret",
        "your original",
        "dan",
        " mode",
        "jailbr",
        "unrestricted",
        "unfiltered",
        "uncensored",
    ),
    *("do anything now", "vergiss", "vergessen", "missachte", "olvid", "oubli", "esque", "dimentica"),
    *("игнорируй", "забудь", "Игнорируй", "Забудь", "忽略", "无视", "忘", "不要理会", "無視", "무시", "잊"),
]


class InjectionFilter(RowFilter):
    """Such a prompt may be wanted, for a model to learn to withstand it; so it is noted and not dropped."""

    name: ClassVar[str] = "injected_prompt"
    summary: ClassVar[str] = "the prompt tries to override the system message"
    action: Literal["drop", "note"] = NOTE

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        near = rows.filter(pl.col("prompt").str.contains_any(_NEAR, ascii_case_insensitive=True))
        if near.is_empty():  # no pattern is compiled for nothing
            return near
        found = find_first("prompt", _PATTERNS).str.slice(0, 80)
        return near.with_columns(detail=found).filter(pl.col("detail").is_not_null())
