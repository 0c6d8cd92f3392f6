# ruff: noqa: E501 - a pattern is read along its line
"""Prompts that try to override the system message: "ignore all previous instructions"."""

from typing import ClassVar, Literal

import polars as pl

from multifaceted.curation.base import NOTE, RowFilter
from multifaceted.curation.narrow import find_first

_WHAT = r"(?:instructions?|prompts?|directions?|directives?|rules?|guidelines?|commands?|orders?|messages?|programming|training|restrictions?|system prompt)"
_BEFORE = r"(?:previous(?:ly)?|prior|preceding|above|earlier|former|initial|original|existing|foregoing|past|system)"
_GAP = r"[^.!?。！？।\n]{0,40}?"
# In each language what one tells a model to do, and to what; in this order, or the other way round.
_TELLS = {
    "de": (r"\b(?:ignorier(?:e|en Sie)|vergiss|vergessen Sie|missachte)\b", r"\b(?:Anweisung|Instruktion|Befehl|Regel|Vorgabe|alles,? was)"),
    "fr": (r"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez) pas compte)\b", r"\b(?:instructions|consignes|règles|directives|tout ce qu)"),
    "es": (r"\b(?:ignor[ae]|olv[ií]da(?:te)?|olvide|haz caso omiso|descarta|pasa por alto)\b", r"\b(?:instrucciones|reglas|directivas|directrices|órdenes|todo lo que)"),
    "pt": (r"\b(?:ignore|esqueça|desconsidere)\b", r"\b(?:instruções|regras|diretrizes|diretivas|ordens|tudo o que)"),
    "it": (r"\b(?:ignora(?:te)?|dimentica(?:te|ti)?|trascura)\b", r"\b(?:istruzioni|regole|direttive|tutto (?:ciò|quello))"),
    "nl": (r"\b(?:negeer|vergeet)\b", r"\b(?:instructies|regels|opdrachten|aanwijzingen)"),
    "pl": (r"\b(?:zignoruj|ignoruj|zapomnij|pomiń)\b", r"(?:instrukcj|polece|zasad|reguł|wytyczn)"),
    "ru": (r"(?:игнорируй|забудь|не обращай)", r"(?:инструкци|указани|правил|команд|директив|вс[её],? что)"),
    "ar": (r"(?:تجاهل|انس|تغاض)", r"(?:تعليمات|القواعد|الأوامر|توجيهات|كل ما)"),
    "vi": (r"(?:bỏ qua|quên|phớt lờ)", r"(?:hướng dẫn|chỉ dẫn|quy tắc|chỉ thị|mệnh lệnh)"),
    "id": (r"\b(?:abaikan|lupakan)\b", r"\b(?:instruksi|perintah|aturan|petunjuk)"),
    "tl": (r"\b(?:kalimutan|balewalain|huwag pansinin)\b", r"\b(?:tagubilin|panuntunan|utos|tuntunin|instruksyon)"),
    "th": (r"(?:เพิกเฉย|ลืม|ไม่สนใจ|ละเว้น)", r"(?:ค(?:ำ|ํา)สั่ง|ค(?:ำ|ํา)แนะน(?:ำ|ํา)|กฎ)"),
    "zh": (r"(?:忽略|无视|忘记|忘掉|不要?理会|抛开)", r"(?:指令|指示|提示|规则|命令|要求|设定|说明)"),
}  # fmt: skip
_TOLD = {  # where the verb comes last
    "ja": (r"(?:指示|命令|ルール|規則|プロンプト)", r"(?:無視|忘れ)"),
    "ko": (r"(?:지시|명령|지침|프롬프트|규칙)", r"(?:무시|잊)"),
    "hi": (r"(?:निर्देश|नियम|आदेश)", r"(?:अनदेख|भूल|उपेक्षा|अवहेलना|नज़रअंदाज़)"),
    "bn": (r"(?:নির্দেশ|নিয়ম|আদেশ)", r"(?:উপেক্ষা|ভুলে|অগ্রাহ্য)"),
    "tr": (r"(?:talimat|yönerge|kural|komut)", r"(?:yok say|unut|görmezden|dikkate alma|göz ardı)"),
}  # fmt: skip
_PATTERNS = (
    rf"(?i)\b(?:ignore|disregard|forget|override|overlook|bypass|discard|neglect|skip)\b[^.!?\n]{{0,25}}?\b{_BEFORE}\b[^.!?\n]{{0,25}}?\b{_WHAT}\b",
    rf"(?i)\b(?:ignore|disregard|forget|override|overlook|bypass)\s+(?:about\s+)?(?:all\s+(?:of\s+)?)?(?:your|these|those)\s+(?:\w+\s+)?{_WHAT}\b",
    r"(?i)\b(?:ignore|disregard|forget|overlook)\s+(?:all|everything|anything|whatever)\b[^.!?\n]{0,30}\b(?:above|before|said|told|instructed|taught|earlier|previously)\b",
    r"(?i)\b(?:reveal|print|show|repeat|output|leak|tell me|give me|what (?:is|are|was|were))\b[^.!?\n]{0,20}\byour\s+(?:system|initial|hidden|secret|original)\s+(?:prompt|instructions?|message)",
    r"(?i)\b(?:you are|act as|pretend to be|become)\b[^.!?\n]{0,15}\b(?:now\s+)?(?:DAN\b|in (?:developer|debug|god|jailbreak) mode|jailbroken|an? (?:unrestricted|unfiltered|uncensored) (?:ai|model|assistant|chatbot|language model))",
    r"(?i)\bdo anything now\b|\b(?:developer|jailbreak|god) mode (?:enabled|activated|on)\b",
    *(f"(?i){one}{_GAP}{other}" for one, other in (*_TELLS.values(), *_TOLD.values())),
)
# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR_WORDS = (
    "ignor disregard forget overrid overlook bypass discard neglect skip jailbr unrestricted unfiltered uncensored dan"
    " vergiss vergessen missachte oubli olvid olvíd descarta omiso esque desconsidere dimentica trascura negeer vergeet"
    " zapomnij pomiń игнорируй Игнорируй забудь Забудь обращай تجاهل انس تغاض quên Quên QUÊN abaikan lupakan"
    " kalimutan balewalain pansinin เพิกเฉย ลืม ไม่สนใจ ละเว้น 忽略 无视 忘 理会 抛开 無視 무시 잊 अनदेख भूल उपेक्षा अवहेलना"
    " नज़रअंदाज़ উপেক্ষা ভুলে অগ্রাহ্য unut görmezden dikkate"
)
_NEAR = [
    *_NEAR_WORDS.split(),
    *(
        "your system",
        "your initial",
        "your hidden",
        "your secret",
        "your original",
        " mode",
        "do anything now",
    ),
    *("bỏ qua", "Bỏ qua", "BỎ QUA", "phớt lờ", "Phớt lờ", "pas compte", "por alto", "yok say", "göz ardı"),
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
