"""Responses on the wire: how they are framed, and what a handler cannot do with one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mynet.http.limits import KIB
from mynet.http.message import Request, Response
from mynet.http.outgoing import PIECE
from mynet.testing import HIGH_WATER, Wire
from tests.conversation import GET, Reply, head, replies, reply

GET_10 = head(line=b"GET / HTTP/1.0")
KEEP_10 = head(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0")
HEAD = head(line=b"HEAD / HTTP/1.1")

BOUND = PIECE + HIGH_WATER
"""The most that may wait for a client that does not read."""


class Source:
    """A body in pieces, that notes how many were taken, and whether it was closed."""

    def __init__(self, *pieces: Any, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.taken = 0
        self.closed = False
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        try:
            for piece in self.pieces:
                self.taken += 1
                yield piece
            if self.error:
                raise self.error
        finally:
            self.closed = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in iter(self):
            yield piece


async def awaited(source: Source) -> AsyncIterator[Any]:
    try:
        for piece in source.pieces:
            source.taken += 1
            yield piece
        if source.error:
            raise source.error
    finally:
        source.closed = True


STREAMS: dict[str, Callable[[Source], Any]] = {"iterator": iter, "async iterator": awaited}


@pytest.fixture(params=STREAMS)
def stream(request) -> Callable[[Source], Any]:
    """A way to stream a source."""
    return STREAMS[request.param]


def answer_of(response: Response, data: bytes = GET, method: str = "GET") -> Reply:
    """What a client gets of a response; the connection goes on if it says so."""
    wire = Wire(lambda request: response)
    wire.send(data)
    answer = reply(wire, method)
    assert wire.closed is (answer.closes or (answer.version == "1.0"))
    return answer


def assert_failed(response: Response, data: bytes = GET) -> None:
    """It is answered 500 in its place, and the connection kept."""
    wire = Wire(lambda request: response)
    wire.send(data)
    answer = reply(wire)
    assert (answer.status, answer.text) == (500, "500 Internal Server Error\n")
    assert not wire.closed


# How a response is framed


def test_bytes():
    """A body in bytes has its length, and nothing is said that goes without saying."""
    answer = answer_of(Response(b"hello"))
    assert (answer.status, answer.version, answer.body) == (200, "1.1", b"hello")
    assert sorted(answer.headers) == ["content-length", "date"]
    assert answer.headers["Content-Length"] == "5"


def test_no_bytes():
    """An empty body too."""
    answer = answer_of(Response())
    assert (answer.body, answer.headers["Content-Length"]) == (b"", "0")


def test_date_of_its_own():
    """A response that has a Date, as one of another server has, goes out with no other."""
    for fields in ({"Date": "then"}, {"Date": "then", "Content-Length": "2"}):
        data = Wire(lambda request, fields=fields: Response(b"hi", 200, fields))  # type: ignore[misc]
        data.send(GET)
        assert data.received.lower().count(b"\r\ndate: ") == 1
        assert reply(data).headers["Date"] == "then"


def test_raw(logged):
    """Fields in bytes are sent as they are; those of the connection stay the protocol's."""
    fields = [(b"A", b"\xe9"), (b"content-length", b"2"), (b"Keep-Alive", b"x"), (b"a", b"")]
    answer = answer_of(Response.raw(b"hi", 404, fields))
    assert (answer.status, answer.body) == (404, b"hi")
    assert answer.headers.getall("a") == ["\xe9", ""]
    assert {name.lower() for name in answer.headers} == {"a", "content-length", "date"}
    assert answer_of(Response.raw(b"hi", 200, [(b"Connection", b"close")])).closes
    for name, value in (
        (b"A", b"\r\nB: c"),
        (b"Transfer-Encoding", b""),
        (b"Content-Length", b"3"),
    ):
        assert_failed(Response.raw(b"hi", 200, [(name, value)]))
        logged.take(ValueError)


def test_content_type():
    """What the constructors promise is what is sent."""
    assert answer_of(Response.text("é")).headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer_of(Response.json({"a": 1})).body == b'{"a":1}'
    assert answer_of(Response(b"", content_type="image/%d")).headers["Content-Type"] == "image/%d"


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
def test_large_bytes(size):
    """A large body arrives whole, in its length."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = answer_of(Response(body))
    assert answer.body == body
    assert answer.headers["Content-Length"] == str(size)


def test_stream(stream):
    """A body of unknown length is sent in chunks, as its pieces come."""
    answer = answer_of(Response(stream(Source(b"hello ", b"", b"world"))))
    assert answer.body == b"hello world"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers


def test_stream_of_nothing(stream):
    """Also when there is nothing."""
    assert answer_of(Response(stream(Source()))).body == b""
    assert answer_of(Response(stream(Source(b"", b"")))).body == b""


def test_stream_of_a_known_length(stream):
    """A body whose length its handler tells needs no chunks."""
    response = Response(stream(Source(b"hello ", b"world")), headers={"Content-Length": "11"})
    answer = answer_of(response)
    assert (answer.body, answer.headers["Content-Length"]) == (b"hello world", "11")
    assert "Transfer-Encoding" not in answer.headers


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_stream_of_other_buffers(kind, stream):
    """Pieces may be buffers, which may be used again as soon as they have been taken."""
    buffer = bytearray(b"hello")

    def pieces() -> Iterator[Any]:
        for letter in b"jcb":
            buffer[0] = letter
            yield kind(buffer)

    wire = Wire(lambda request: Response(pieces()))
    wire.send(GET)
    assert reply(wire).body == b"jellocellobello"


@pytest.mark.parametrize("data", [GET_10, KEEP_10])
def test_stream_to_an_old_client(data, stream):
    """HTTP/1.0 has no chunks: the end of the connection is that of the body."""
    answer = answer_of(Response(stream(Source(b"hello ", b"world"))), data)
    assert (answer.body, answer.version) == (b"hello world", "1.1")
    assert answer.closes
    assert "Transfer-Encoding" not in answer.headers


def test_old_client_that_stays():
    """A client of HTTP/1.0 is told that the connection is kept, where it asked for that."""
    for body in (b"hello", iter([b"hello"])):
        response = Response(body, headers={"Content-Length": "5"})
        wire = Wire(lambda request, response=response: response)  # type: ignore[misc]
        wire.send(KEEP_10)
        assert reply(wire).headers["Connection"] == "keep-alive"
        assert not wire.closed
    assert answer_of(Response(b"hello"), GET_10).closes


def test_pieces_are_sent_as_they_come():
    """What a handler streams reaches the client at once, not when it is complete."""
    second: Deferred[bytes] = Deferred()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        yield await second

    wire = Wire(lambda request: Response(pieces()))
    wire.send(GET)
    assert wire.received.endswith(b"\r\n\r\n5\r\nfirst\r\n")
    second.callback(b"second")
    assert reply(wire).body == b"firstsecond"


# Responses without a body


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_head(version, stream):
    """The answer to HEAD has the fields of that to GET, and no body; its source is closed."""
    ask = b" / HTTP/" + version
    line = (b"Connection: keep-alive",)
    for make in (
        lambda source: Response(b"hello"),
        lambda source: Response.json([1]),
        lambda source: Response(b"", 404),
        lambda source: Response(stream(source), headers={"Content-Length": "5"}),
    ):
        source = Source(b"hello")
        whole = answer_of(make(source), head(*line, line=b"GET" + ask))
        source = Source(b"hello")
        wire = Wire(lambda request, make=make, source=source: make(source))  # type: ignore[misc]
        wire.send(head(*line, line=b"HEAD" + ask) + head(*line, line=b"HEAD" + ask)[:0])
        bare = reply(wire, "HEAD")
        assert (bare.status, bare.body) == (whole.status, b"")
        assert bare.headers == whole.headers
        assert not wire.closed
        assert source.taken == 0


def test_head_of_a_stream(stream):
    """Where the length is not known, HEAD tells none, and the connection is kept."""
    source = Source(b"hello")
    answer = answer_of(Response(stream(source)), HEAD, "HEAD")
    assert (answer.body, answer.closes) == (b"", False)
    assert source.taken == 0


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_a_body(status, stream):
    """204 and 304 have no body, whatever their handler gives them."""
    for body in (b"", b"hello", stream(Source(b"hello")), iter([b"hello"])):
        answer = answer_of(Response(body, status))
        assert (answer.status, answer.body, answer.closes) == (status, b"", False)
        assert "Content-Length" not in answer.headers
        assert "Transfer-Encoding" not in answer.headers


def test_not_modified_may_tell_a_length():
    """304 may tell what length the answer to GET would have; 204 may not."""
    length = {"Content-Length": "5"}
    assert answer_of(Response(b"", 304, length)).headers["Content-Length"] == "5"
    assert answer_of(Response(b"hello", 304, length)).headers["Content-Length"] == "5"
    assert "Content-Length" not in answer_of(Response(b"", 204, length)).headers


def test_head_may_tell_a_length():
    """A handler may answer HEAD with the length alone."""
    answer = answer_of(Response(b"", 200, {"Content-Length": "5"}), HEAD, "HEAD")
    assert answer.headers["Content-Length"] == "5"


def test_bodies_not_sent_are_closed():
    """A generator that is not run is closed; one that never began has nothing to clean up."""
    begun = iter(Source(b"one", b"two"))
    source = Source(b"x")
    generator = awaited(source)
    assert next(begun) == b"one"
    answer_of(Response(begun), HEAD, "HEAD")
    with pytest.raises(StopIteration):
        next(begun)
    answer_of(Response(generator, 204))
    assert source.taken == 0


# Fields


def test_date():
    """There is one Date, in RFC 9110's form; a handler's own takes its place."""
    pattern = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
    assert re.fullmatch(pattern, answer_of(Response()).headers["Date"])
    own = "Sun, 06 Nov 1994 08:49:37 GMT"
    answer = answer_of(Response(headers={"date": own}))
    assert answer.headers.getall("Date") == [own]


def test_fields_as_they_are():
    """Fields go out in order, repeated ones too, in Latin-1."""
    fields = [("X-A", "1"), ("x-b", "é \t~"), ("X-A", "2"), ("Empty", "")]
    answer = answer_of(Response(headers=fields))
    found = [pair for pair in answer.headers.items() if pair[0] in ("x-a", "x-b", "empty")]
    assert found == [(name.lower(), value) for name, value in fields]


def test_cookies():
    """Each cookie has a field of its own."""
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", secure=False, http_only=False, max_age=5, domain="a.test")
    response.delete_cookie("c")
    assert answer_of(response).headers.getall("Set-Cookie") == [
        "a=1; HttpOnly; Path=/; SameSite=Lax; Secure",
        "b=2; Domain=a.test; Max-Age=5; Path=/; SameSite=Lax",
        'c=""; HttpOnly; Max-Age=0; Path=/; SameSite=Lax; Secure',
    ]


@pytest.mark.parametrize("value", ["close", "Close", "x, close", "close,keep-alive"])
def test_handler_closes(value):
    """A handler may end the connection; what else it says of it is not its to say."""
    answer = answer_of(Response(headers={"Connection": value}))
    assert answer.headers.getall("Connection") == ["close"]


@pytest.mark.parametrize("value", ["keep-alive", "Upgrade", "closed", ""])
def test_handler_does_not_keep(value):
    """The connection is the protocol's."""
    response = Response(headers={"Connection": value, "Keep-Alive": "timeout=5"})
    answer = answer_of(response)
    assert "Connection" not in answer.headers
    assert "Keep-Alive" not in answer.headers


BAD_FIELDS = {
    "line break in a value": {"A": "b\r\nSet-Cookie: c=d"},
    "CR in a value": {"A": "b\rc"},
    "LF in a value": {"A": "b\nc"},
    "line break at the end": {"A": "b\r\n"},
    "a second response": {"A": "b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
    "NUL in a value": {"A": "b\0"},
    "control in a value": {"A": "\x1b"},
    "DEL in a value": {"A": "\x7f"},
    "value beyond Latin-1": {"A": "\u20ac"},
    "line separator": {"A": "a\u2028b"},
    "next line": {"A": "a\u0100"},
    "line break in a name": {"A\r\nB": "c"},
    "space in a name": {"A B": "c"},
    "colon in a name": {"A:": "c"},
    "empty name": {"": "c"},
    "name beyond ASCII": {"é": "c"},
    "line break in a type": {"Content-Type": "a\r\nb: c"},
    "transfer coding": {"Transfer-Encoding": "chunked"},
    "transfer coding in lower case": {"transfer-encoding": "identity"},
    "length that is none": {"Content-Length": "x"},
    "length with a sign": {"Content-Length": "+5"},
    "length with a line break": {"Content-Length": "5\r\nA: b"},
    "length beyond ASCII": {"Content-Length": "\u0665"},
    "too short a length": {"Content-Length": "4"},
    "too long a length": {"Content-Length": "6"},
}


@pytest.mark.parametrize("fields", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_fields_that_break_out(fields, logged):
    """Nothing that a handler says can become another field, or another response: 500."""
    assert_failed(Response(b"hello", headers=fields))
    logged.take(ValueError)


def test_type_that_breaks_out(logged):
    """Nor in a Content-Type."""
    assert_failed(Response(b"hello", content_type="a\r\nb: c"))
    logged.take(ValueError)


@pytest.mark.parametrize("status", [0, 99, 100, 102, 103, 199, 600, 1000, -200])
def test_status_out_of_range(status, logged):
    """A final response has a status from 200 to 599."""
    assert_failed(Response(b"hello", status))
    logged.take(ValueError)
    assert_failed(Response(b"hello", status, {"A": "b"}))
    logged.take(ValueError)


@pytest.mark.parametrize("status", [200.0, "200", None])
def test_status_that_is_no_number(status, logged):
    """Nor is anything but a number one; other responses do not suffer from it."""
    responses = [Response(b"", status), Response(b"hello")]
    wire = Wire(lambda request: responses.pop(0))
    wire.send(GET + GET)
    first, second = replies(wire, "GET", "GET")
    assert (first.status, second.status) == (500, 200)
    assert len(logged.events) == 1
    logged.events.clear()


def test_status_without_an_upgrade(logged):
    """101 needs a protocol to switch to."""
    assert_failed(Response(b"hello", 101))
    logged.take(TypeError)


def test_status_that_is_unknown():
    """Any other status will do, known or not."""
    wire = Wire(lambda request: Response(b"", 299))
    wire.send(GET)
    assert wire.received.startswith(b"HTTP/1.1 299 Unknown\r\n")


@pytest.mark.parametrize("body", ["hello", None, 5, object(), {"a": 1}, [b"a"].append], ids=repr)
def test_body_that_is_none(body, logged):
    """What is no body is a mistake that is seen before anything has been sent."""
    assert_failed(Response(body))
    logged.take(TypeError)


def test_body_of_a_bad_response_is_closed(logged):
    """A response that cannot be sent still lets go of what it holds."""
    begun = iter(Source(b"one", b"two"))
    next(begun)
    assert_failed(Response(begun, headers={"A": "b\r\nc"}))
    logged.take(ValueError)
    with pytest.raises(StopIteration):
        next(begun)


# Trailers


def test_trailers(stream):
    """Trailers go out after a streamed body, and may be set while it is sent."""

    def pieces() -> Iterator[bytes]:
        yield b"hello"
        response.trailers["Digest"] = "x"
        response.trailers.add("A", "1")
        response.trailers.add("A", "2")

    response = Response(pieces())
    assert len(response.trailers) == 0
    answer = answer_of(response)
    assert answer.body == b"hello"
    assert answer.trailers == [(b"digest", b"x"), (b"a", b"1"), (b"a", b"2")]


def test_trailers_after_bytes():
    """Any body can have trailers; it is sent in chunks then, whatever length it has."""
    for body in (b"hello", b"", b"x" * (PIECE + 1)):
        response = Response(body, headers={"Content-Length": str(len(body))})
        response.trailers["A"] = "b"
        answer = answer_of(response)
        assert (answer.body, answer.trailers) == (body, [(b"a", b"b")])
        assert "Content-Length" not in answer.headers


def test_trailers_that_have_no_place():
    """An old client, a HEAD, a 204 get none."""
    for data, status, method in ((GET_10, 200, "GET"), (HEAD, 200, "HEAD"), (GET, 204, "GET")):
        response = Response(iter([b"hello"]), status)
        response.trailers["A"] = "b"
        answer = answer_of(response, data, method)
        assert answer.trailers == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "b\r\nc"), ("A\r\n", "b"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"),
     ("host", "a"), ("Set-Cookie", "a=b"), ("Trailer", "A"), ("Connection", "close")],
)  # fmt: skip
def test_trailers_that_break_out(name, value, logged):
    """A trailer that may not be one breaks the response off: it never looks complete."""
    response = Response(iter([b"hello"]))
    response.trailers[name] = value
    wire = Wire(lambda request: response)
    wire.send(GET)
    (answer,) = replies(wire)
    assert not answer.complete
    assert wire.transport.aborted
    logged.take(ValueError)


# Interim responses


def test_early_hints():
    """Hints go out before the response, which need not be there yet."""
    held: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        request.early_hints("</a.css>; rel=preload; as=style", "</b.js>; rel=preload")
        request.early_hints("</c.js>; rel=preload")
        await held
        return Response(b"hello")

    wire = Wire(handler)
    wire.send(GET)
    assert wire.received.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n"
        b"link: </b.js>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
    )
    held.callback(None)
    answer = reply(wire)
    assert (answer.interim, answer.body) == ([103, 103], b"hello")


def test_early_hints_for_an_old_client():
    """An HTTP/1.0 client would take them for the response."""

    def handler(request: Request) -> Response:
        request.early_hints("</a.css>; rel=preload")
        return Response(b"hello")

    wire = Wire(handler)
    wire.send(GET_10)
    assert reply(wire).interim == []


def test_early_hints_too_late():
    """Once the response has begun, or is over, there are no hints any more."""
    requests: list[Request] = []

    def pieces(request: Request) -> Iterator[bytes]:
        requests.append(request)
        yield b"hello"
        request.early_hints("</a.css>; rel=preload")

    wire = Wire(lambda request: Response(pieces(request)))
    wire.send(GET)
    requests[0].early_hints("</a.css>; rel=preload")
    answer = reply(wire)
    assert (answer.interim, answer.body) == ([], b"hello")


def test_early_hints_that_break_out(logged):
    """Nothing can break out of a hint either."""

    def handler(request: Request) -> Response:
        request.early_hints("</a.css>\r\n\r\nHTTP/1.1 200 OK")
        return Response()

    wire = Wire(handler)
    wire.send(GET)
    answer = reply(wire)
    assert (answer.status, answer.interim) == (500, [])
    logged.take(ValueError)


# Many small pieces


def test_many_small_pieces():
    """A body in very many pieces is sent whole."""
    body = Response(iter([b"x"] * 20000))
    wire = Wire(lambda request: body)
    wire.send(GET, 10)
    assert len(reply(wire).body) == 20000


def test_pieces_of_any_size():
    """The size of a piece is that of its chunk."""
    sizes = [1, 9, 10, 15, 16, 17, 255, 256, 65535, 65536, 300 * KIB]
    answer = answer_of(Response(iter([b"x" * size for size in sizes])))
    assert len(answer.body) == sum(sizes)
