"""Request bodies: how they are framed, what is wrong with them, and what is left of them unread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mynet.http.errors import ClientGone
from mynet.http.limits import KIB, Limits
from mynet.http.message import Request, Response
from mynet.testing import Wire, result_of
from tests.conversation import (
    BEHIND,
    GET,
    Recorder,
    Waiting,
    assert_accepted,
    assert_last,
    assert_refused,
    chunked,
    head,
    post,
    replies,
    reply,
)

CHUNKED = b"Transfer-Encoding: chunked"


def ignore(request: Request) -> Response:
    """A handler that reads no body."""
    return Response.text("no, thank you")


# How long a body is (RFC 9112 section 6)

BAD_FRAMES = {
    "both": (b"Content-Length: 5", CHUNKED),
    "both, the other way round": (CHUNKED, b"Content-Length: 5"),
    "both, with no length": (CHUNKED, b"Content-Length: 0"),
    "both, in other case": (b"content-length: 5", b"TRANSFER-ENCODING: CHUNKED"),
    "two lengths that differ": (b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths that agree": (b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths, one empty": (b"Content-Length: 5", b"Content-Length:"),
    **{
        f"length {value!r}": (b"Content-Length: " + value,)
        for value in (
            b"", b"+5", b"-5", b"-0", b"5,5", b"5, 5", b"5,6", b",5", b"5,", b"5 5", b"0x5", b"5h",
            b"a", b"5.0", b"5e0", b"5;", b'"5"', b"1_0", b"\xb2", b"\xd9\xa5", b"0 0",
            b"1" * 20, b"9" * 19, b"18446744073709551616", b"99999999999999999999999999999999",
        )
    },
    **{
        f"coding {value!r}": (b"Transfer-Encoding: " + value,)
        for value in (
            b"", b",", b"chunked,", b",chunked", b"chunked, chunked", b"chunked, gzip",
            b"chunked, identity", b"chunked, gzip, chunked", b"gzip, chunked, deflate",
        )
    },
    "chunked twice": (CHUNKED, CHUNKED),
    "chunked not last, in two fields": (CHUNKED, b"Transfer-Encoding: gzip"),
}  # fmt: skip


@pytest.mark.parametrize("fields", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_length_not_clear(fields, way):
    """Where a body's end could be read in two ways, it is read in none."""
    assert_refused(post(*fields, body=chunked(b"hello")), 400, way)


@pytest.mark.parametrize(
    "value",
    [b"gzip", b"identity", b"xchunked", b"chunkedx", b"gzip, chunked", b"deflate, gzip, chunked",
     b"chunked;q=1", b'"chunked"', b"chunk ed", b"chunked\xa0"],
)  # fmt: skip
def test_coding_unknown(value, way):
    """Another transfer coding than chunked is not implemented."""
    assert_refused(post(b"Transfer-Encoding: " + value, body=chunked(b"hello")), 501, way)


def test_coding_unknown_in_two_fields(way):
    """Fields of one name are one list."""
    fields = (b"Transfer-Encoding: gzip", CHUNKED)
    assert_refused(post(*fields, body=chunked(b"hello")), 501, way)


def test_coding_on_10(way):
    """HTTP/1.0 has no transfer codings: who sends one is not what it says (RFC 9112 6.1)."""
    data = head(CHUNKED, line=b"POST / HTTP/1.0") + chunked(b"hello")
    assert_refused(data, 400, way)
    data = head(CHUNKED, b"Connection: keep-alive", line=b"POST / HTTP/1.0") + chunked(b"hello")
    assert_refused(data, 400, way)


GOOD_BODIES = {
    "of a length": post(b"Content-Length: 5", body=b"hello"),
    "of a length with zeros": post(b"Content-Length: 0005", body=b"hello"),
    "of a length with white space": post(b"Content-Length: \t5 ", body=b"hello"),
    "in a chunk": post(CHUNKED, body=chunked(b"hello")),
    "in chunks": post(CHUNKED, body=chunked(b"h", b"el", b"lo")),
    "in other case": post(b"TRANSFER-encoding: Chunked", body=chunked(b"hello")),
    "with white space": post(b"Transfer-Encoding: \t chunked ", body=chunked(b"hello")),
    "size with zeros": post(CHUNKED, body=b"0005\r\nhello\r\n000\r\n\r\n"),
    "extension": post(CHUNKED, body=b"5;a\r\nhello\r\n0;b\r\n\r\n"),
    "extension with a value": post(CHUNKED, body=b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n"),
    "extension in quotes": post(CHUNKED, body=b'5;a="b;c d"\r\nhello\r\n0\r\n\r\n'),
    "trailers": post(CHUNKED, body=chunked(b"hello", trailers=b"A: b\r\nC:\r\n")),
    "of a GET": head(b"Content-Length: 5") + b"hello",
}


@pytest.mark.parametrize("data", GOOD_BODIES.values(), ids=GOOD_BODIES)
@pytest.mark.parametrize("size", [None, 1, 2, 7])
def test_body(data, size):
    """However a body is framed, and arrives, the handler reads the same."""
    assert assert_accepted(data, size=size).bodies == [b"hello", b""]


@pytest.mark.parametrize("size", [None, 1, 3])
def test_body_that_looks_like_its_frame(size):
    """A body may hold anything: chunks, empty lines, requests."""
    body = b"\r\n\r\n0\r\n\r\n" + GET + b"\r\n" * 9 + b"5\r\n"
    for data in (
        post(b"Content-Length: %d" % len(body), body=body),
        post(CHUNKED, body=chunked(body)),
        post(CHUNKED, body=chunked(*[body[i : i + 2] for i in range(0, len(body), 2)])),
    ):
        handler = Recorder()
        wire = Wire(handler)
        wire.send(data + GET, size)
        assert [each.body for each in replies(wire, "POST", "GET")] == [body, b"/"]


@pytest.mark.parametrize("field", [b"Content-Length: 0", CHUNKED])
def test_body_that_is_empty(field):
    """A body may be empty."""
    body = chunked() if field is CHUNKED else b""
    assert assert_accepted(post(field, body=body)).bodies == [b"", b""]


# What is wrong with chunks (RFC 9112 section 7.1)

BAD_CHUNKS = {
    "no size": b"\r\nhello\r\n",
    "size in letters": b"g\r\nhello\r\n",
    "size with sign": b"+5\r\nhello\r\n",
    "negative size": b"-5\r\nhello\r\n",
    "size with 0x": b"0x5\r\nhello\r\n",
    "size with underscore": b"0_5\r\nhello\r\n",
    "size after white space": b" 5\r\nhello\r\n",
    "size after a tab": b"\t5\r\nhello\r\n",
    "size with a comma": b"5,\r\nhello\r\n",
    "size with NUL": b"5\0\r\nhello\r\n",
    "size in quotes": b'"5"\r\nhello\r\n',
    "size that overflows": b"1" + b"0" * 16 + b"\r\nhello\r\n",
    "size that overflows to the right one": b"1" + b"0" * 15 + b"5\r\nhello\r\n",
    "size too small": b"4\r\nhello\r\n",
    "size too large": b"6\r\nhello\r\n0\r\n\r\n",
    "no end of the size": b"5hello\r\n",
    "bare LF after the size": b"5\nhello\r\n",
    "bare CR after the size": b"5\rhello\r\n",
    "extension with NUL": b"5;a\0\r\nhello\r\n",
    "extension with a control character": b"5;a\x01\r\nhello\r\n",
    "extension with bare LF": b"5;a\nhello\r\n",
    "extension with bare LF inside": b"5;a\nb\r\nhello\r\n",
    "extension with bare CR": b"5;a\rb\r\nhello\r\n",
    "extension in a quote that does not end": b'5;a="b\r\nhello\r\n',
    "extension not after a semicolon": b"5 a\r\nhello\r\n",
    "bare LF after the chunk": b"5\r\nhello\n",
    "bare CR after the chunk": b"5\r\nhello\r",
    "LF CR after the chunk": b"5\r\nhello\n\r",
    "no end of the chunk": b"5\r\nhello",
    "more than the chunk": b"5\r\nhello!\r\n",
    "bare LF after the last": b"0\n\r\n",
    "bare LF for the last line": b"0\r\n\n",
    "bare CR for the last line": b"0\r\n\rx",
    "trailer with a space before the colon": b"0\r\nA : b\r\n\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer with NUL": b"0\r\nA: \0\r\n\r\n",
    "trailer with bare CR": b"0\r\nA: b\rc\r\n\r\n",
    "trailer with bare LF": b"0\r\nA: b\nC: d\r\n\r\n",
    "trailer without a name": b"0\r\n: b\r\n\r\n",
}


@pytest.mark.parametrize("wrong", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@pytest.mark.parametrize("before", [b"", b"3\r\nabc\r\n"], ids=["first", "later"])
def test_chunk_malformed(wrong, before, way):
    """A malformed chunk ends the connection: nobody knows where the next request begins."""
    behind, size = way
    handler = Recorder()
    wire = Wire(handler)
    wire.send(post(CHUNKED, body=before + wrong + b"0\r\n\r\n" + behind), size)
    assert_last(wire, 400)
    assert handler.bodies == []
    assert b"/behind" not in handler.targets


def test_chunk_malformed_before_it_is_read():
    """A malformed body is 400 though its handler does not read it, and that is cancelled."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(CHUNKED))
    wire.send(b"x\r\n")
    wire.send(BEHIND)
    answer = reply(wire)
    assert (answer.status, answer.closes) == (400, True)
    assert handler.cancelled == [b"/"]
    assert wire.closed
    assert len(handler.requests) == 1


def test_error_comes_after_what_was_right():
    """What came before the malformed chunk can be read; then comes the error."""
    read: list[bytes] = []

    async def handler(request: Request) -> Response:
        while True:
            read.append(await anext(aiter(request)))

    wire = Wire(handler)
    wire.send(post(CHUNKED))
    wire.send(b"5\r\nhello\r\n6\r\n world\r\nx\r\n", 1)
    assert b"".join(read) == b"hello world"
    assert_last(wire, 400)


# Trailers


@pytest.mark.parametrize("size", [None, 1])
def test_trailers(size):
    """Trailer fields can be read once the body has been."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(post(CHUNKED, body=chunked(b"hello", trailers=b"A: b \r\nX-Y:\r\nA:c\r\n")), size)
    assert reply(wire).body == b"hello"
    assert handler.requests[0].trailers == [(b"a", b"b"), (b"x-y", b""), (b"a", b"c")]


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "line",
    [b"Host: evil", b"Connection: close", b"Connection: upgrade\r\nUpgrade: x", b"Expect: x"],
)
def test_trailers_say_nothing_of_the_request(line, size):
    """A trailer changes nothing of what was said in the head."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(post(CHUNKED, body=chunked(b"hello", trailers=line + b"\r\n")) + GET, size)
    first, second = replies(wire, "POST", "GET")
    assert (first.body, second.body) == (b"hello", b"/")
    assert handler.requests[0].host == "example.test"
    assert "expect" not in handler.requests[0].headers


@pytest.mark.parametrize("line", [b"Content-Length: 5", CHUNKED, b"Transfer-Encoding: x"])
def test_trailers_that_frame(line, way):
    """A trailer that would frame the body if it stood in the head is refused."""
    behind, size = way
    handler = Recorder()
    wire = Wire(handler)
    wire.send(post(CHUNKED, body=chunked(b"hello", trailers=line + b"\r\n")) + behind, size)
    assert_last(wire, 400)
    assert handler.bodies == []


# Limits


def test_limit_of_declared_body(way):
    """A body declared larger than the limit is refused before it is read, or asked for."""
    limits = replace(Limits(), body=5)
    assert_accepted(post(b"Content-Length: 5", body=b"hello"), limits)
    assert_refused(post(b"Content-Length: 6", body=b"hello!"), 413, way, limits)
    assert_refused(post(b"Content-Length: 6", b"Expect: 100-continue"), 413, way, limits)
    assert_refused(post(b"Content-Length: " + b"9" * 18), 413, way)


def test_limit_of_chunked_body(way):
    """A chunked body may be as large as the limit, and not larger."""
    behind, size = way
    limits = replace(Limits(), body=5)
    assert_accepted(post(CHUNKED, body=chunked(b"he", b"llo")), limits, size)
    for body in (chunked(b"hello", b"!"), chunked(b"hello!"), b"fffffffff\r\nhello!"):
        handler = Recorder()
        wire = Wire(handler, limits)
        wire.send(post(CHUNKED, body=body) + behind, size)
        assert_last(wire, 413)
        assert handler.bodies == []


def test_limit_of_trailers(way):
    """Trailers have a limit of their own."""
    behind, size = way
    limits = replace(Limits(), trailers=100)
    line = b"A: " + b"b" * 80 + b"\r\n"
    assert_accepted(post(CHUNKED, body=chunked(b"hello", trailers=line)), limits, size)
    handler = Recorder()
    wire = Wire(handler, limits)
    wire.send(post(CHUNKED, body=chunked(b"hello", trailers=line * 2)) + behind, size)
    assert_last(wire, 431)
    assert handler.bodies == []


def test_limit_of_trailers_that_do_not_end():
    """Trailers, or an extension, without an end are not read for ever."""
    for line in (b"A: b\r\n", b"a"):
        handler = Recorder()
        wire = Wire(handler)
        wire.send(post(CHUNKED, body=b"5\r\nhello\r\n0" + (b";" if line == b"a" else b"\r\n")))
        for _ in range(100):
            wire.send(line * 1000)
        assert_last(wire, 431)


def test_number_of_trailers():
    """There may be no more trailers than fields of a head."""
    limits = replace(Limits(), header_count=3)
    assert_accepted(post(CHUNKED, body=chunked(trailers=b"A: b\r\n" * 3)), limits)
    wire = Wire(Recorder(), limits)
    wire.send(post(CHUNKED, body=chunked(trailers=b"A: b\r\n" * 4)))
    assert_last(wire, 431)


# Bodies that are not read


@pytest.mark.parametrize("data", GOOD_BODIES.values(), ids=GOOD_BODIES)
@pytest.mark.parametrize("size", [None, 1, 4])
def test_body_unread(data, size):
    """A small body that a handler does not read is thrown away, and the connection kept."""
    wire = Wire(ignore)
    wire.send(data + GET, size)
    first, second = replies(wire, "POST", "GET")
    assert (first.status, first.closes) == (200, False)
    assert (second.status, second.closes) == (200, False)


def test_body_unread_too_large():
    """A body that is declared too large to be thrown away ends the connection."""
    limits = replace(Limits(), drain=5)
    for length, closes in ((5, False), (6, True)):
        wire = Wire(ignore, limits)
        wire.send(post(b"Content-Length: %d" % length))
        assert reply(wire).closes is closes
        assert wire.closed is closes


def test_body_unread_of_unknown_length():
    """A chunked body is thrown away up to the limit; then the connection ends."""
    limits = replace(Limits(), drain=10)
    for second, is_kept in ((b"12345", True), (b"123456", False)):
        wire = Wire(ignore, limits)
        wire.send(post(CHUNKED))
        assert not reply(wire).closes
        wire.send(chunked(b"12345", second) + GET, 1)
        assert wire.closed is not is_kept
        assert len(replies(wire, "GET") if is_kept else wire.take() or [0]) == 1
        wire.advance(3)
        assert wire.transport.disconnected is not is_kept


def test_body_partly_read():
    """What was read of a body does not count; what is left of it does."""

    async def handler(request: Request) -> Response:
        first = await anext(aiter(request))
        return Response(first)

    wire = Wire(handler, replace(Limits(), drain=5))
    wire.send(post(b"Content-Length: 1000"))
    wire.send(b"x" * 995)
    assert not reply(wire).closes
    wire.send(b"y" * 5 + post(b"Content-Length: 6"))
    wire.send(b"z" * 6)
    assert not reply(wire).closes
    wire.send(post(b"Content-Length: 7"))
    wire.send(b"z")
    assert reply(wire).closes


def test_answer_while_the_body_comes():
    """A client that still sends sees the answer: what it sends is read on for a while."""
    wire = Wire(ignore)
    wire.send(post(b"Content-Length: 1000000"))
    assert reply(wire).closes
    assert wire.transport.half_closed
    assert not wire.transport.disconnected
    for _ in range(20):
        wire.send(b"x" * 10000)
    assert not wire.transport.paused
    wire.advance(Limits().linger_timeout + 1)
    assert wire.transport.disconnected


def test_answer_while_the_body_comes_until_the_client_closes():
    """It is read on no longer than the client sends."""
    wire = Wire(ignore)
    wire.send(post(b"Content-Length: 1000000"))
    wire.half_close()
    assert wire.transport.disconnected


def test_answer_before_the_body_is_whole():
    """A handler may answer when it has seen enough; its reader is told."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 10") + b"hello")
    body = handler.requests[0].read()
    handler.answers[0].callback(Response(b"enough"))
    assert reply(wire).body == b"enough"
    with pytest.raises(RuntimeError, match="has been answered"):
        result_of(body)
    wire.send(b"world" + GET)
    assert len(handler.requests) == 2


# Back-pressure


def test_client_waits_for_the_handler():
    """A body is taken from the client only as fast as the handler reads."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_buffer=10 * KIB))
    wire.send(post(b"Content-Length: 30720"))
    wire.send(b"x" * 10239)
    assert not wire.transport.paused
    wire.send(b"x")
    assert wire.transport.paused
    body = handler.requests[0].read()
    assert not wire.transport.paused
    wire.send(b"x" * 20 * KIB)
    assert len(result_of(body)) == 30 * KIB
    handler.answers[0].callback(Response())
    assert not wire.transport.paused


def test_body_that_came_at_once():
    """A client that has sent all need not wait, however slowly it is read."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_buffer=10))
    for size in (None, 1):
        wire.send(post(b"Content-Length: 30", body=b"x" * 30), size)
        assert not wire.transport.paused or size == 1
        assert len(result_of(handler.requests[-1].read())) == 30
        handler.answers[-1].callback(Response())
        assert reply(wire).status == 200
        assert not wire.transport.paused


def test_client_waits_no_longer_than_for_the_answer():
    """When the handler has answered, what it did not read is let in again."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_buffer=10))
    wire.send(post(b"Content-Length: 20") + b"x" * 10)
    assert wire.transport.paused
    handler.answers[0].callback(Response())
    assert not wire.transport.paused
    wire.send(b"x" * 10 + GET)
    assert len(handler.requests) == 2


# The client goes


def test_client_goes_within_its_body():
    """Who reads a body is told that its client has gone."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 10") + b"hello")
    body = handler.requests[0].read()
    wire.hang_up()
    with pytest.raises(ClientGone):
        result_of(body)
    assert handler.cancelled == [b"/"]


def test_client_ends_within_its_body():
    """A body that ends early is an error, and is answered."""
    wire = Wire(Recorder())
    wire.send(post(b"Content-Length: 10") + b"hello")
    wire.half_close()
    assert_last(wire, 400)
    wire = Wire(Recorder())
    wire.send(post(CHUNKED) + b"5\r\nhello\r\n0\r\n")
    wire.half_close()
    assert_last(wire, 400)


def test_client_ends_within_a_body_that_nobody_reads():
    """So too where the handler does not read."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 10") + b"hello")
    wire.half_close()
    assert reply(wire).status == 400
    assert handler.cancelled == [b"/"]
    assert wire.transport.disconnected


def test_client_ends_within_a_body_that_is_thrown_away():
    """When the request has been answered, there is nothing left to say."""
    wire = Wire(ignore)
    wire.send(post(b"Content-Length: 10") + b"hello")
    assert reply(wire).status == 200
    wire.half_close()
    assert wire.received == b""
    assert wire.transport.disconnected
