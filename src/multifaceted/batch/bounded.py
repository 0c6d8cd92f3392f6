"""A bound on what is read of any answer, before it is in memory or on disk, and on where requests go.

Example:
    bound = Bound(sdk)
    with bound.at_most(2**30):           # else MAX_ANSWER
        await sdk.files.with_streaming_response.content(file_id)

It stands at the HTTP client below the SDK, so that it holds for answers of every kind, refusals too, and
unpacks them itself: the client's own decoders turn 2 MB of gzip into gigabytes at once.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx2
from openai import AsyncOpenAI

from multifaceted.errors import TransientEndpointError

# Bytes of one that is not a file; a page of a hundred batches has a few hundred thousand
MAX_ANSWER = 8 * 2**20
PIECE = 2**20  # bytes unpacked at a time
PLAIN, PACKED = ("", "identity"), ("gzip", "x-gzip", "deflate")
GZIP_OR_ZLIB = 47  # zlib finds out which it is


class TooLargeError(TransientEndpointError):
    """An answer goes on beyond its bound."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer is larger than {most / 2**20:,.0f} MiB", kind="garbage")


class Bound:
    """Bounds every answer that a client gets from now on."""

    def __init__(self, sdk: AsyncOpenAI) -> None:
        self._most = MAX_ANSWER
        client = sdk._client  # the SDK reads refusals whole, and has no setting that bounds them
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks["request"], _ask_for_gzip],
            "response": [*hooks["response"], self._apply],
        }

    @contextmanager
    def at_most(self, size: int) -> Iterator[None]:
        """Let answers be as large as this, in bytes, for as long as the block lasts."""
        self._most, before = size, self._most
        try:
            yield
        finally:
            self._most = before

    async def _apply(self, response: httpx2.Response) -> None:
        if response.has_redirect_location and not keeps_origin(response):
            # Keys in headers of one's own, and what is asked, go to nobody else.
            del response.headers["location"]
        coding = response.headers.pop("content-encoding", "").strip().lower()
        if coding not in (*PLAIN, *PACKED):
            message = f"the answer is packed as {coding!r}, which was not asked for"
            raise TransientEndpointError(message, kind="garbage")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            most = self._most if response.is_success else MAX_ANSWER
            response.stream = _BoundedStream(response.stream, most, packed=coding in PACKED)


def keeps_origin(response: httpx2.Response) -> bool:
    """Return whether a redirect leads to the same scheme, host and port as the request."""
    asked = response.request.url
    try:
        target = asked.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        return False
    return (target.scheme, target.host, target.port, target.userinfo) == (
        *(asked.scheme, asked.host, asked.port),
        b"",
    )


async def _ask_for_gzip(request: httpx2.Request) -> None:
    request.headers["accept-encoding"] = "gzip"  # what is unpacked here


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int, *, packed: bool) -> None:
        self._stream, self._most = stream, most
        self._unpacker = _Unpacker() if packed else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for received in self._stream:
            for piece in self._unpacker.unpack(received) if self._unpacker else (received,):
                left -= len(piece)
                if left < 0:
                    raise TooLargeError(self._most)
                yield piece
        if self._unpacker is not None and not self._unpacker.is_whole:
            raise TransientEndpointError("the answer breaks off", kind="connection")

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Unpacker:
    """Unpacks gzip, several members after each other included, never much at a time."""

    def __init__(self) -> None:
        self.is_whole = True
        self._member = zlib.decompressobj(GZIP_OR_ZLIB)

    def unpack(self, received: bytes) -> Iterator[bytes]:
        try:
            while received:
                if self._member.eof:
                    self._member = zlib.decompressobj(GZIP_OR_ZLIB)
                yield self._member.decompress(received, PIECE)
                received = self._member.unconsumed_tail or self._member.unused_data
                self.is_whole = self._member.eof
        except zlib.error as error:
            raise TransientEndpointError(f"the answer cannot be unpacked: {error}", kind="garbage") from error
