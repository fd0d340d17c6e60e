"""Clients and handlers that take too long, on a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from zope.interface import directlyProvides

from mynet.http import http1
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.limits import KIB, Limits
from mynet.http.message import Body, Request, Response
from mynet.testing import Wire, result_of
from tests.conversation import (
    GET,
    Recorder,
    Waiting,
    assert_last,
    chunked,
    head,
    post,
    replies,
    reply,
)

SWEEP = 1
"""A deadline may pass up to a second, and a sweep, before it is looked at."""


def wait_until_closed(wire: Wire, most: float = 200) -> float:
    """For how long the connection is kept."""
    begin = wire.clock.seconds()
    while not wire.closed:
        wire.advance(1)
        assert wire.clock.seconds() - begin <= most, "it is kept for ever"
    return wire.clock.seconds() - begin


def lasts(seconds: float) -> object:
    """A time that equals a deadline, as exactly as those are kept."""
    return pytest.approx(seconds + SWEEP, abs=SWEEP)


# The head


def test_client_that_says_nothing():
    """A connection on which nothing is sent is closed without a word."""
    wire = Wire(Recorder(), replace(Limits(), header_timeout=5))
    assert wait_until_closed(wire) == lasts(5)
    assert wire.received == b""
    assert wire.transport.disconnected
    assert wire.factory.stats.timeouts == 0


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", GET[:-1]])
def test_head_that_does_not_come_in_time(sent):
    """A head that is not whole in time is answered 408, however its bytes trickle in."""
    handler = Recorder()
    wire = Wire(handler, replace(Limits(), header_timeout=5))
    wire.advance(2)
    wire.send(sent[:1])
    wire.advance(2)
    wire.send(sent[1:])
    assert wait_until_closed(wire) + 2 == lasts(5)
    assert_last(wire, 408)
    assert handler.requests == []
    assert wire.factory.stats.timeouts == 1


def test_head_that_trickles_in():
    """More bytes give no more time."""
    wire = Wire(Recorder(), replace(Limits(), header_timeout=5))
    begin = wire.clock.seconds()
    for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 100:
        if wire.closed:
            break
        wire.send(bytes([byte]))
        wire.advance(1)
    assert wire.clock.seconds() - begin == lasts(5)
    assert_last(wire, 408)


def test_empty_lines_give_no_time():
    """Empty lines are no request, and keep no connection open."""
    wire = Wire(Recorder(), replace(Limits(), header_timeout=5))
    begin = wire.clock.seconds()
    for _ in range(20):
        if wire.closed:
            break
        wire.send(b"\r\n")
        wire.advance(1)
    assert wire.clock.seconds() - begin == lasts(5)
    assert wire.received == b""


def test_head_of_a_later_request():
    """Each request has the same time for its head, from its first byte."""
    wire = Wire(Recorder(), replace(Limits(), header_timeout=5, idle_timeout=50))
    wire.send(GET)
    assert reply(wire).status == 200
    wire.advance(20)
    wire.send(GET[:10])
    assert wait_until_closed(wire) == lasts(5)
    assert_last(wire, 408)


def test_head_behind_a_request_in_progress():
    """What waits behind a request has its time when its turn comes."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), header_timeout=5, idle_timeout=50))
    wire.send(GET + GET[:10])
    wire.advance(30)
    assert not wire.closed
    handler.answers[0].callback(Response())
    assert reply(wire).status == 200
    assert wait_until_closed(wire) == lasts(5)
    assert_last(wire, 408)


# Idle connections


def test_idle_connection():
    """A connection is kept for a while after each answer; its end is no error."""
    wire = Wire(Recorder(), replace(Limits(), idle_timeout=20))
    for seconds in (5, 15, 15):
        wire.advance(seconds)
        wire.send(GET)
        assert reply(wire).status == 200
    assert wait_until_closed(wire) == lasts(20)
    assert wire.received == b""
    assert wire.transport.disconnected
    assert wire.factory.stats.timeouts == 0


def test_idle_after_a_body_that_was_thrown_away():
    """So it is after a body that nobody read."""
    wire = Wire(lambda request: Response(), replace(Limits(), idle_timeout=20))
    wire.send(post(b"Content-Length: 5"))
    assert reply(wire).status == 200
    wire.send(b"hello")
    assert wait_until_closed(wire) == lasts(20)


# Bodies: a least rate


def test_body_that_does_not_come():
    """A body of which nothing comes is given its grace; then its reader is told, and answers."""
    wire = Wire(Recorder(), replace(Limits(), body_grace=5))
    wire.send(post(b"Content-Length: 5"))
    assert wait_until_closed(wire) == lasts(5)
    assert_last(wire, 408)
    assert wire.factory.stats.timeouts == 1


@pytest.mark.parametrize("field", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_body_slower_than_its_least_rate(field):
    """A body that trickles in is not waited for; one that is as fast as the rate is."""
    limits = replace(Limits(), body_grace=5, body_rate=10)
    for rate, is_kept in ((10, True), (9, False), (1, False)):
        piece = b"x" * rate
        if b"chunked" in field:
            piece = chunked(piece)[:-5]
        wire = Wire(Recorder(), limits)
        wire.send(post(field))
        for _ in range(100):
            wire.send(piece)
            wire.advance(1)
        assert wire.closed is not is_kept
        if not is_kept:
            assert_last(wire, 408)


def test_rate_counts_the_body_alone():
    """What frames the chunks is no body, however large it is."""
    wire = Wire(Recorder(), replace(Limits(), body_grace=5, body_rate=10))
    wire.send(post(b"Transfer-Encoding: chunked"))
    for _ in range(20):
        wire.send(b"1;extension=" + b"x" * 100 + b"\r\nx\r\n")
        wire.advance(1)
    assert_last(wire, 408)


def test_body_while_its_handler_does_not_read():
    """The client is not blamed for the time in which it was not let to send."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_grace=5, body_buffer=10 * KIB))
    wire.send(post(b"Content-Length: 20480") + b"x" * 10 * KIB)
    wire.advance(100)
    assert not wire.closed
    body = handler.requests[0].read()
    wire.advance(4)
    wire.send(b"x" * 10 * KIB)
    assert len(result_of(body)) == 20 * KIB


def test_body_after_its_handler_did_not_read():
    """When it is let to, its time goes on."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_rate=1024, body_grace=5, body_buffer=10 * KIB))
    wire.send(post(b"Content-Length: 20480") + b"x" * 10 * KIB)
    wire.advance(100)
    body = handler.requests[0].read()
    wire.advance(5 + 10 + 2)
    with pytest.raises(HTTPError, match="408"):
        result_of(body)


def test_body_that_waits_for_leave():
    """Its time begins when the client is told to go on."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_grace=5))
    wire.send(post(b"Expect: 100-continue", b"Content-Length: 5"))
    wire.advance(100)
    body = handler.requests[0].read()
    wire.advance(4)
    assert not body.called
    wire.advance(3)
    with pytest.raises(HTTPError, match="408"):
        result_of(body)


def test_body_that_does_not_wait_for_leave():
    """Or when it goes on by itself."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_grace=5))
    wire.send(post(b"Expect: 100-continue", b"Content-Length: 5"))
    wire.advance(100)
    wire.send(b"h")
    body = handler.requests[0].read()
    wire.advance(4)
    assert not body.called
    wire.advance(3)
    with pytest.raises(HTTPError, match="408"):
        result_of(body)


def test_body_that_is_slow_and_not_read():
    """It is 408 though its handler never reads, and that is cancelled."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), body_grace=5))
    wire.send(post(b"Content-Length: 5") + b"h")
    wire.advance(20)
    wire.send(b"ello" + GET)
    answer = reply(wire)
    assert (answer.status, answer.closes) == (408, True)
    assert handler.cancelled == [b"/"]
    assert len(handler.requests) == 1


def test_body_that_is_slow_and_thrown_away():
    """A body that nobody reads any more is not waited for either."""
    wire = Wire(lambda request: Response(), replace(Limits(), body_grace=5))
    wire.send(post(b"Content-Length: 5") + b"h")
    assert reply(wire).status == 200
    assert wait_until_closed(wire) == lasts(5)
    wire.advance(4)
    assert wire.transport.disconnected
    assert wire.received == b""


def test_rate_can_be_turned_off():
    """Where it is 0 a body may take its time."""
    wire = Wire(Recorder(), replace(Limits(), body_rate=0, body_grace=0))
    wire.send(post(b"Content-Length: 5"))
    wire.advance(1000)
    wire.send(b"hello")
    assert reply(wire).body == b"hello"


# Responses that are not read


def test_client_that_reads_nothing():
    """A client that takes nothing of what it asked for is cut off, and its handler told."""
    ended: list[type[BaseException] | None] = []

    async def stream() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10 * KIB
        finally:
            ended.append(None)

    wire = Wire(lambda request: Response(stream()), replace(Limits(), send_timeout=5))
    wire.stop_reading()
    wire.send(GET)
    assert ended == []
    assert wait_until_closed(wire) == lasts(5)
    assert wire.transport.aborted
    assert ended == [None]
    assert wire.factory.stats.timeouts == 1


def test_client_that_stops_reading_when_answered():
    """So is one that has its answer waiting, and whether or not it asks for more."""
    for more in (b"", GET, GET[:5]):
        limits = replace(Limits(), send_timeout=5, idle_timeout=50)
        wire = Wire(lambda request: Response(b"x" * 100 * KIB), limits)
        wire.stop_reading()
        wire.send(GET + more)
        assert wait_until_closed(wire) == lasts(5)
        assert wire.transport.aborted


def test_client_that_reads_nothing_of_a_file(tmp_path, monkeypatch):
    """So is one that takes what was before a file, but nothing of the file."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    monkeypatch.setattr(http1, "can_send_files", lambda transport: True)
    monkeypatch.setattr(http1, "send_file", lambda *_: Deferred())
    clock = Clock()
    directlyProvides(clock, IReactorFDSet)
    wire = Wire(lambda request: Response.file(path), replace(Limits(), send_timeout=5), clock)
    wire.send(GET)
    wire.protocol.pauseProducing()
    wire.advance(3)
    wire.protocol.resumeProducing()
    assert wait_until_closed(wire) == lasts(5)
    assert wire.transport.aborted


def test_client_that_reads_nothing_of_the_last_response():
    """So is one whose connection was to close when all had been sent."""
    wire = Wire(lambda request: Response(b"x" * 10), replace(Limits(), send_timeout=5))
    wire.stop_reading()
    wire.send(head(b"Connection: close"))
    assert not wire.transport.disconnected
    assert wait_until_closed(wire) == lasts(5)
    assert wire.transport.aborted


def test_client_that_reads_slowly():
    """A client that reads slowly but steadily gets everything."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 20 * KIB

    bodies: list[Body] = [stream(), b"x" * 1000 * KIB]
    while bodies:
        wire = Wire(lambda request: Response(bodies.pop()))
        wire.stop_reading()
        wire.send(head(b"Connection: close"))
        for _ in range(300):
            wire.read(8 * KIB)
            wire.advance(1)
        assert len(reply(wire).body) == 1000 * KIB


def test_request_behind_a_slow_reader():
    """A request that came in time is not too late because what is before it is read slowly."""
    limits = replace(Limits(), idle_timeout=5, send_timeout=30)
    wire = Wire(lambda request: Response(b"x" * 100 * KIB), limits)
    wire.stop_reading()
    wire.send(GET)
    wire.send(GET)
    wire.advance(20)
    wire.read()
    first, second = replies(wire, "GET", "GET")
    assert (first.status, second.status) == (200, 200)
    assert not wire.closed
    assert wait_until_closed(wire) == lasts(5)


def test_idle_begins_when_all_is_read():
    """A connection is not idle while its client still reads."""
    limits = replace(Limits(), idle_timeout=5, send_timeout=30)
    wire = Wire(lambda request: Response(b"x" * 100 * KIB), limits)
    wire.stop_reading()
    wire.send(GET)
    wire.advance(20)
    wire.read()
    assert reply(wire).status == 200
    wire.advance(3)
    wire.send(GET)
    assert reply(wire).status == 200


# Handlers


def test_handler_has_no_deadline():
    """Unless told otherwise, a handler may take its time."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(GET)
    wire.advance(1000)
    handler.answers[0].callback(Response(b"at last"))
    assert reply(wire).body == b"at last"


def test_handler_that_takes_too_long():
    """Where there is a deadline, a handler that misses it is cancelled: 503. All goes on."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), handler_timeout=5))
    wire.send(GET + GET)
    wire.advance(4)
    assert wire.received == b""
    wire.advance(3)
    answer = reply(wire)
    assert (answer.status, answer.closes) == (503, False)
    assert handler.cancelled == [b"/"]
    assert len(handler.requests) == 2
    handler.answers[1].callback(Response(b"in time"))
    assert reply(wire).body == b"in time"
    assert wire.factory.stats.timeouts == 1


def test_coroutine_that_takes_too_long(logged):
    """A coroutine is cancelled where it waits; what it does then is of no consequence."""
    came: list[str] = []
    held: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        try:
            await held
        finally:
            came.append("here")
        return Response(b"never")

    wire = Wire(handler, replace(Limits(), handler_timeout=5))
    wire.send(GET)
    wire.advance(7)
    assert reply(wire).status == 503
    assert came == ["here"]


@pytest.mark.parametrize("late", [Response(b"late"), ValueError("late")], ids=repr)
def test_answer_that_comes_too_late(late, logged):
    """A handler that cannot be cancelled has its answer thrown away, its errors logged."""
    answers: list[Deferred[Response]] = []

    async def handler(request: Request) -> Response:
        answers.append(Deferred(lambda _: None))
        held: Deferred[Response] = Deferred(lambda deferred: deferred.callback(Response()))
        await held
        return await answers[-1]

    wire = Wire(handler, replace(Limits(), handler_timeout=5))
    wire.send(GET)
    wire.advance(7)
    assert reply(wire).status == 503
    if isinstance(late, Response):
        answers[0].callback(late)
    else:
        answers[0].errback(late)
        logged.take(ValueError)
    wire.send(GET)
    assert wire.take() == b""


def test_response_may_take_longer_than_its_handler():
    """The deadline is for the beginning of a response, not for its end."""
    pieces: list[Deferred[bytes]] = [Deferred(), Deferred()]

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield await piece

    wire = Wire(lambda request: Response(stream()), replace(Limits(), handler_timeout=5))
    wire.send(GET)
    wire.advance(10)
    pieces[0].callback(b"first")
    wire.advance(10)
    pieces[1].callback(b"second")
    assert reply(wire).body == b"firstsecond"


# Clients that have closed their sending side


def test_half_closed_client_waits():
    """A client that has said all still gets its answer, for a while."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), half_closed_timeout=5))
    wire.send(GET)
    wire.half_close()
    wire.advance(4)
    handler.answers[0].callback(Response(b"here"))
    assert reply(wire).body == b"here"
    assert wire.transport.disconnected


def test_half_closed_client_does_not_wait_for_ever():
    """Then it is taken to have gone: what its handler does is cancelled."""
    handler = Waiting()
    for data in (GET, GET + GET):
        wire = Wire(handler, replace(Limits(), half_closed_timeout=5, handler_timeout=50))
        wire.send(data)
        wire.half_close()
        assert wait_until_closed(wire) == lasts(5)
        assert handler.cancelled.pop() == b"/"
        assert wire.received.startswith(b"HTTP/1.1 503 ")


def test_half_closed_client_with_a_request_behind():
    """Each of its requests has as long."""
    handler = Waiting()
    wire = Wire(handler, replace(Limits(), half_closed_timeout=5))
    wire.send(GET + GET)
    wire.half_close()
    wire.advance(4)
    handler.answers[0].callback(Response())
    assert wait_until_closed(wire) == lasts(5)
    assert handler.cancelled == [b"/"]


def test_half_closed_client_of_a_long_response():
    """A response that is being sent is not cut off because its client has nothing to say."""
    pieces: list[Deferred[bytes]] = [Deferred() for _ in range(20)]

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield await piece

    for early in (True, False):
        pieces[:] = [Deferred() for _ in range(20)]
        wire = Wire(lambda request: Response(stream()), replace(Limits(), half_closed_timeout=5))
        wire.send(GET)
        if not early:
            pieces[0].callback(b"x")
        wire.half_close()
        for piece in pieces[not early :]:
            wire.advance(3)
            piece.callback(b"x")
        assert reply(wire).body == b"x" * 20
        assert wire.transport.disconnected


def test_half_closed_client_of_a_response_that_stands_still():
    """One of which nothing more comes is: its client may have gone."""
    gone: list[bool] = []

    async def stream() -> AsyncIterator[bytes]:
        yield b"x"
        try:
            await Deferred()
        finally:
            gone.append(True)

    wire = Wire(lambda request: Response(stream()), replace(Limits(), half_closed_timeout=5))
    wire.send(GET)
    wire.half_close()
    assert wait_until_closed(wire) == lasts(5)
    assert gone == [True]
    assert wire.transport.aborted


# The end


def test_linger():
    """After an error the connection is read on for a while, and no longer."""
    wire = Wire(Recorder(), replace(Limits(), linger_timeout=5))
    wire.send(b"?\r\n\r\n")
    assert wire.transport.half_closed
    for _ in range(4):
        wire.advance(1)
        wire.send(b"x" * 1000)
        assert not wire.transport.disconnected
    wire.advance(3)
    assert wire.transport.disconnected
    assert not wire.transport.aborted


def test_linger_for_a_client_that_does_not_read():
    """A client that reads nothing then is cut off in the end."""
    wire = Wire(Recorder(), replace(Limits(), linger_timeout=5, send_timeout=10))
    wire.stop_reading()
    wire.send(b"?\r\n\r\n")
    wire.advance(14)
    assert not wire.transport.disconnected
    wire.advance(4)
    assert wire.transport.aborted
    assert wire.transport.disconnected


def test_nothing_is_left_of_a_connection():
    """When the last connection is over, no clock runs for it."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(GET)
    gone = handler.requests[0].disconnected()
    body = handler.requests[0].read()
    wire.hang_up()
    assert result_of(gone) is None
    assert result_of(body) == b""
    assert wire.clock.getDelayedCalls() == []
    assert len(wire.factory.connections) == 0


def test_body_of_a_client_that_is_cut_off():
    """A handler that reads is told in the same words, whoever ended the connection."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 5"))
    body = handler.requests[0].read()
    wire.protocol.abort()
    wire.advance(0)
    with pytest.raises(ClientGone):
        result_of(body)
