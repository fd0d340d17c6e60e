"""Expect: 100-continue (RFC 9110 section 10.1.1): the client waits until somebody reads."""

from __future__ import annotations

import pytest

from mynet.http.errors import HTTPError
from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.testing import Wire, result_of
from tests.conversation import BEHIND, GET, Recorder, Waiting, chunked, head, post, replies, reply

CHUNKED = b"Transfer-Encoding: chunked"
EXPECTING = post(b"Expect: 100-Continue", b"Content-Length: 5")


def test_continue_when_read():
    """The client is told to send its body when somebody reads it, once, and not before."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(EXPECTING)
    assert wire.received == b""
    body = handler.requests[0].read()
    assert wire.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"hello")
    assert result_of(body) == b"hello"
    handler.answers[0].callback(Response(b"thanks"))
    answer = reply(wire)
    assert (answer.interim, answer.body, answer.closes) == ([100], b"thanks", False)
    wire.send(GET)
    assert len(handler.requests) == 2


def test_continue_in_chunks():
    """A chunked body is asked for in the same way; a second read asks no more."""

    async def handler(request: Request) -> Response:
        first = await anext(aiter(request))
        return Response(first + await request.read())

    wire = Wire(handler)
    wire.send(post(b"Expect: 100-continue", CHUNKED))
    wire.send(chunked(b"hello ", b"world"), 1)
    answer = reply(wire)
    assert (answer.interim, answer.body, answer.closes) == ([100], b"hello world", False)


def test_answer_after_continue():
    """A client that was told to go on will send its body, also when it is answered before."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(EXPECTING)
    body = handler.requests[0].read()
    handler.answers[0].callback(Response())
    assert not reply(wire).closes
    with pytest.raises(RuntimeError, match="has been answered"):
        result_of(body)
    wire.send(b"hello" + GET)
    assert len(handler.requests) == 2


def test_continue_needless():
    """A client that does not wait, or speaks 1.0, or has no body, is not told to go on."""
    for data in (
        EXPECTING + b"hello",
        post(b"Expect: 100-continue", b"Content-Length: 0"),
        head(b"Expect: 100-continue"),
        head(b"Expect: 100-continue", b"Content-Length: 5", line=b"POST / HTTP/1.0") + b"hello",
        head(b"Expect: x", b"Content-Length: 5", line=b"POST / HTTP/1.0") + b"hello",
    ):
        wire = Wire(Recorder())
        wire.send(data)
        answer = reply(wire)
        assert (answer.status, answer.interim) == (200, [])


def test_continue_of_a_client_that_does_not_wait():
    """A client that sends before it is told to is not told any more."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(EXPECTING)
    wire.send(b"he")
    body = handler.requests[0].read()
    wire.send(b"llo")
    assert result_of(body) == b"hello"
    handler.answers[0].callback(Response())
    answer = reply(wire)
    assert (answer.interim, answer.closes) == ([], False)


def test_no_continue_for_what_is_too_large():
    """A body that its reader would refuse is not asked for."""

    async def handler(request: Request) -> Response:
        return Response(await request.read(4))

    wire = Wire(handler)
    wire.send(EXPECTING)
    answer = reply(wire)
    assert (answer.status, answer.interim, answer.closes) == (413, [], True)


def test_answer_without_continue():
    """Who answers without reading ends the connection: the body may come, or may not."""
    wire = Wire(lambda request: Response.text("no, thank you"))
    wire.send(EXPECTING)
    answer = reply(wire)
    assert (answer.status, answer.interim, answer.closes) == (200, [], True)
    wire.send(b"hello" + BEHIND)
    wire.advance(3)
    assert wire.transport.disconnected
    assert wire.received == b""


def test_stream_without_continue():
    """So does who streams an answer; nobody is told to go on once it has begun."""

    async def answer(request: Request):
        yield b"first"
        with pytest.raises(HTTPError, match="408"):
            await request.read()
        yield b"second"

    wire = Wire(lambda request: Response(answer(request)))
    wire.send(EXPECTING)
    assert b"Connection: close" in wire.received
    wire.advance(Limits().body_grace + 2)
    (whole,) = replies(wire, "POST")
    assert (whole.body, whole.interim, whole.closes) == (b"firstsecond", [], True)
    assert whole.complete
    assert wire.closed
