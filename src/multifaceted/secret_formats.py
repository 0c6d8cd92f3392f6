# ruff: noqa: E501 - formats, one after the other
"""What secrets look like: keys as their issuers make them, and values that are assigned to a name for one.

    find_secrets("export STRIPE_KEY=sk_live_4eC39Hq…")     # [Secret("a key", 18, 50)]

Formats are public: those of issuers' documentation and of the tests of Gitleaks, TruffleHog and detect-secrets.
What stands for a secret in a text about secrets (`sk-xxxx…`, `your-api-key`, `AKIAIOSFODNN7EXAMPLE`) is none.
"""

import math
import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

_W, _B = "[A-Za-z0-9_-]", "[A-Za-z0-9]"
# By how they begin. Rust's `regex` and Python's read these alike.
_PREFIXED = (
    rf"sk-(?:proj-|ant-(?:api|admin)\d\d-|or-v1-|lf-|svcacct-|admin-)?{_W}{{32,}}|sk_[A-Za-z0-9]{{40,}}|hf_{_B}{{30,}}|api_org_{_B}{{30,}}"
    rf"|gh[pousr]_{_B}{{36,}}|github_pat_\w{{40,}}|gl(?:pat|dt|rt|cbt|ptt|soat|imt|ffct|agent|oas)-{_W}{{20,}}|GR1348941{_W}{{20}}"
    rf"|A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{{16}}|AIza{_W}{{35}}(?!{_W})|ya29\.{_W}{{30,}}|GOCSPX-{_W}{{28}}|gsk_{_B}{{40,}}|xai-{_B}{{40,}}|nvapi-{_W}{{40,}}"
    rf"|pplx-{_B}{{40,}}|r8_{_B}{{37}}|(?:[sr]k|pk)_(?:live|test|prod)_{_B}{{20,}}|whsec_{_B}{{24,}}|xox[abeposr](?:\.xox\w)?-{_W}{{20,}}|xapp-\d-{_W}{{20,}}"
    rf"|npm_{_B}{{36}}|pypi-{_W}{{50,}}|wandb_v1_\w{{30,}}|rubygems_[0-9a-f]{{48}}|CLOJARS_{_B}{{60}}|SG\.{_W}{{20,24}}\.{_W}{{39,50}}"
    rf"|shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{{32}}|do[por]_v1_[0-9a-f]{{64}}|dapi[0-9a-f]{{32}}|fig[duo]r?_{_W}{{38,}}|lin_(?:api|oauth)_{_B}{{30,}}"
    rf"|ntn_{_B}{{40,}}|secret_{_B}{{43}}|pscale_(?:tkn|pw|oauth|api)_[\w.=-]{{32,}}|PMA[KT]-[0-9a-f]{{24}}-[0-9a-f]{{34}}|sq0(?:atp|csp|idp)-{_W}{{22,}}"
    rf"|EAAA{_W}{{56,}}|EAA[A-Za-z]{_B}{{90,}}|key-[0-9a-f]{{32}}|[0-9a-f]{{32}}-us\d{{1,2}}|(?:AC|SK)[0-9a-f]{{32}}|\d{{8,10}}:AA{_W}{{32,33}}"
    rf"|[MNO]{_B}{{23,27}}\.{_W}{{6}}\.{_W}{{27,}}|hv[sbr]\.{_W}{{24,}}|dckr_(?:pat|oat)_{_W}{{27,}}|{_B}{{14}}\.atlasv1\.{_W}{{60,}}"
    rf"|gl(?:c|sa)_[\w=+/]{{32,}}|NR(?:AK|JS|II|AA|IQ|RA)-{_W}{{19,}}|sntry[su]_[\w=+/]{{40,}}|AT(?:ATT|CTT|BB)3?{_W}{{20,}}(?:=[0-9A-F]{{8}})?|xkeysib-{_W}{{60,}}"
    rf"|AGE-SECRET-KEY-1[0-9A-Z]{{58}}|LTAI{_B}{{16,20}}|AKID{_B}{{32}}|p8e-{_W}{{32}}|ops_eyJ[\w+/=-]{{100,}}|A3-[0-9A-Z]{{6}}-(?:[0-9A-Z]{{5,11}}-?){{3,5}}"
    rf"|sgp_(?:local_|[0-9a-fA-F]{{16}}_)?[0-9a-fA-F]{{40}}|[\w.~-]{{3}}\dQ~[\w.~-]{{31,34}}|sha256~{_W}{{40,}}|fio-u-{_W}{{64}}|fo1_{_W}{{43}}|fm[12][ar]?_[\w+/=-]{{60,}}"
    rf"|lsv2_(?:pt|sk)_[0-9a-f]{{32}}_[0-9a-f]{{10}}|pat{_B}{{14}}\.[0-9a-f]{{64}}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{{40,}}|dt0[a-z]\d\d\.{_B}{{24}}\.{_B}{{64}}"
    rf"|EZ[AT]K{_B}{{54,}}|FLW(?:SEC|PUB)K(?:_TEST)?-[0-9a-hA-H]{{12,32}}|ico-{_B}{{32}}|s-s4t2(?:ud|af)-[0-9a-f]{{64}}|access-(?:sandbox|development|production)-[0-9a-f-]{{36}}"
    rf"|pnu_{_B}{{36}}|pul-[0-9a-f]{{40}}|rdme_{_B}{{70}}|tk-us-{_W}{{48}}|shippo_(?:live|test)_[0-9a-f]{{40}}|sbp_[0-9a-f]{{40}}|tskey-{_W}{{20,}}|tfp_{_W}{{40,}}"
    rf"|CFPAT-{_W}{{43}}|ddp_{_B}{{36}}|[sp]k\.eyJ{_W}{{20,}}\.{_W}{{20,}}|ramp_(?:sec|id)_{_B}{{40,}}|duffel_(?:test|live)_{_W}{{43}}|AQ(?:VN|AA){_W}{{35,}}"
    rf"|v1\.0-[0-9a-f]{{24}}-[0-9a-f]{{100,}}|bkua_[0-9a-f]{{40}}|CCIPAT_{_B}{{20,}}_[0-9a-f]{{40}}|phc_{_B}{{40,}}|phx_{_B}{{40,}}|rnd_{_B}{{32}}|ubi_{_B}{{30,}}"
    rf"|\d{{15,16}}\|{_W}{{27}}|nf[pcou]_{_B}{{36}}|cio_?{_B}{{30,}}|eyJ{_W}{{10,}}\.eyJ{_W}{{10,}}\.{_W}{{10,}}|live_{_B}{{35,}}|sk_{_B}{{32}}\b|rpa_{_B}{{40,}}|co_api_{_W}{{30,}}|fw_{_B}{{20,}}"
    rf"|tgp_v1_{_W}{{40,}}|jina_[0-9a-f]{{32}}\w{{20,}}|pcsk_\w{{40,}}|re_{_B}{{8,10}}_{_B}{{20,}}|cfut_{_B}{{40,}}|xpka_\w{{30,}}|zpka_\w{{40,}}|aio_{_B}{{28}}|00D{_B}{{12,15}}![\w.]{{80,}}|[0-9a-f]{{32,36}}(?:FFFF)?NRAL"
    rf"|AKCp{_B}{{69,}}|cmVmdGtu{_B}{{56}}|ABSK{_W}{{109,}}|4b1d{_B}{{38}}\b|dnkey-{_W}{{26}}-{_W}{{52}}|sl\.{_W}{{130,}}|[ps]at\.{_B}{{22}}\.[0-9a-f]{{24}}\.{_B}{{20}}"
    rf"|HRKU-{_W}{{40,}}|{_B}{{6}}_{_B}{{29}}_mmk|API-[A-Z0-9]{{26}}\b|sm_[aps]at_{_B}{{16,}}|sq[upa]_{_B}{{40}}|(?:sc|ext|scauth|authress)_[a-z0-9]{{5,30}}\.[a-z0-9]{{4,6}}\.acc[_-]{_W}{{10,32}}\.[\w+/=-]{{30,}}"
    rf"|ZXlK{_W}{{100,}}|sntrys_eyJ[\w+/=]{{80,}}|gl(?:wt|rtr)-{_W}{{20,}}|_gitlab_session=[0-9a-z]{{32}}|odt_{_B}{{32,}}|oy2[a-z0-9]{{43}}\b|hawk\.{_W}{{20}}\.{_W}{{20}}|tvly-{_W}{{20,}}|1//0{_W}{{40,}}|da2-[a-z0-9]{{26}}\b"
    rf"|fc-[0-9a-f]{{32}}\b|amzn\.mws\.[0-9a-f]{{8}}-[0-9a-f-]{{27}}|LS0tLS1CRUdJTi[\w+/]{{60,}}|AQE[A-Z]{_W}{{100,}}|secret-token:{_W}{{20,}}|oauth:[a-z0-9]{{30}}\b|eyJrIjoi[\w+/]{{60,}}={{0,2}}|[sb]\.{_B}{{24}}\b"
    rf"|[\w+/]{{33,84}}(?:\+ASt|\+ACR|\+ARm|AzCa|AIoT|ACDb|AzSe|AzFu|AZDO|AAAAC|JQQJ99)[\w+/]{{4,}}={{0,2}}"
)
# With at least a line of the key: answers show the frame alone.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?=(?:[^-]|-(?!----)){0,300}?[A-Za-z0-9+/]{12})"
)
# Passwords in addresses and headers, and what is assigned to a name for a secret.
_IN_ADDRESS = r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@'\"<>{}$()]{1,60}:([^\s/'\"<>{}$()]{5,80})@[\w.-]"
_IN_HEADER = r"(?i:\b(?:bearer|basic|token|ssws|oauth|apikey)\s+)([A-Za-z0-9_\-+/=.~]{20,200})"
_IN_COMMAND = r"\s(?:-u|--user)\s{0,3}['\"]?[^\s:'\"$<>]{0,100}['\"]?:['\"]?([^\s'\"$<>]{5,80})"
_IN_SENT_HEADER = (
    r"(?:-H|--header)\s{0,3}['\"](?i:[\w-]{0,30}(?:auth|key|token|secret)[\w-]{0,20})\s?:\s{0,3}"
    r"(?:(?i:bearer|basic|token)\s+)?([^\s'\"$<>{}]{8,200})"
)
_IN_CONNECTION = r"(?i:;\s?(?:password|pwd)\s?=\s?)([^;'\"\s$<>{}]{5,80})(?=[;'\"])"
_IN_OPTION = r"\s--?(?i:[\w-]{0,30}(?:key|token|secret))\s{1,3}['\"]?([A-Za-z0-9_\-+/=.~]{16,200})"
_IN_HOOK = r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|outlook\.office(?:365)?\.com/webhook(?:b2)?|hooks\.zapier\.com/hooks/catch|webhook\.office\.com/webhookb2)/([\w/@-]{30,200})"
_ASSIGNED = re.compile(
    r"(?P<name>(?<![\w.-])(?i:[\w.-]{0,60}(?:key|token|secret|passwd|password|passphrase|pwd|credential|api_?id|auth|license|login|crumb|reporter_id|\bpat|_pat)[\w.-]{0,30}))['\"]?[\])]?[ \t]{0,20}(?:=>|:=|=|:|,|>|\|\||\((?=['\"])|\s+value=)\s{0,20}\\?['\"`]{0,2}"
    r"(?P<value>[A-Za-z0-9_\-+/=.~!@#%^&*]{16,200})"
)
_BESIDE = r"(?i:\b(?:key|token|secret)s?(?:\s\d{1,2})?:?\s(?:is\s)?)([A-Za-z0-9+/]{20,200}={0,2})(?![\w.-])"
# Names of what lies beside a secret, or is public.
_NO_SECRET_NAME = re.compile(
    r"(?i)(?<!api)(?<!api_)(?<!client)(?<!client_)(?<!reporter_)(?:id|ids|name|url|uri|file|path|length|type|size|distance|count|version|format|board|words?|frame\w*|store)$"
    r"|public|csrf|authenticity|keyframe|tokeni[sz]|keyboard|^author|monkey|keyword"
)
_HOST = re.compile(r"\.(?:com|net|org|io|dev|app|pem|crt|json|ya?ml|txt|py|js|ts)\b")
# In Rust's syntax, what any secret has: letters between digits, or the place of a password.
NEAR = (
    r"[0-9][_~+/=.|-]*[A-Za-z][A-Za-z_~+/=.|-]*[0-9]|://[^\s/:@]{1,60}:[^\s/]{5,80}@"
    r"|\s(?:-u|--user)\s|PRIVATE KEY|[A-Za-z]{2}[0-9]+[A-Za-z]{2}"
)
# One of these stands beside what has no form of its own.
_NAMES_ONE = re.compile(
    r"(?i)key|token|secret|passw|passphrase|pwd|credential|auth|license|login|crumb|reporter_id|pat\b|bearer|basic |ssws |api.?id|webhook|hooks\.|://|\s-u\s|--user"
)
_LONG_RUN = re.compile(r"[A-Za-z0-9_~.+/=|:!-]{16,}")
_TOKEN = re.compile(rf"(?<![\w+.])(?:{_PREFIXED})")
_PLACEHOLDER = re.compile(
    r"(?i)(?:(.)\1{4,}|your|example|sample|dummy|placeholder|changeme|change_me|redacted|insert|replace|my[-_]?(?:api|secret|token|key|pass)|test[-_]?(?:key|token|secret)"
    r"|<|\.\.\.|\*\*\*|fake|abcdefg|bcdefgh|12345678|23456789|qwerty|abc123|foobar|todo|xxxx|process\.env|os\.environ|getenv|config\.|self\.|this\.|request\.|\$\{)"
)
# What examples have for a password.
_ORDINARY = re.compile(
    r"(?i)(?:my|your|the|db)?[-_]?(?:password|passwd|pass|pwd|secret|token|user(?:name)?|admin|root|postgres|guest|test|login"
    r"|key|credentials?|changeit|letmein|strong)[-_]?(?:password|pass)?[-_]?(?:here|\d{0,4})!?"
)
_DIGITS = re.compile(r"\d+")
_LEAST_GROUPS = 2  # of digits
_LEAST_CHANGES = 0.3  # between capitals, small letters and digits, a character; names have fewer
_LEAST_ENTROPY = 3.3  # bits a character, of what is only known by the name it is assigned to
_LEAST_OF_FORMAT = 1.5
_LEAST_OF_PASSWORD = 2.0
_OTHER = (
    (re.compile(_IN_ADDRESS), "a password in an address", _LEAST_OF_PASSWORD),
    (re.compile(_IN_COMMAND), "a password in a command", _LEAST_OF_PASSWORD),
    (re.compile(_IN_HOOK), "the address of a webhook", _LEAST_OF_PASSWORD),
    (re.compile(_IN_SENT_HEADER), "a token in a header", _LEAST_OF_PASSWORD),
    (re.compile(_IN_CONNECTION), "a password in a connection string", _LEAST_OF_PASSWORD),
    (re.compile(_IN_OPTION), "a key in a command", _LEAST_ENTROPY),
    (re.compile(_BESIDE), "a key behind its name", _LEAST_ENTROPY),
    (re.compile(_IN_HEADER), "a token in a header", _LEAST_ENTROPY),
    (_ASSIGNED, "an assigned secret", _LEAST_ENTROPY),
)


class Secret(NamedTuple):
    """Where one stands."""

    kind: str
    start: int
    end: int


def find_secrets(text: str, *, assigned: bool = True) -> list[Secret]:
    """Find what looks like a secret and is no placeholder, in the order of the text.

    Args:
        text: any text.
        assigned: also what nothing but the name beside it makes one. JSON of our own has hashes under such names.
    """
    found = [Secret("a key", *match.span()) for match in _PEM.finditer(text)]
    for run in _LONG_RUN.finditer(text):
        if _DIGITS.search(run[0]):
            found += [
                Secret("a key", run.start() + match.start(), run.start() + match.end())
                for match in _TOKEN.finditer(run[0])
                if _DIGITS.search(match[0]) and is_made(match[0], _LEAST_OF_FORMAT)
            ]
    assigned = assigned and _NAMES_ONE.search(text) is not None
    for pattern, kind, least in _OTHER if assigned else ():
        for match in pattern.finditer(text):
            if pattern is _ASSIGNED and (
                _NO_SECRET_NAME.search(match["name"]) or _HOST.search(match["value"])
            ):
                continue
            if is_made(match[match.lastindex or 0], least) and (
                least < _LEAST_ENTROPY or _is_random(match[match.lastindex or 0])
            ):
                found.append(Secret(kind, *match.span(match.lastindex or 0)))
    return sorted(found, key=lambda secret: secret.start)


def is_token(text: str) -> bool:
    """Return whether a text holds a key, by its form alone."""
    return bool(_TOKEN.search(text) or _PEM.search(text))


def is_made(value: str, least: float) -> bool:
    """Return whether a value can be a real one: no placeholder, and random enough, in bits a character."""
    if _PLACEHOLDER.search(value) or _ORDINARY.fullmatch(value.strip("[](){}*")):
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= least


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed: `struct_X509_key` is a name, with digits in one place."""
    groups = len(_DIGITS.findall(value))
    changes = sum(_find_class(one) != _find_class(other) for one, other in pairwise(value))
    mixed = groups >= _LEAST_GROUPS or (groups and changes >= len(value) * _LEAST_CHANGES)
    return bool(mixed and re.search(r"[A-Za-z]", value))


def _find_class(character: str) -> int:
    return 2 if character.isdigit() else int(character.isupper())
