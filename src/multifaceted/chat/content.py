"""The body of an answer, as text: read to a bound, unpacked, decoded.

    content = Content(status, headers, source="http://127.0.0.1:8000/v1/chat/completions")
    async for chunk in chunks:
        if not content.feed(chunk):
            break                                   # enough of it; close the connection
    text = content.text()

Servers and the proxies before them are wrong about their bodies: gzip that no header tells of, a header that
tells of gzip where there is none, UTF-8 labelled as Latin-1. So the bytes decide, and headers only where the
bytes leave it open. A reply that is paid for is never dropped because of an odd byte.
"""

import codecs
import json
import re
import zlib
from collections.abc import Mapping

from multifaceted.errors import TransientEndpointError

# Bytes of a reply, unpacked. 128,000 tokens of text and as much reasoning, all of it escaped, are 2 MiB; many
# replies are read at the same time.
MAX_REPLY = 16 * 2**20
MAX_REFUSAL = 2**20  # bytes of any other answer; the rest of it is not read
ACCEPTED = "gzip, deflate"  # what is asked for; others would need further libraries
MAX_MEMBERS = 64  # gzip streams one after the other in one body
_GZIP_MAGIC = b"\x1f\x8b"
_SUCCESS = range(200, 300)
_PLAIN = ("", "identity")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.ASCII | re.IGNORECASE)
# Encodings that a body may be labelled with, as Python names them; each is read in one pass.
_CHARSETS = frozenset(
    {
        *("iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251", "cp1252", "koi8-r"),
        *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949"),
    }
)


class Content:
    """The body of one answer.

    Args:
        status: of the answer.
        headers: of the answer.
        source: where it is from, for messages.
    """

    def __init__(self, status: int, headers: Mapping[str, str], *, source: str) -> None:
        self._whole = status in _SUCCESS  # of a refusal the beginning is enough
        self._most = MAX_REPLY if self._whole else MAX_REFUSAL
        self._encoding = headers.get("content-encoding", "").strip().lower()
        self._type = headers.get("content-type", "")
        self._source = f"HTTP {status} from {source}"
        self._received = 0  # bytes, as they came
        self._plain = bytearray()
        self._head = b""  # too short to tell what it is
        self._unpacker: _Unpacker | None = None

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes; False where there is no need for more.

        Raises:
            TransientEndpointError: of kind garbage, where a reply is too long or cannot be unpacked.
        """
        self._received += len(chunk)
        if self._unpacker is None:
            chunk = self._head + chunk
            if len(chunk) < len(_GZIP_MAGIC):
                self._head = chunk
                return True
            self._head, self._unpacker = b"", _choose_unpacker(chunk, self._encoding)
        try:
            self._plain += self._unpacker.unpack(chunk, self._most + 1 - len(self._plain))
        except zlib.error as error:
            self._complain(f"cannot be unpacked after {len(self._plain):,} bytes: {error}")
            return False
        if max(len(self._plain), self._received) <= self._most:
            return not self._unpacker.ended
        read = f"{len(self._plain):,} bytes were read, {self._received:,} as they were sent"
        self._complain(f"is longer than {self._most / 2**20:.0f} MiB; {read}")
        del self._plain[self._most :]
        return False

    def text(self) -> str:
        """Return what was read.

        Raises:
            TransientEndpointError: of kind garbage, where a reply is packed in a way that nobody asked for.
        """
        content = bytes(self._plain) + self._head
        guess = json.detect_encoding(content)
        if guess.startswith(("utf-16", "utf-32")):
            return content.decode(guess, "replace")
        try:
            return content.decode(guess)
        except UnicodeDecodeError:
            if self._encoding not in _PLAIN and type(self._unpacker) is _Unpacker:
                self._complain(f"is packed as {self._encoding[:40]!r}, which was not asked for")
        return content.decode(_find_codec(self._type), "replace")

    def is_complete(self) -> bool:
        """Whether a reply is there though the connection broke: its length was wrong, or its end was lost."""
        try:
            return self._whole and isinstance(json.loads(self.text()), dict)
        except (ValueError, RecursionError, TransientEndpointError):
            return False

    def _complain(self, what: str) -> None:
        """Raise where it matters: a refusal is one, whatever is wrong with its body."""
        if self._whole:
            raise TransientEndpointError(f"{self._source}: the body {what}", kind="garbage")


class _Unpacker:
    """Bytes that are not packed."""

    ended = False  # whether nothing that follows belongs to the body

    def unpack(self, data: bytes, most: int) -> bytes:
        """At most so many bytes of what is in `data`; what is left of it is dropped."""
        return data[:most]


class _Inflater(_Unpacker):
    """Gzip, one stream after the other, or deflate."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._members = 1

    def unpack(self, data: bytes, most: int) -> bytes:
        """Return the same, unpacked."""
        plain = b""
        while data and len(plain) < most and not self.ended:
            if self._stream.eof:
                self._members += 1
                self.ended = self._members > MAX_MEMBERS or data[0] != _GZIP_MAGIC[0]
                self._stream = zlib.decompressobj(self._window)
                continue
            plain += self._stream.decompress(data, most - len(plain))
            data = self._stream.unused_data
        return plain


def _choose_unpacker(start: bytes, encoding: str) -> _Unpacker:
    if start.startswith(_GZIP_MAGIC):
        return _Inflater(zlib.MAX_WBITS | 16)
    if encoding != "deflate" or start.lstrip()[:1] in b'{["<':
        return _Unpacker()
    # RFC 9110 means the zlib format; some servers send the bare stream.
    is_zlib = start[0] & 0x0F == zlib.DEFLATED and (start[0] << 8 | start[1]) % 31 == 0
    return _Inflater(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def _find_codec(content_type: str) -> str:
    """Return the encoding that a label names, for bytes that are not UTF-8."""
    label = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(label[1]).name if label else ""
    except LookupError:
        name = ""
    return name if name in _CHARSETS else "utf-8"
