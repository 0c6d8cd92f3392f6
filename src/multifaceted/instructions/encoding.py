"""The encoding of a text file: UTF-8 unless it says, or plainly is, something else.

Example:
    find_encoding(Path("pool.csv"))     # "cp1252", with a warning that names it
"""

import codecs
import logging
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import charset_normalizer

logger = logging.getLogger(__name__)

UTF8 = "utf-8"
_CHUNK = 1 << 20
_SAMPLE = 1 << 18  # bytes of lines that are not UTF-8, by which another encoding is told
_HEAD = 4096
_MANY = 0.3  # of bytes at even or odd places that are NUL, in UTF-16 without a mark
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people's files are in. More of them would only be more ways to be wrong about short texts.
_LIKELY = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "shift_jis", "euc_jp"),
    *("gb18030", "big5", "cp949", "mac_roman"),
]
_FIRST_HIGH = 0x80
_LEAST = 3  # bytes beyond ASCII by which an encoding can be told
# What only Central Europe's letters make of cp1250: S and Z with a caron, signs in the middle of a word, and
# the double accents of Hungarian without the tilde of Portuguese.
_CENTRAL = re.compile(
    rb"[\x8a\x8e\x9a\x9e]|[a-z\xe0-\xff][\xb3\xb9\xba\xbf\x9f][a-z\xe0-\xff]|\A[^\xe3\xe7]*[\xf5\xfb][^\xe3\xe7]*\Z"
)
_KANA = re.compile(r"[\u3040-\u30ff]")


def find_encoding(path: Path) -> str:
    """Name the encoding of a text file, as Python names it.

    A file in UTF-8 with a few faulty lines is UTF-8: these lines are broken. Where most lines with other
    letters than ASCII's are not UTF-8, the file is in an older encoding, and a warning says which.

    Raises:
        OSError: where it cannot be read.
    """
    found = path.stat()
    return _find_encoding(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)  # a pool is read more than once, and the warning is worth saying once
def _find_encoding(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    encoding = _read_mark(head) or (UTF8 if _is_utf8(path) else _guess(path))
    if not encoding.startswith(UTF8):
        logger.warning("%s is read as %s; save it as UTF-8 if that is wrong", path, encoding)
    return encoding


def _read_mark(head: bytes) -> str:
    """Return what the first bytes say; empty where they say nothing."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[start::2].count(0) > _MANY * len(head) / 2 and head[1 - start :: 2].count(0) == 0:
            return name
    return ""


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder(UTF8)()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guess(path: Path) -> str:
    sound, faulty, sample = 0, 0, bytearray()
    for line in _other_lines(path):
        try:
            line.decode(UTF8)
            sound += 1
        except UnicodeDecodeError:
            faulty += 1
            if len(sample) < _SAMPLE:
                sample += line
    if sound >= faulty or sum(byte >= _FIRST_HIGH for byte in sample) < _LEAST:
        return UTF8
    best = charset_normalizer.from_bytes(bytes(sample), cp_isolation=_LIKELY).best()
    return _tell_alike(bytes(sample), best.encoding) if best else UTF8


def _tell_alike(sample: bytes, guessed: str) -> str:
    """Settle what short texts are often taken for: Central Europe's for Western, Korean for Japanese."""
    if guessed == "cp1250" and not _CENTRAL.search(sample):
        return "cp1252"
    if guessed in ("cp949", "gb18030", "big5"):
        text = sample.decode("euc_jp", "replace")
        kana = len(_KANA.findall(text))
        if "\ufffd" not in text and kana > _MANY * sum(not sign.isascii() for sign in text):
            return "euc_jp"
    return guessed


def _other_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if not line.isascii())
