"""Content codings: there and back, in any pieces, and never more at once than was agreed."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.limits import KIB, MIB
from mynet.middleware import codings
from mynet.middleware.codings import (
    LEVELS,
    PIECE,
    NotEncoded,
    available,
    check_level,
    decoder,
    encode_whole,
    encoder,
)

ALL = list(LEVELS)


def encoded(coding: str, data: bytes) -> bytes:
    encodes = encoder(coding, LEVELS[coding])
    return encodes.encode(data) + encodes.finish()


def decoded(coding: str, *pieces: bytes) -> bytes:
    decodes = decoder(coding)
    data = b"".join(part for piece in pieces for part in decodes.decode(piece))
    decodes.finish()
    return data


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_all_are_available():
    """With the libraries of the extra `compress` there are all of them."""
    assert available() == ("zstd", "br", "gzip", "deflate")


@given(
    coding=st.sampled_from(ALL),
    data=st.binary(max_size=300) | st.text("ab", max_size=300).map(str.encode),
)
def test_there_and_back(coding, data):
    """What is encoded is decoded, whole and byte by byte."""
    whole = encoded(coding, data)
    assert decoded(coding, whole) == data
    assert decoded(coding, *bytewise(whole)) == data
    assert decoded(coding, encode_whole(data, coding, 1)) == data


@pytest.mark.parametrize("coding", ALL)
def test_flushed(coding):
    """What is flushed can be decoded to its last byte before anything follows."""
    encodes, decodes = encoder(coding, 1), decoder(coding)
    for event in (b"data: one\n\n", b"data: two\n\n"):
        piece = encodes.encode(event) + encodes.flush()
        assert b"".join(decodes.decode(piece)) == event
    assert b"".join(decodes.decode(encodes.finish())) == b""
    decodes.finish()


@pytest.mark.parametrize("coding", ALL)
def test_bomb(coding):
    """A few bytes that mean many megabytes are decoded in pieces, one at a time."""
    bomb = encoded(coding, bytes(20 * MIB))
    assert len(bomb) < 64 * KIB
    sizes = list(map(len, decoder(coding).decode(bomb)))
    assert sum(sizes) == 20 * MIB
    assert max(sizes) < 2 * PIECE


@pytest.mark.parametrize("coding", ALL)
def test_cut_off(coding):
    """What ends early is told from what is whole, wherever it ends."""
    whole = encoded(coding, b"some text, some text" * 10)
    for end in range(1, len(whole)):
        with pytest.raises(NotEncoded):
            decoded(coding, whole[:end])


@pytest.mark.parametrize("coding", ALL)
def test_empty(coding):
    """Nothing at all is nothing, in any coding."""
    assert decoded(coding) == b""


@pytest.mark.parametrize("coding", ALL)
def test_something_behind_it(coding):
    """What follows the end, and is not encoded, is no part of it and an error."""
    with pytest.raises(NotEncoded):
        decoded(coding, encoded(coding, b"text") + b"more")
    with pytest.raises(NotEncoded):
        decoded(coding, encoded(coding, b"text"), b"more")


@given(coding=st.sampled_from(ALL), data=st.binary(min_size=1, max_size=100))
def test_nonsense(coding, data):
    """Whatever comes is decoded, or said not to be in that coding; there is no other error."""
    with suppress(NotEncoded):
        assert isinstance(decoded(coding, data), bytes)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_several_in_a_row(coding):
    """Files in these codings may be put one behind the other, and mean all of them."""
    both = encoded(coding, b"one, ") + encoded(coding, b"two")
    assert decoded(coding, both) == decoded(coding, *bytewise(both)) == b"one, two"


def test_deflate_without_its_frame():
    """Some clients send deflate without zlib's frame around it: that is understood."""
    compressor = zlib.compressobj(wbits=-15)
    raw = compressor.compress(b"some text") + compressor.flush()
    assert decoded("deflate", raw) == decoded("deflate", *bytewise(raw)) == b"some text"


def test_others_understand_it():
    """What is encoded here, Python's own modules decode."""
    assert gzip.decompress(encoded("gzip", b"some text")) == b"some text"
    assert zlib.decompress(encoded("deflate", b"some text")) == b"some text"


def test_large_windows_are_refused():
    """A frame of zstd that has its decoder hold much memory is not taken (RFC 9659)."""
    frame = b"\x28\xb5\x2f\xfd\x00\x90" + b"\x01\x00\x00"  # a window of 256 MiB
    with pytest.raises(NotEncoded, match="memory"):
        decoded("zstd", frame)


def test_levels():
    """A level that is none, and a coding that nobody knows, are told when they are chosen."""
    for coding, hardest in {"zstd": 19, "br": 11, "gzip": 9, "deflate": 9}.items():
        check_level(coding, 1)
        check_level(coding, hardest)
    with pytest.raises(ValueError, match="levels of gzip are 1 to 9, not 10"):
        check_level("gzip", 10)
    with pytest.raises(ValueError, match=r"there is no content coding 'lzma' here$"):
        check_level("lzma", 1)


def test_without_the_libraries(monkeypatch):
    """Where br and zstd are not installed the other codings are there, and it is told how."""
    for function in (codings.available, codings._library):
        function.cache_clear()
        monkeypatch.setattr(codings, function.__name__, function.__wrapped__)

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(codings, "import_module", missing)
    assert codings.available() == ("gzip", "deflate")
    with pytest.raises(ValueError, match=r"no content coding 'br' here; install mynet\[compress\]"):
        check_level("br", 4)


def test_a_brotli_that_knows_no_limit(monkeypatch):
    """A library that would decode a bomb at once is not used."""

    class Old:
        class Decompressor: ...

    monkeypatch.setattr(codings, "import_module", lambda name: Old)
    assert codings._library.__wrapped__("br") is None
