# ruff: noqa: E501 - reasons for what is left out
"""Secrets and personal data: what other detectors have in their tests, in a sentence or an assignment."""

import ast
import re
import tomllib
import warnings
from collections.abc import Iterator
from itertools import cycle

import phonenumbers
import yaml
from answers import STRONG, make_strong, read_answers
from cases import Case, CaseSet
from repositories import list_files, read

_TRUFFLEHOG = "trufflesecurity/trufflehog"
_GITLEAKS = "gitleaks/gitleaks"
_NOSEYPARKER = "praetorian-inc/noseyparker"
_VALID = re.compile(r"(?m)^\s*valid\w*\s*=\s*[\"`]([^\"`\n]{20,})[\"`]\s*$")
_NO_KEY = re.compile(r"\s|^https?://|@[\w-]+\.\w+$|\.(?:com|net|io|org|dev|app|co)$|^[\d.-]+$")
# Formats that name their issuer, or have check marks of their own; the others need a word beside them.
_BESIDE = "{name} token = '{key}'"
_PRESIDIO = "microsoft/presidio"
# What identifies a person or an account; not companies, cars, places or what a name alone tells. Not Finland:
# its tests use the range for temporary numbers, which are nobody's; nor cards, addresses and telephone numbers,
# whose tests use published test cards, role addresses and numbers set apart for fiction, all of which pass here.
_KINDS = {
    "au_medicare": "AU", "au_tfn": "AU", "ca_sin": "CA", "de_social_security": "DE",
    "de_tax_id": "DE", "es_nie": "ES", "es_nif": "ES",
    "iban": "IBAN", "in_aadhaar": "IN", "it_fiscal_code": "IT", "kr_rrn": "KR", "ng_nin": "NG",
    "pl_pesel": "PL", "se_personnummer": "SE", "sg_fin": "SG",
    "th_tnin": "TH", "tr_national_id": "TR", "uk_nhs": "GB", "uk_nino": "GB", "us_itin": "US",
    "us_ssn": "US", "za_id_number": "ZA",
}  # fmt: skip


def make_secrets() -> Iterator[Case]:
    """Keys in the tests of TruffleHog, beside the name of their issuer; and real answers without any."""
    answers = cycle(row for model in STRONG[:2] for row in read_answers(model))
    for path in list_files(_TRUFFLEHOG, "pkg/detectors/"):
        if path.endswith("_test.go") and "integration" not in path:
            name = path.split("/")[2]
            found = [key for key in _VALID.findall(read(_TRUFFLEHOG, path)) if not _NO_KEY.search(key)]
            if found:
                row = next(answers)
                text = f"{row['output']}\n\n{_BESIDE.format(name=name, key=found[0])}\n"
                yield Case(text, faulty=True, prompt=row["instruction"], group=_find_form(found[0]), key=name)
    yield from make_strong()


def make_gitleaks() -> Iterator[Case]:
    """Lines of code and configuration that Gitleaks' tests call true or false positives."""
    rules = {rule["id"]: rule for rule in tomllib.loads(read(_GITLEAKS, "config/gitleaks.toml"))["rules"]}
    others = {name: rule["regex"] for name, rule in rules.items() if "regex" in rule}
    for path in list_files(_GITLEAKS, "cmd/generate/config/rules/"):
        if path.endswith(".go"):
            code = read(_GITLEAKS, path)
            own = set(re.findall(r"RuleID:\s*\"([^\"]+)", code))
            for kind, block in re.findall(r"(?s)\b(tps|fps)\b[^{\n]*\{\n(.*?)\n\t\}", code):
                for _, line in re.findall(r"(?m)^\s*([`\"])((?:(?!\1).)+)\1,", block):
                    name = path.rsplit("/", 1)[1].removesuffix(".go")
                    if kind == "tps" or not _is_found(line, others, own):
                        yield Case(line, faulty=kind == "tps", prompt=line, group=name, key=name)


def make_noseyparker() -> Iterator[Case]:
    """Examples in the rules of Nosey Parker for what issuers make, and what those rules are to leave alone."""
    rules = [
        (path.rsplit("/", 1)[1].removesuffix(".yml"), rule)
        for path in list_files(_NOSEYPARKER, "crates/noseyparker/data/default/builtin/rules/")
        if path.endswith(".yml")
        for rule in yaml.safe_load(read(_NOSEYPARKER, path))["rules"]
        if {"api", "secret"} <= set(rule.get("categories", ())) and "generic" not in rule["categories"]
    ]
    patterns = {rule["id"]: rule["pattern"] for _, rule in rules}
    for issuer, rule in rules:
        for text in rule.get("examples") or ():
            yield Case(text, faulty=True, prompt=text, group=rule["id"], key=issuer)
        for text in rule.get("negative_examples") or ():
            if not _is_found(text, patterns, {rule["id"]}):
                yield Case(text, faulty=False, prompt=text, group=rule["id"], key=issuer)


def _is_found(text: str, patterns: dict[str, str], own: set[str]) -> bool:
    """Whether other rules of a detector find a secret where its own should not: then the label tells nothing."""
    return any(_matches(pattern, text) for name, pattern in patterns.items() if name not in own)


def _matches(pattern: str, text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # signs that Python means to read otherwise one day
            return bool(re.search(pattern.replace("\\z", "\\Z"), text))
    except re.error:
        return False  # syntax of Go or Rust that Python lacks


def _find_form(key: str) -> str:
    """Whether a key says by its own form whose it is."""
    return "prefixed" if re.match(r"[A-Za-z0-9]{2,12}[-_.][A-Za-z0-9_-]{12}", key) else "bare"


def make_presidio() -> Iterator[Case]:
    """What Presidio's tests say holds so many of a kind, behind a word that its recognizers look for."""
    for name, group in _KINDS.items():
        tree = ast.parse(read(_PRESIDIO, f"presidio-analyzer/tests/test_{name}_recognizer.py"))
        word = _find_word(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize":
                for text, count in _read_cases(node):
                    yield Case(f"My {word} is {text}\n", count > 0, f"{name}: {text}", group=group, key=name)


def make_phones() -> Iterator[Case]:
    """The example of each country in libphonenumber, as people there write it; and real answers without any."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if number:
            style = phonenumbers.PhoneNumberFormat
            for form, word in ((style.INTERNATIONAL, "at"), (style.NATIONAL, "tel.")):
                text = f"Reach me {word} {phonenumbers.format_number(number, form)}, please."
                yield Case(text, faulty=True, group=region, key=region)
    yield from make_strong()


def _find_word(name: str) -> str:
    """Return the first word that Presidio's recognizer looks for beside such a number."""
    under = "presidio-analyzer/presidio_analyzer/predefined_recognizers/"
    path = next(path for path in list_files(_PRESIDIO, under) if path.endswith(f"/{name}_recognizer.py"))
    words = re.search(r"(?s)CONTEXT\s*=\s*\[\s*[\"']([^\"']+)", read(_PRESIDIO, path))
    return words[1] if words else name


def _read_cases(call: ast.Call) -> Iterator[tuple[str, int]]:
    try:
        names = [part.strip() for part in ast.literal_eval(call.args[0]).split(",")]
        place = next(names.index(name) for name in ("expected_len", "expected_count") if name in names)
        for row in ast.literal_eval(call.args[1]):
            yield str(row[0]), int(row[place])
    except (AttributeError, StopIteration, TypeError, ValueError):
        return  # parametrized over something else


def has_any_secret_word(case: Case) -> bool:
    """Return whether a long run of letters and digits follows a word for keys: the usual one-line check."""
    return bool(
        re.search(
            r"(?i)(?:key|token|secret|password)\W{1,5}[A-Za-z0-9_\-]{16,}|AKIA[0-9A-Z]{16}", case.output
        )
    )


def has_any_number(case: Case) -> bool:
    """Return whether there is an address, or what looks like a North American number, SSN or card."""
    pattern = r"[\w.+-]+@[\w-]+\.\w+|\+?\d[\d ()-]{8,}\d|\b\d{3}-\d{2}-\d{4}\b|\b(?:\d[ -]?){13,16}\b"
    return bool(re.search(pattern, case.output))


SETS = (
    CaseSet("TruffleHog's tests", ("secret",), "those tests", make_secrets, has_any_secret_word),
    CaseSet("Gitleaks' tests", ("secret",), "those tests", make_gitleaks, has_any_secret_word),
    CaseSet("Nosey Parker's rules", ("secret",), "those rules", make_noseyparker, has_any_secret_word),
    CaseSet("Presidio's tests", ("personal_data",), "those tests", make_presidio, has_any_number),
    CaseSet("libphonenumber's examples", ("personal_data",), "a number each", make_phones, has_any_number),
    CaseSet("clean answers", ("personal_data",), "none", make_strong, has_any_number),
)
