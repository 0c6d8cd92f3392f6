# ruff: noqa: E501 - names of numbers in many languages
"""Telephone numbers and national identity numbers: by the plans and check digits of each country.

    find_phone("Ring me at +49 171 8643 1907")      # "DE"
    find_id_by_form("My DNI is 54362315K")          # "es.dni"

The plans are those of libphonenumber, the check digits those of python-stdnum. A number without a country's
prefix or a form of its own needs a word beside it that says what it is: one in ten has right check digits.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

# What may be a number at all; looked for in Rust's syntax first.
_PHONE_WORDS = (
    r"phones?|telephones?|telefono?|tel|mobile?|cell|fax|whats ?app|sms|call|call me|dial|ring|text me|my number is|handy|rufnummer|portable|teléfono|móvil"
    r"|celular|telefone|cellulare|telefon\w*|gsm|numara\w*|телефон\w*|моб\w*"
)
_PHONE_WORDS_UNPARTED = r"电话|手机|電話|携帯|전화|휴대폰|โทร|फ़ोन|هاتف"
NEAR_PHONE = r"[0-9][0-9 ().-]{6,20}[0-9]"
_INTERNATIONAL = re.compile(r"(?<![\w+.])\+\d[\d ().\-/]{6,20}\d(?![\w])")
_AMERICAN = re.compile(r"(?<![\w.+/-])(?:\+?1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-]|\.\d)")
_NATIONAL = re.compile(r"(?<![\w.+/-])\(?0?\d[\d ().-]{6,17}\d(?![\w/]|[.,]\d)")
_PHONE_WORD = re.compile(
    rf"(?i)(?:\b(?:{_PHONE_WORDS})\b|{_PHONE_WORDS_UNPARTED})\W{{0,3}}(?:\w+\W{{1,3}}){{0,4}}$"
)
_REGION_CODES = "US GB DE FR IT ES PT NL BE CH AT PL CZ SE NO DK FI IE GR RU UA TR IL EG ZA NG KE IN PK BD CN TW HK JP KR TH VN ID MY SG PH AU NZ BR MX AR CL CO PE"
_REGIONS = _REGION_CODES.split()
# Set apart for fiction by the regulators of each country.
_FICTION = re.compile(
    r"^(?:1?\d{3}555\d{4}|1?555\d{7}|44(?:2079460\d{3}|1632960\d{3}|7700900\d{3}|(?:113|114|115|116|117|118|121|131|141|151|161|191)4960\d{3}|8081570\d{3})"
    r"|61(?:[2378](?:5550|7010)\d{4}|49157\d{4}|491570\d{3}|1800975\d{3})|33[1-5]9?9[0-9]00\d{4}|4940669\d{5}|49(?:3023125|6990009|8999998)\d{3}|353209\d{5})$"
)
_BEHIND = 60  # characters behind a word in which its number stands
_BEFORE = 60  # characters that are looked at for a word

_ITIN_GROUP = r"(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])"  # newer ones than stdnum's
_MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
# Forms that hardly anything else has, and those that need a word beside them.
_OWN_FORM = {
    "us.ssn": r"\d{3}-\d{2}-\d{4}",
    "us_itin": rf"9\d{{2}}-{_ITIN_GROUP}-\d{{4}}",
    "es.dni": r"\d{7,8}-?[A-Z]",
    "es.nie": r"[XYZ]-?\d{7}-?[A-Z]",
    "it.codicefiscale": r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]",
    "fi.hetu": r"[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-Y]",
    "se.personnummer": r"(?:\d{2})?\d{6}[-+]\d{4}",
    "in_.aadhaar": r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}",
    "kr_rrn": rf"\d{{2}}{_MONTH_DAY}-[1-8]\d{{6}}",  # without check digit since October 2020
    "th.pin": r"\d-\d{4}-\d{5}-\d{2}-\d",
    "br.cpf": r"\d{3}\.\d{3}\.\d{3}-\d{2}",
    "ch.ssn": r"756\.\d{4}\.\d{4}\.\d{2}",
    "mx.curp": r"[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d",
    "cn.ric": r"\d{17}[\dX]",
    "fr.nir": r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}",
    "be.nn": r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
}
_BESIDE_A_WORD = {
    "us.ssn": (r"\d{3}[ -]?\d{2}[ -]?\d{4}", r"ssn|social sec|\bsocial (?:is|no|number|#)|\bss#|itin"),
    "us_itin": (rf"9\d{{2}}[ -]?{_ITIN_GROUP}[ -]?\d{{4}}", r"itin|tax ?payer|tax ?id|\btin\b"),
    "es.nie": (r"[XYZ][ -]?\d{7}[ -]?[A-Z]", r"\bnie\b|extranjero"),
    "es.dni": (r"\d{1,2} ?\d{3} ?\d{3}[ -]?[A-Z]", r"\bdni\b|\bnif\b|identidad|identificaci[oó]n"),
    "it.codicefiscale": (
        r"[A-Z]{6} ?\d{2}[A-EHLMPRST]\d{2} ?[A-Z]\d{3}[A-Z]",
        r"codice fiscale|\bc\.?f\.?\b",
    ),
    "ca.sin": (r"\d{3}[ -]?\d{3}[ -]?\d{3}", r"\bsin\b|social insurance|\bnas\b"),
    "gb.nhs": (r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"nhs|national health|health (?:services )?authority"),
    "gb_nino": (
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        r"national insurance|\bni\b|nino|insurance",
    ),
    "in_.aadhaar": (r"\d{4}[ -]?\d{4}[ -]?\d{4}", r"aadhaar|aadhar|uidai"),
    "in_.pan": (r"[A-Z]{5}\d{4}[A-Z]", r"\bpan\b|permanent account"),
    "au.tfn": (r"\d{3} ?\d{3} ?\d{2,3}", r"tfn|tax file"),
    "au_medicare": (r"[2-6]\d{3} ?\d{5} ?\d", r"medicare"),
    "de.idnr": (r"\d{2} ?\d{3} ?\d{3} ?\d{3}", r"steuer|idnr|persönliche identifikation|tax id"),
    "de_social_security": (
        r"\d{2} ?(?:[0-2]\d|3[01]|[5-7]\d|8[01])(?:0[1-9]|1[0-2])\d{2} ?[A-Z] ?\d{3}",
        r"sozialversicherung|rentenversicherung|versicherungsnummer|svnr|sv-nummer|rvnr|rentenausweis",
    ),
    "nl.bsn": (r"\d{9}", r"\bbsn\b|burgerservice|sofi"),
    "pl.pesel": (r"(?:\d ?){10}\d", r"pesel"),
    "tr.tckimlik": (r"[1-9](?: ?\d){10}", r"kimlik|nüfus|\btc\b|t\.c\.|tckn"),
    "za.idnr": (r"(?:\d ?){12}\d", r"\bid\b|identity|south african"),
    "th.pin": (r"\d{13}", r"\bid\b|thai|tnin|บัตรประชาชน|ประจำตัวประชาชน"),
    "kr_rrn": (rf"\d{{2}}{_MONTH_DAY}[1-8]\d{{6}}", r"rrn|resident|주민"),
    "se.personnummer": (r"(?:\d{2})?\d{10}", r"person\w*nummer|samordningsnummer|personal identity"),
    "sg_fin": (r"[STFGM]\d{7}[A-Z]", r"\bfin\b|nric|singapore"),
    "ng_nin": (r"\d{11}", r"\bnin\b|nimc|national identification"),
    "dk.cpr": (r"\d{6}-?\d{4}", r"\bcpr\b|personnummer"),
    "no.fodselsnummer": (r"\d{6} ?\d{5}", r"fødselsnummer|fodselsnummer|personnummer"),
    "cl.rut": (r"\d{1,2}\.?\d{3}\.?\d{3}-[\dkK]", r"\brut\b|\brun\b"),
    "br.cpf": (r"\d{11}", r"\bcpf\b"),
    "il.idnr": (r"\d{9}", r"teudat|israeli id|תעודת זהות"),
}
_FORMS = re.compile(
    "|".join(
        rf"(?P<f{n}>(?<![\w.-])(?<!\d )(?:{form})(?![\w-]|[. ]\d))"
        for n, form in enumerate(_OWN_FORM.values())
    )
)
_SIGN = re.compile(r"\[ -\]\?| \?")  # between groups of digits, where people write many
_ID_WORDS = "|".join(word for _, word in _BESIDE_A_WORD.values())
_ANY_WORD = re.compile(rf"(?i:{_ID_WORDS})")
_BESIDE = {
    name: re.compile(rf"(?<![\w.-])(?<!\d )(?:{_SIGN.sub('[ .:/-]?', form)})(?![\w-]|[. ]\d)", re.IGNORECASE)
    for name, (form, _) in _BESIDE_A_WORD.items()
}
NEAR_FORM = "|".join(form.replace(r"\d", "[0-9]") for form in _OWN_FORM.values())
NEAR_NAMED = (
    r"[0-9]{2}[0-9 .:/-]{5,}[0-9]"
    r"|(?-u:\b)[A-Za-z]{1,2}[ -]?[0-9]{2} ?[0-9]{2} ?[0-9]{2}|(?-u:\b)[A-Za-z]{5,6}[0-9]{2}(?:[0-9]{2})?[A-Za-z]"
)
_LONG_DIGITS = re.compile(r"\d(?:[ .:/-]?\d){1,30}")
_LONGEST_WORD = 40
_SOCIAL_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_TEXTBOOK = {
    "123456789",
    "078051120",
    "219099999",
    "12345678Z",
    "987654321",
    "111111111",
    "123121234",
    "457555462",
}


def find_phone(text: str) -> str:
    """Return the region of the first telephone number that can be a person's; empty where there is none.

    None are hotlines, numbers set apart for fiction, 123-456-7890, and what is no number in any plan.
    """
    taken: list[tuple[int, int]] = []  # what one plan has judged, another does not take for its own
    for pattern, needs_word in ((_INTERNATIONAL, False), (_AMERICAN, False), (_NATIONAL, True)):
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            before = text[max(0, match.start() - _BEFORE) : match.start()]
            if needs_word and not _PHONE_WORD.search(before):
                continue
            taken.append(match.span())
            if found := _find_region(match[0], _REGIONS if needs_word else ["US"]):
                return found
    return ""


def _find_region(number: str, regions: list[str]) -> str:
    import phonenumbers  # noqa: PLC0415 - a second, which only this needs

    kinds = phonenumbers.PhoneNumberType
    personal = {kinds.FIXED_LINE, kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE, kinds.VOIP, kinds.PERSONAL_NUMBER}
    digits = re.sub(r"\D", "", number)
    if _is_placeholder(digits[-10:]):
        return ""
    for region in regions:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        full = f"{parsed.country_code}{parsed.national_number}"
        if phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) in personal:
            return "" if _FICTION.match(full) else str(phonenumbers.region_code_for_number(parsed))
    return ""


def find_id_by_form(text: str) -> str:
    """Return which national number a text holds, such as `es.dni`, by its form alone; empty where there is none."""
    for match in _FORMS.finditer(text):
        name = list(_OWN_FORM)[int(str(match.lastgroup)[1:])]
        if _is_valid(name, match[0]):
            return name
    return ""


def find_named_id(text: str) -> str:
    """Return the same, of those that stand behind a word which says what they are."""
    for near in _list_near_digits(text):
        for word in _ANY_WORD.finditer(near):
            after = near[word.end() : word.end() + _BEHIND].split("\n", 1)[0]
            if any(character.isdigit() for character in after):
                for name in _list_named(word[0].lower()):
                    number = _BESIDE[name].search(after)
                    if number and _is_valid(name, number[0]):
                        return name
    return ""


def _list_near_digits(text: str) -> Iterator[str]:
    """Yield the parts in which a word may name a number: the rest need not be searched for words."""
    start = end = 0
    for digits in _LONG_DIGITS.finditer(text):
        if digits.start() - _BEHIND - _LONGEST_WORD > end:
            if end:
                yield text[start:end]
            start = digits.start() - _BEHIND - _LONGEST_WORD
        end = digits.end() + _BEHIND
    if end:
        yield text[max(start, 0) : end]


@cache
def _list_named(word: str) -> tuple[str, ...]:
    """List the numbers that a word names."""
    named = _BESIDE_A_WORD.items()
    return tuple(name for name, (_, words) in named if re.search(words, word, re.IGNORECASE))


def _is_valid(name: str, number: str) -> bool:
    compact = re.sub(r"[\s.:/\-]", "", number).upper()
    if compact in _TEXTBOOK or (compact.isdigit() and _is_placeholder(compact)):
        return False
    if name == "de_social_security":
        return _is_social_security(compact)
    if "." not in name:  # no check digits, or none that are public
        return True
    if name == "es.dni":
        compact = compact.zfill(9)  # old ones are written without their zeros
    # Some modules want the number's own signs, others none.
    return bool(_load(name).is_valid(number) or _load(name).is_valid(compact))


def _is_social_security(number: str) -> bool:
    """Check the last digit of a German pension insurance number (VKVV, section 4)."""
    spelled = f"{number[:8]}{ord(number[8]) - ord('A') + 1:02}{number[9:11]}"
    products = (int(digit) * weight for digit, weight in zip(spelled, _SOCIAL_WEIGHTS, strict=True))
    return sum(sum(divmod(product, 10)) for product in products) % 10 == int(number[11])


@cache
def _load(name: str) -> Any:
    return importlib.import_module(f"stdnum.{name}")


def _is_placeholder(digits: str) -> bool:
    """Return whether digits are what people write in place of a number."""
    return len(set(digits)) <= 2 or digits in "012345678901234567890" or digits in "98765432109876543210"  # noqa: PLR2004
