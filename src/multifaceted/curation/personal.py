"""Personal data and secrets. What was found is named by kind and column; its text is never repeated."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import polars as pl
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from multifaceted.curation.base import RowFilter
from multifaceted.curation.personal_numbers import (
    NEAR_FORM,
    NEAR_NAMED,
    NEAR_PHONE,
    find_id_by_form,
    find_named_id,
    find_phone,
)
from multifaceted.curation.secrets import describe_secrets

Column = Literal["system", "prompt", "output"]
Kind = Literal["email", "phone", "card", "iban", "national_id", "ip"]
COLUMNS: tuple[Column, ...] = ("system", "prompt", "output")

# Digits and word boundaries of ASCII: those of Unicode take three times as long.
_B = r"(?-u:\b)"
_EMAIL = rf"{_B}[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{{2,24}}{_B}"
_CARD = (
    r"(?:^|[^\w.-])(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6011|65[0-9]{2})"
    rf"(?:[ -]?[0-9]{{4}}){{3}}{_B}"
    rf"|(?:^|[^\w.-])3[47][0-9]{{2}}[ -]?[0-9]{{6}}[ -]?[0-9]{{5}}{_B}"
)
_IBAN = rf"{_B}[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?{_B}"
# Four numbers with periods are as often a version; a word tells that they are an address.
_IP = rf"(?i){_B}ip(?:v4)?{_B}[^\n0-9]{{0,40}}[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}{_B}"
PATTERNS: dict[Kind, str] = {"email": _EMAIL, "card": _CARD, "iban": _IBAN, "ip": _IP}

# Names set apart for examples (RFC 2606, RFC 6761), and what people write in their place.
_EXAMPLE_HOST = re.compile(
    r"(?:^|[.-])(?:examples?[0-9]*|test|invalid|localhost|domain|mydomain|yourdomain|email|mail|company|yourcompany"
    r"|companyname|acme|website|site|xyz|abc|foo|bar|sample|school|university|business|organization)"
    r"(?:\.[a-z]{2,6}){0,2}$|\.(?:example|test|invalid|local|internal)$",
    re.IGNORECASE,
)
_EXAMPLE_NAME = re.compile(
    r"^(?:your|my|user|username|name|first|firstname|someone|foo|bar|me|you|a|b|x|abc|xyz|info|support|contact|help|sales|admin"
    r"|hello|office|press|feedback|no-?_?reply|do-?not-?reply|customer\w*|client\w*|service\w*|hr|jobs?|careers?|git|action|billing"
    r"|premium|prime|orders?|newsletter|marketing|team|events?|media|inquir\w+|enquir\w+|accounts?|reservations?|bookings?|recruit\w*"
    r"|legal|privacy|security|webmaster|postmaster|abuse|notifications?|alerts?|subscri\w+|returns?|community|partners?|hiring|editor"
    r"|submissions?|student|teacher|employee|email|mail|(?:dr\.?|mr\.?|ms\.?)?(?:john|jane)\.?_?(?:doe|smith)?|j\.?doe|test\w*|example\w*"
    r"|sample\w*|dummy\w*|company\w*)(?:[._+-]?(?:name|email|mail|example|surname|lastname|last|leet|test|\w*alex))*[\d.-]*@",
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


_NAME_SERVERS = {"1.1.1.1", "1.0.0.1", "4.2.2.2", "8.8.4.4", "8.8.8.8", "9.9.9.9", "208.67.222.222"}


class PersonalDataFilter(RowFilter):
    """E-mail addresses, telephone numbers, and card and bank account numbers whose check digits are right."""

    name: ClassVar[str] = "personal_data"
    summary: ClassVar[str] = (
        "there are e-mail or IP addresses, telephone, card, bank account or identity numbers in a text"
    )
    columns: tuple[Column, ...] = COLUMNS
    kinds: tuple[Kind, ...] = ("email", "phone", "card", "iban", "national_id", "ip")

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
    for pattern, find in IN_TEXT.get(kind, ()):
        near = texts.filter(pl.col("text").str.contains(pattern))
        yield from (position for position, text in near.iter_rows() if find(text))
    if kind in IN_TEXT:
        return
    if kind == "email":  # a letter alone is found much faster than the pattern
        texts = texts.filter(pl.col("text").str.contains("@", literal=True))
    near = texts.filter(pl.col("text").str.contains(PATTERNS[kind]))
    near = near.select("position", matches=pl.col("text").str.extract_all(PATTERNS[kind]))
    is_real = CHECKS[kind]
    yield from (position for position, matches in near.iter_rows() if any(map(is_real, matches)))


def is_real_email(address: str) -> bool:
    """Return whether an address is nobody's example."""
    return not _EXAMPLE_NAME.match(address) and not _EXAMPLE_HOST.search(address.rsplit("@", 1)[1])


def is_real_card(number: str) -> bool:
    """Return whether the check digit is right (Luhn), and the number none that manuals use for tests."""
    digits = re.sub(r"\D", "", number)
    is_made_up = len(set(digits)) <= 3 or digits in _TEST_CARDS  # noqa: PLR2004 - such as 4242 4242 4242 4242
    return bool(luhn.is_valid(digits)) and not is_made_up


def is_real_iban(number: str) -> bool:
    """Return whether the check digits are right (ISO 13616: the rearranged number modulo 97 is 1)."""
    compact = number.replace(" ", "")
    if not 15 <= len(compact) <= 34:  # noqa: PLR2004 - as the standard has it
        return False
    return bool(mod_97_10.is_valid(compact[4:] + compact[:4]))


def is_real_ip(text: str) -> bool:
    """Return whether the address at the end of a text is a public one, and no name server that all know."""
    address = re.split(r"[^0-9.]", text)[-1]
    try:
        return ipaddress.ip_address(address).is_global and address not in _NAME_SERVERS
    except ValueError:
        return False


# Those that are judged with what stands around them: what a text has that may hold one, and the judge.
IN_TEXT: dict[Kind, tuple[tuple[str, Callable[[str], str]], ...]] = {
    "phone": ((NEAR_PHONE, find_phone),),
    "national_id": ((NEAR_FORM, find_id_by_form), (NEAR_NAMED, find_named_id)),
}
CHECKS: dict[Kind, Callable[[str], bool]] = {
    "email": is_real_email,
    "card": is_real_card,
    "iban": is_real_iban,
    "ip": is_real_ip,
}
