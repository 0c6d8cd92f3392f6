"""Bodies of answers, whatever they hold and however they come in pieces."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multifaceted.chat.content import MAX_MEMBERS, MAX_REFUSAL, MAX_REPLY, Content
from multifaceted.errors import TransientEndpointError

LABELS = st.sampled_from(["", "gzip", "deflate", "br", "identity", "gzip, gzip", "UTF-8"])
TYPES = st.sampled_from(["", "application/json", "text/html; charset=latin-1", "text/plain; charset=utf-16"])


def read(
    content: bytes,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    cuts: Sequence[int] = (),
    status: int = 200,
) -> str:
    whole = Content(status, headers, source="http://a.example")
    for start, end in pairwise(sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})):
        if not whole.feed(content[start:end]):
            break
    return whole.text()


@given(text=st.text(), cuts=st.lists(st.integers(0, 1000)), packed=st.booleans(), label=LABELS)
def test_a_reply_comes_out_as_it_was_written_in_whatever_pieces_it_comes(
    text: str, cuts: list[int], packed: bool, label: str
) -> None:
    text = f'{{"text": "{text}"}}'
    content = gzip.compress(text.encode()) if packed else text.encode()
    assert read(content, {"content-encoding": label}, cuts=cuts) == text


@given(
    content=st.binary() | st.binary().map(gzip.compress) | st.binary().map(zlib.compress),
    noise=st.binary(max_size=9),
    cuts=st.lists(st.integers(0, 1000)),
    headers=st.fixed_dictionaries({"content-encoding": LABELS, "content-type": TYPES}),
)
def test_no_bytes_are_an_error_but_those_of_a_reply_that_cannot_be_unpacked(
    content: bytes, noise: bytes, cuts: list[int], headers: dict[str, str]
) -> None:
    read(content + noise, headers, cuts=cuts, status=500)
    with suppress(TransientEndpointError):
        read(content + noise, headers, cuts=cuts)


def test_a_refusal_is_cut_and_a_reply_is_not() -> None:
    assert read(b"x" * (MAX_REFUSAL + 9), status=500) == "x" * MAX_REFUSAL
    assert len(read(b"x" * MAX_REPLY)) == MAX_REPLY
    with pytest.raises(
        TransientEndpointError, match="longer than 16 MiB; 16,777,217 bytes were read, 16,777,226"
    ):
        read(b"x" * (MAX_REPLY + 10))


def test_packed_bytes_that_unpack_to_nothing_have_a_bound_too() -> None:
    nothing = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    start = nothing.compress(b"") + nothing.flush(zlib.Z_FULL_FLUSH)
    whole = Content(200, {}, source="http://a.example")
    assert whole.feed(start)
    with pytest.raises(TransientEndpointError, match="0 bytes were read"):
        whole.feed(b"\x00\x00\x00\xff\xff" * (MAX_REPLY // 5 + 1))


def test_only_so_many_streams_follow_one_another() -> None:
    assert read(gzip.compress(b"x") * (MAX_MEMBERS + 5)) == "x" * MAX_MEMBERS
