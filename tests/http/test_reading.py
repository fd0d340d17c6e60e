"""Reading heads and chunks, on their own: one reader serves many connections, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.errors import HTTPError
from mynet.http.limits import KIB, Limits
from mynet.http.reading import (
    CHUNKED,
    END,
    METHODS,
    ChunkedDecoder,
    Head,
    HeadReader,
    decode_fields,
    frame,
    parse_fields,
    split_target,
)
from mynet.http.writing import encode_fields
from tests.conversation import GET, chunked, head, post


@pytest.fixture
def reader() -> HeadReader:
    return HeadReader(Limits())


# Heads


def test_head(reader):
    """A head says what is asked for, and how its message is framed."""
    method, target, version, framing, fields, *_ = reader.read(
        head(b"Content-Length: 5", b"Expect: 100-continue", line=b"PUT /a?b HTTP/1.1")
    )
    assert (method, target, version) == ("PUT", b"/a?b", "1.1")
    assert framing == (b"example.test", 5, True, True, b"")
    assert parse_fields(fields) == [
        (b"host", b"example.test"), (b"content-length", b"5"), (b"expect", b"100-continue"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "framing"),
    [
        (GET, (b"example.test", 0, True, False, b"")),
        (head(line=b"GET http://a:80/ HTTP/1.1"), (b"a:80", 0, True, False, b"")),
        (post(b"Transfer-Encoding: chunked"), (b"example.test", CHUNKED, True, False, b"")),
        (post(b"Content-Length: 0"), (b"example.test", 0, True, False, b"")),
        (head(b"Connection: close"), (b"example.test", 0, False, False, b"")),
        (head(b"Connection: upgrade", b"Upgrade: a", b"upgrade:b"),
         (b"example.test", 0, True, False, b"a, b")),
        (head(b"Upgrade: a"), (b"example.test", 0, True, False, b"")),
        (b"GET / HTTP/1.0\r\n\r\n", (b"", 0, False, False, b"")),
    ],
)  # fmt: skip
def test_framing(reader, data, framing):
    """What frames a message is in its head alone."""
    assert reader.read(data)[3] == framing


def test_reader_is_for_many_connections(reader):
    """What one connection sent has no effect on what another one sends."""
    wrong = [
        b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    ]  # fmt: skip
    right = [
        GET, post(b"Content-Length: 5"), head(b"Connection: close"),
        post(b"Transfer-Encoding: chunked"), b"GET / HTTP/1.0\r\n\r\n",
        head(b"Connection: upgrade", b"Upgrade: a"),
        head(b"Connection: upgrade", b"Upgrade: a", b"Content-Length: 5"),
    ]  # fmt: skip
    alone = [HeadReader(Limits()).read(data) for data in right]
    assert None not in alone
    for _ in range(3):
        for data, expected in zip(right, alone, strict=True):
            for other in (*wrong, *right):
                if other in wrong:
                    with pytest.raises(HTTPError):
                        reader.read(other)
                else:
                    assert reader.read(other) is not None
                assert reader.read(data) == expected


def test_head_that_repeats(reader):
    """A head whose fields were just read is read as it would have been without that."""
    last: Head | None = None
    for data in (
        head(line=b"GET /a HTTP/1.1"), head(line=b"POST /b HTTP/1.1"),
        head(line=b"GET http://other/ HTTP/1.1"), head(line=b"GET /c HTTP/1.1"),
        head(line=b"OPTIONS * HTTP/1.1"), head(line=b"GET /d HTTP/1.1"),
        head(b"Connection: close", line=b"GET /d HTTP/1.1"), head(line=b"GET /?e HTTP/1.1"),
        head(line=b"GET / HTTP/1.0"), head(line=b"GET / HTTP/1.1"),
    ):  # fmt: skip
        again = reader.read(data, last)
        assert again == HeadReader(Limits()).read(data)
        last = again


@pytest.mark.parametrize("number", range(256))
def test_targets_that_repeat(reader, number):
    """So it is for every byte of a target."""
    last = reader.read(GET)
    data = head(line=b"GET /a" + bytes([number]) + b"b HTTP/1.1")

    def read(*after: Head) -> object:
        try:
            return reader.read(data, *after)
        except HTTPError as error:
            return error.status

    assert read(last) == read()


def test_limits_of_a_head_that_repeats():
    """Its limits hold for it too."""
    reader = HeadReader(Limits(target=10, head=70))
    last = reader.read(GET)
    for target, status in ((b"/" + b"a" * 10, 414), (b"/" + b"a" * 9, None)):
        data = head(line=b"GET " + target + b" HTTP/1.1")
        if status is None:
            assert reader.read(data, last) is not None
        else:
            with pytest.raises(HTTPError) as caught:
                reader.read(data, last)
            assert caught.value.status == status
    small = HeadReader(Limits(head=len(GET)))
    last = small.read(GET)
    assert small.read(GET, last) is not None
    with pytest.raises(HTTPError, match="431"):
        small.read(head(line=b"GET /a HTTP/1.1"), last)


def test_heads_and_what_is_behind_them(reader):
    """More than one head is none; where the first one ends can be found."""
    for data in (GET + GET, b"\r\n" + GET, GET + b"\r\n\r\n", GET + b"hello\r\n\r\n"):
        assert reader.read(data) is None
    for behind in (b"", b"h", GET, b"\r\n\r\n"):
        assert reader.take_head(GET + behind) == (GET, len(GET))


def test_head_that_arrives_in_pieces(reader):
    """Its end is found wherever it was cut."""
    for cut in range(1, len(GET)):
        assert reader.take_head(GET[:cut]) == (b"", 0)
        assert reader.take_head(GET, cut) == (GET, len(GET))
        assert reader.take_head(GET + b"x", cut) == (GET, len(GET))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"(", 400), (b"\x16\x03\x01", 400), (b" GET", 400), (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\n\n", 400), (b"G" * 9000, 414), (b"GET /" + b"a" * 9000, 414),
        (b"GET /" + b"a" * 9000 + b"\r\n", 414), (b"GET / HTTP/1.1\r\n" + b"a" * 33000, 431),
    ],
)  # fmt: skip
def test_head_that_will_not_be_valid(reader, data, status):
    """What cannot become a head any more need not be waited for."""
    with pytest.raises(HTTPError) as caught:
        reader.take_head(data)
    assert caught.value.status == status
    assert caught.value.close


def test_every_method_is_known_to_llhttp(reader):
    """The table of methods is no longer than llhttp's own."""
    for name, method in METHODS.items():
        assert reader.read(head(line=name + b" / HTTP/1.1"))[0] == method
    assert b"CONNECT" not in METHODS


def test_frames_are_remembered():
    """Heads that agree in what frames them are judged once; large ones are not remembered."""
    frame.cache_clear()
    reader = HeadReader(Limits())
    for number in range(10):
        reader.read(head(b"A: %d" % number))
    assert frame.cache_info().misses == 1
    reader.read(head(b"A: " + b"b" * 5 * KIB, host=b"other"))
    assert frame.cache_info().misses == 1


# Targets


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/", (b"/", b"")), (b"/a?b", (b"/a", b"b")), (b"/a?b?c", (b"/a", b"b?c")),
        (b"*", (b"*", b"")), (b"http://a", (b"/", b"")), (b"http://a?b", (b"/", b"b")),
        (b"HTTPS://a:1/b?c", (b"/b", b"c")), (b"//a/b", (b"//a/b", b"")),
    ],
)  # fmt: skip
def test_targets(target, parts):
    """A target has a path and a query in any of its forms."""
    assert split_target(target) == parts


# Chunks

BODY = chunked(b"hello", b"\r\n\r\n", b"x" * 20, trailers=b"A: b\r\n")


def decode(data: bytes, size: int) -> tuple[ChunkedDecoder, bytes]:
    """Decode a body in pieces of a size; also what is left of it."""
    decoder = ChunkedDecoder(Limits())
    while data and not decoder.ended:
        used = decoder.feed(data[:size])
        data = data[used:]
    return decoder, data


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"0\r\n\r\n", GET, b"\r\n\r\n\r\n"])
@pytest.mark.parametrize("size", [*range(1, 12), 1000])
def test_chunks(size, behind):
    """A chunked body is decoded, and what is behind it left alone, in any pieces."""
    decoder, rest = decode(BODY + behind, size)
    assert b"".join(decoder.pieces) == b"hello\r\n\r\n" + b"x" * 20
    assert decoder.trailers == [(b"a", b"b")]
    assert rest == behind
    assert decoder.ended


@given(st.lists(st.sampled_from([b"a", b"\r\n", b"\r\n\r\n", b"0", b"bc"]).map(lambda b: b * 3)),
       st.integers(1, 9), st.sampled_from([b"", b"A: b\r\n"]))  # fmt: skip
def test_any_chunks(chunks, size, trailers):
    """Whatever is in chunks comes out of them."""
    decoder, rest = decode(chunked(*chunks, trailers=trailers) + END, size)
    assert (b"".join(decoder.pieces), rest) == (b"".join(chunks), END)


def test_chunks_that_have_not_ended():
    """A body has ended with its last byte, and not before."""
    decoder = ChunkedDecoder(Limits())
    for byte in BODY[:-1]:
        assert decoder.feed(bytes([byte])) == 1
        assert not decoder.ended
    assert decoder.feed(BODY[-1:]) == 1
    assert decoder.ended


def test_chunks_that_are_wrong():
    """What is no chunk is an error after which nothing can be read."""
    decoder = ChunkedDecoder(Limits())
    with pytest.raises(HTTPError, match="chunk") as caught:
        decoder.feed(b"5\r\nhello\r\nx\r\n")
    assert (caught.value.status, caught.value.close) == (400, True)
    assert b"".join(decoder.pieces) == b"hello"


def test_limit_of_chunk_extensions():
    """What is no data has a limit, and beside data it has that of so much for each byte."""
    decoder = ChunkedDecoder(Limits(trailers=100))
    for _ in range(30):
        decoder.feed(b"5;" + b"a" * 20)
        decoder.feed(b"\r\nhello\r\n")
    decoder.feed(b"5;")
    for _ in range(100 + 62):
        decoder.feed(b"a")
    with pytest.raises(HTTPError, match="431"):
        decoder.feed(b"a")


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_limit_of_trailers(size):
    """Trailers may be as large as their limit, each line with its end, and not larger."""
    limits = Limits(trailers=100)
    for value, is_fine in ((b"x" * 45, True), (b"x" * 46, False)):
        data = chunked(b"hello", trailers=b"A: " + value + b"\r\nB: " + b"x" * 45 + b"\r\n")
        decoder = ChunkedDecoder(limits)
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        if is_fine:
            assert sum(map(decoder.feed, pieces)) == len(data)
            assert decoder.ended
        else:
            with pytest.raises(HTTPError, match="431"):
                sum(map(decoder.feed, pieces))


@pytest.mark.parametrize("limits", [Limits(trailers=0), Limits(header_count=0)])
def test_no_trailers_at_all(limits):
    """A server that wants no trailers can say so."""
    decoder = ChunkedDecoder(limits)
    decoder.feed(chunked(b"hello"))
    assert decoder.ended
    with pytest.raises(HTTPError, match="431"):
        ChunkedDecoder(limits).feed(chunked(b"hello", trailers=b"A: b\r\n"))


def test_fields_as_text():
    """Fields are Latin-1, so that any bytes are some text, and come back as the same bytes."""
    fields = [(b"a", bytes(range(256))), (b"A", b"")]
    assert decode_fields(fields)[1] == ("A", "")
    assert encode_fields(decode_fields(fields)) == fields
