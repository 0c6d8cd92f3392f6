"""What stands before the parts of a prompt, and is none of it.

Example:
    drop_labels("Question: Is it late? Context: Noon.")    # "  Is it late?   Noon."
"""

import re

# What pools write there, in the languages that public pools are in.
_WORDS = (
    "input instruction question context text passage task prompt response output answer article document "
    "sentence paragraph content user human system q a eingabe frage anweisung aufgabe kontext entrée "
    "consigne contexte texte entrada instrucción pregunta contexto texto tarea pergunta instrução tarefa "
    "domanda istruzione contesto testo ввод вопрос инструкция текст контекст задание 输入 "
    "问题 指令 文本 回答 上下文 段落 句子 入力 指示 質問 文脈 입력 질문 지시 지문 문맥"
)
_LABELS = "|".join(_WORDS.split())
_LABEL_SIGN = re.compile("[:#\uff1a]")
_LABEL = re.compile(
    rf"^[ \t]*(?:#{{1,6}}|[*_]{{2}}|\[)?[ \t]*(?:{_LABELS})[ \t]*[*_\]]{{0,2}}[:\uff1a][*_]{{0,2}}"
    rf"|^[ \t]*#{{1,6}}[ \t]+(?:{_LABELS})[ \t]*$"
    r"|(?<!\w)(?:input|instruction|question|context|passage)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


def drop_labels(text: str) -> str:
    """Take out what stands before the parts of a prompt: "Input:", "### Question:" and their kin."""
    return _LABEL.sub(" ", text) if _LABEL_SIGN.search(text) else text
