"""What a client gets of an answer's fields, and of a body that streams."""

from __future__ import annotations

import pytest
from twisted.python.failure import Failure

from mynet.handlers.proxy.fields import CACHED
from mynet.handlers.proxy.inbound import ResponseFields, bodiless, move, with_body
from mynet.http import HTTPError, Response
from mynet.http.client_errors import ResponseCut
from mynet.http.client_response import ClientResponse, ResponseBody
from mynet.http.response_reading import ResponseHead


class Origin:
    """A connection that a body comes from."""

    def __init__(self):
        self.told = []

    def pause_body(self):
        self.told.append("pause")

    def resume_body(self):
        self.told.append("resume")

    def abandon(self):
        self.told.append("abandon")


class Consumer:
    def __init__(self):
        self.written = []

    def write(self, data):
        self.written.append(data)


def answer(section=b"", body=b"", status=200, length=None, trailers=()):
    head = ResponseHead(status, "1.1", -1, True, section, b"")
    return ClientResponse(head, len(body) if isinstance(body, bytes) else length, body, trailers)


SECTION = (
    b"A: 1\r\nConnection: close, Own\r\nOwn: x\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n"
    b"Keep-Alive: timeout=1\r\nSet-Cookie: c=d\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n"
)
KEPT = [(b"a", b"1"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]


def never(*told):
    raise AssertionError(told)


def test_fields():
    """Fields go on in their order, but for what frames the answer or concerns a connection."""
    response = with_body(answer(SECTION, b"Hello"), ResponseFields(), never, never)
    assert (response.status, response.body) == (200, b"Hello")
    assert list(response.raw_headers) == KEPT


def test_bodiless():
    """What has no body keeps its Content-Length, which is told of another answer."""
    response = bodiless(answer(SECTION, status=304), ResponseFields())
    assert (b"content-length", b"5") in response.raw_headers


def test_via():
    """A proxy with a name adds it."""
    fields = ResponseFields("me").of(answer(b"Via: 1.0 other\r\n"))
    assert list(fields) == [(b"via", b"1.0 other, 1.1 me")]


def test_remembered():
    """Servers that repeat themselves cost little, and many answers not much memory."""
    fields = ResponseFields()
    first = fields.of(answer(SECTION))
    assert fields.of(answer(bytes(bytearray(SECTION)))) is first
    for number in range(2 * CACHED):
        fields.of(answer(b"A: %d\r\n" % number))
    fields.of(answer(b"A: %b\r\n" % (b"a" * 5000)))
    assert len(fields._cache) <= CACHED
    assert list(fields.of(answer(SECTION))) == KEPT


def test_remembered_unchanged():
    """What middleware changes in one answer is changed in that one only."""
    fields = ResponseFields()
    with_body(answer(SECTION), fields, never, never).headers["A"] = "2"
    assert with_body(answer(SECTION), fields, never, never).headers["A"] == "1"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://up/base/x", "/app/x"),
        ("http://up/base", "http://up/base"),
        ("http://up/based/x", "http://up/based/x"),
        ("/x", "/x"),
        (None, None),
    ],
)
def test_move(location, expected):
    """A Location that names the upstream names this server instead."""
    fields = [] if location is None else [(b"location", location.encode())]
    response = Response.raw(b"", 302, fields)
    move(response, b"http://up/base", "/app")
    assert response.headers.get("Location") == expected


def streaming(length=None, done=never, blame=never):
    origin, consumer = Origin(), Consumer()
    body = ResponseBody(origin, length)
    answered = answer(body=body, length=length)
    response = with_body(answered, ResponseFields(), done, blame)
    return origin, consumer, body, answered, response


def test_stream():
    """A body that streams goes on as it comes, at the pace of the client."""
    result: list[None] = []
    origin, consumer, body, answered, response = streaming(done=lambda: result.append(None))
    assert response.has_trailers
    response.body.startProducing(consumer).addCallback(result.append)
    body.feed(b"Hel")
    response.body.pauseProducing()
    response.body.resumeProducing()
    body.feed(b"lo")
    answered.trailers = [(b"sum", b"1"), (b"content-length", b"5")]
    body.end()
    assert consumer.written == [b"Hel", b"lo"]
    assert origin.told == ["resume", "pause", "resume"]
    assert result == [None, None]
    assert list(response.trailers.items()) == [("sum", "1")]


def test_stream_of_known_length():
    """One whose length is known keeps it, and has no trailers."""
    *_, response = streaming(5)
    assert response.body.length == 5
    assert not response.has_trailers


@pytest.mark.parametrize("how", ["close", "stopProducing"])
def test_stream_that_nobody_wants(how):
    """One that is not wanted any more is cut off."""
    origin, *_, response = streaming()
    getattr(response.body, how)()
    assert origin.told == ["abandon"]


def test_stream_that_is_cut():
    """That one was cut is told to whoever sends it on."""
    cut, error = ResponseCut("it was cut"), HTTPError(502)
    _, consumer, body, _, response = streaming(blame={cut: error}.__getitem__)
    failures: list[Failure] = []
    response.body.startProducing(consumer).addErrback(failures.append)
    body.fail(Failure(cut))
    assert [failure.value for failure in failures] == [error]


def test_trailers_at_once():
    """Trailers of an answer that is here as a whole go on, as far as they may."""
    answered = answer(body=b"Hello", trailers=[(b"sum", b"1"), (b"set-cookie", b"a=b")])
    response = with_body(answered, ResponseFields(), never, never)
    assert list(response.trailers.items()) == [("sum", "1")]
