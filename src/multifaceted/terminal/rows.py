"""Rows and findings as text."""

from typing import Any

MAX_SHOWN = 600  # characters of a text
TEXTS = ("prompt", "system", "output")


def describe_row(row: dict[str, Any]) -> str:
    """Return a row as text: id, instruction, preference set, system message and response."""
    entries = [
        "  " + " → ".join((entry["dimension"], entry["subdimension"], entry["preference"]))
        for entry in row.get("preference_set") or ()
    ]
    texts = [f"[{name}] {row[name]}" for name in TEXTS if row.get(name)]
    return "\n".join([f"── {row.get('id', '')}", *entries, *texts])


def describe_finding(finding: dict[str, Any]) -> str:
    """Return one finding of a curation in a line: `near_duplicate_system: 0.83 like i3-v2`."""
    said = [
        f"{finding['score']:.2f}" if finding["score"] is not None and not finding["detail"] else "",
        f"like {finding['partner']}" if finding["partner"] else "",
        finding["detail"] or "",
    ]
    words = " ".join(word for word in said if word)
    noted = " (noted, not dropped)" if finding["action"] == "note" else ""
    return f"{finding['reason']}{': ' if words else ''}{words}{noted}"


def shorten(text: str) -> str:
    """Return the beginning and the end of a long text."""
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]} […] {text[-half:]}"
