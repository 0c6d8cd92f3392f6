"""Personal data and secrets. What was found is named by kind and column; its text is never repeated."""

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import polars as pl

from multifaceted.curation.base import RowFilter
from multifaceted.curation.secrets import describe_secrets

Column = Literal["system", "prompt", "output"]
Kind = Literal["email", "phone", "card", "iban"]
COLUMNS: tuple[Column, ...] = ("system", "prompt", "output")

# Digits and word boundaries of ASCII: those of Unicode take three times as long.
_B = r"(?-u:\b)"
_EMAIL = rf"{_B}[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{{2,24}}{_B}"
# North American with separators, or international with a plus sign.
_PHONE = (
    rf"(?:{_B}1[-. ])?(?:\([0-9]{{3}}\) ?|{_B}[0-9]{{3}}[-. ])[0-9]{{3}}[-. ][0-9]{{4}}{_B}"
    rf"|\+[0-9]{{1,3}}[-. ]?(?:\([0-9]{{1,4}}\)[-. ]?)?[0-9]{{2,4}}(?:[-. ]?[0-9]{{2,4}}){{2,4}}{_B}"
)
_CARD = (
    rf"{_B}(?:4[0-9]{{3}}|5[1-5][0-9]{{2}}|2[2-7][0-9]{{2}}|6011|65[0-9]{{2}})(?:[ -]?[0-9]{{4}}){{3}}{_B}"
    rf"|{_B}3[47][0-9]{{2}}[ -]?[0-9]{{6}}[ -]?[0-9]{{5}}{_B}"
)
_IBAN = rf"{_B}[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?{_B}"
PATTERNS: dict[Kind, str] = {"email": _EMAIL, "phone": _PHONE, "card": _CARD, "iban": _IBAN}

# Names set apart for examples (RFC 2606, RFC 6761), and what people write in their place.
_EXAMPLE_HOST = re.compile(
    r"(?:^|[.-])(?:examples?[0-9]*|test|invalid|localhost|domain|mydomain|yourdomain|email|mail|company|yourcompany"
    r"|companyname|acme|website|site|xyz|abc|foo|bar|sample|school|university|business|organization)"
    r"(?:\.[a-z]{2,6}){0,2}$|\.(?:example|test|invalid|local|internal)$",
    re.IGNORECASE,
)
_EXAMPLE_NAME = re.compile(
    r"^(?:your|my|user|username|name|first|firstname|someone|foo|bar|me|you|info|support|contact|help|sales|admin"
    r"|hello|office|press|feedback|noreply|no-reply|customerservice|service|hr|jobs|git|john\.?_?doe"
    r"|jane\.?_?doe|test)(?:[._-]?(?:name|email|mail|example|surname|lastname|last))*\d*@",
    re.IGNORECASE,
)
# Numbers that payment services publish for tests; their check digit is right.
_TEST_CARDS = {
    "4012888888881881",
    "5105105105105100",
    "378282246310005",
    "6011000990139424",
    "371449635398431",
}
_TOLL_FREE = ("800", "888", "877", "866", "855", "844", "833", "822", "900")


class PersonalDataFilter(RowFilter):
    """E-mail addresses, telephone numbers, and card and bank account numbers whose check digits are right."""

    name: ClassVar[str] = "personal_data"
    summary: ClassVar[str] = "there are e-mail addresses, telephone, card or bank account numbers in a text"
    columns: tuple[Column, ...] = COLUMNS
    kinds: tuple[Kind, ...] = ("email", "phone", "card", "iban")

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        details: dict[int, str] = {}
        for column in self.columns:
            for kind in self.kinds:
                for position in _find_kind(rows, column, kind):
                    details.setdefault(position, f"{kind} in {column}")
        found = pl.DataFrame(
            {"position": list(details), "detail": list(details.values())},
            schema={"position": rows.schema["position"], "detail": pl.String},
        )
        return rows.join(found, on="position", how="inner")


class SecretFilter(RowFilter):
    """Keys as their issuers make them; `multifaceted check` looks for the same."""

    name: ClassVar[str] = "secret"
    summary: ClassVar[str] = "what looks like a secret key stands in a text"

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        names = [*COLUMNS, *(name for name in rows.columns if name not in ("id", *COLUMNS))]
        found = {f"_{name}": describe_secrets(rows[name]) for name in names}
        details = [
            pl.when(pl.col(key).is_not_null()).then(pl.col(key) + pl.lit(f" in {key[1:]}")) for key in found
        ]
        rows = rows.with_columns(**found).with_columns(detail=pl.coalesce(*details)).drop(*found)
        return rows.filter(pl.col("detail").is_not_null())


def _find_kind(rows: pl.DataFrame, column: str, kind: Kind) -> Iterator[int]:
    """Positions of rows with a real one of its kind: what looks like one is found first, then checked."""
    texts = rows.select("position", text=pl.col(column))
    if kind == "email":  # a letter alone is found much faster than the pattern
        texts = texts.filter(pl.col("text").str.contains("@", literal=True))
    near = texts.filter(pl.col("text").str.contains(PATTERNS[kind]))
    near = near.select("position", matches=pl.col("text").str.extract_all(PATTERNS[kind]))
    is_real = CHECKS[kind]
    return (position for position, matches in near.iter_rows() if any(map(is_real, matches)))


def is_real_email(address: str) -> bool:
    """Return whether an address is nobody's example."""
    return not _EXAMPLE_NAME.match(address) and not _EXAMPLE_HOST.search(address.rsplit("@", 1)[1])


def is_real_phone(number: str) -> bool:
    """Return whether a number can be a person's: no hotline, none set apart for fiction, no 123-456-7890."""
    digits = re.sub(r"\D", "", number)
    if not number.startswith("+") or digits.startswith("1"):
        local = digits.removeprefix("1")
        fictional = local[3:6] == "555" or local[:3] == "555"
        return (
            len(local) == 10  # noqa: PLR2004 - area code, exchange, line
            and not fictional
            and local[:3] not in _TOLL_FREE
            and local[0] not in "01"
            and not _is_placeholder(local)
        )
    return 8 <= len(digits) <= 15 and not _is_placeholder(digits)  # noqa: PLR2004 - ITU-T E.164


def is_real_card(number: str) -> bool:
    """Return whether the check digit is right (Luhn), and the number none that manuals use for tests."""
    digits = re.sub(r"\D", "", number)
    total = 0
    for index, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if index % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 - the sum of its two digits
    is_made_up = len(set(digits)) <= 3 or digits in _TEST_CARDS  # noqa: PLR2004 - such as 4242 4242 4242 4242
    return total % 10 == 0 and not is_made_up


def is_real_iban(number: str) -> bool:
    """Return whether the check digits are right (ISO 13616: the rearranged number modulo 97 is 1)."""
    compact = number.replace(" ", "")
    if not 15 <= len(compact) <= 34:  # noqa: PLR2004 - as the standard has it
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_placeholder(digits: str) -> bool:
    return len(set(digits)) <= 2 or digits in "01234567890123456789" or digits in "98765432109876543210"  # noqa: PLR2004


CHECKS: dict[Kind, Callable[[str], bool]] = {
    "email": is_real_email,
    "phone": is_real_phone,
    "card": is_real_card,
    "iban": is_real_iban,
}
