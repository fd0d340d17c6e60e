"""What a review found: one request must not act on another, and nothing waits for ever."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from itertools import repeat
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import alsoProvides, implementer

from mynet.http import HTTPError, HTTPFactory, Limits, Request, RequestBody, Response, Upgrade
from mynet.http.connection import TURN
from mynet.testing import MemoryTransport, Wire
from tests.conversation import GET, Waiting, chunked, head, post

CHUNKED = b"Transfer-Encoding: chunked"


def test_old_body_lets_the_new_one_wait():
    """What an application reads of an old request does not let the next one's body flow."""
    requests: list[Request] = []

    def handler(request: Request) -> Any:
        requests.append(request)
        return Response(b"", 202) if request is requests[0] else Deferred()

    wire = Wire(handler)
    wire.send(post(b"Content-Length: 70000", body=bytes(70_000)))
    wire.send(post(b"Content-Length: 100000000", body=bytes(70_000)))
    assert wire.transport.paused
    assert isinstance(requests[0].body, RequestBody)
    requests[0].body.read()
    assert wire.transport.paused


def test_old_body_does_not_hold_the_new_one():
    """What is left of an old request's body does not stop the connection."""

    async def take_one(request: Request) -> Response:
        async for _ in request:
            return Response(b"one")
        return Response(b"none")

    wire = Wire(take_one, Limits(body_buffer=1024))
    wire.send(post(CHUNKED))
    data = bytes(500)
    wire.send(chunked(*[data] * 10) + post(b"Content-Length: 5"))
    wire.send(b"hello")
    assert wire.received.count(b"\r\n\r\none") == 2
    assert not wire.transport.paused


def test_error_that_cannot_be_encoded():
    """An error whose detail is no Unicode text is answered all the same."""
    waited: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        await waited
        raise HTTPError(400, "no such user: \ud800")

    wire = Wire(handler)
    wire.send(GET)
    waited.callback(None)
    assert wire.received.startswith(b"HTTP/1.1 400 ")
    assert rb"no such user: \ud800" in wire.received


class EndlessTransport(MemoryTransport):
    """One that never pauses whoever writes, as TLS is after its client has said goodbye."""

    def write(self, data: bytes) -> None:
        pass


def on(transport: MemoryTransport, factory: HTTPFactory) -> Any:
    connection = factory.buildProtocol(None)
    transport.protocol = connection
    connection.makeConnection(transport)
    return connection


def test_endless_body_leaves_others_their_turn():
    """A body that never ends, and that nothing stops, does not stop the reactor."""
    clock = Clock()
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        for _ in repeat(None):
            sent.append(1)
            yield bytes(64 * 1024)

    factory = HTTPFactory(lambda request: Response(body()), reactor=clock)
    transport = EndlessTransport(clock)
    connection = on(transport, factory)
    connection.dataReceived(GET)
    assert len(sent) == TURN // (64 * 1024)
    transport.lose(ConnectionError())


def test_tls_that_ended_unsaid():
    """A handler is cancelled when TLS below it has ended, even if nobody says so."""
    clock = Clock()
    closed: list[bool] = []

    async def body() -> AsyncIterator[bytes]:
        try:
            await Deferred()
            yield b""
        finally:
            closed.append(True)

    factory = HTTPFactory(lambda request: Response(body()), reactor=clock)
    transport: Any = MemoryTransport(clock)
    transport.transport = MemoryTransport(clock)
    alsoProvides(transport, ISSLTransport)
    on(transport, factory).dataReceived(GET)
    clock.advance(1)
    assert not closed
    transport.transport.disconnecting = True
    clock.advance(1)
    clock.advance(0)
    assert transport.aborted
    assert closed
    assert not factory.connections


def test_deadlines_are_not_early():
    """A handler has at least the time that it is given, whenever in a second it began."""
    wire = Wire(lambda request: Deferred(), Limits(handler_timeout=1))
    wire.clock.advance(0.9)
    wire.send(GET)
    wire.clock.advance(0.9)
    assert wire.received == b""
    wire.advance(1.1)
    assert wire.received.startswith(b"HTTP/1.1 503 ")


def test_slow_reader_of_a_whole_response():
    """A client that takes 3 KiB each second gets its 250 KiB."""
    wire = Wire(lambda request: Response(bytes(250 * 1024)))
    wire.stop_reading()
    wire.send(GET)
    for _ in range(90):
        wire.read(3072)
        wire.advance(1)
    assert not wire.closed
    assert len(wire.received) > 250 * 1024


def test_addresses_outlive_the_connection():
    """Whoever logs the end of a request may ask where it arrived."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(GET)
    wire.transport.getHost = None  # type: ignore[method-assign,assignment]
    wire.hang_up()
    assert handler.requests[0].server is not None


@implementer(IBodyProducer)
class Sender:
    """An IBodyProducer made of Twisted's FileSender, which is a pull producer."""

    length = 200_000

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        sent: Deferred[None] = Deferred()
        transfer = FileSender().beginFileTransfer(io.BytesIO(b"x" * self.length), consumer)
        transfer.addCallback(lambda _: sent.callback(None))
        return sent

    def pauseProducing(self) -> None:
        raise AssertionError("a pull producer is not paused")

    resumeProducing = stopProducing = pauseProducing


def test_pull_producers():
    """A producer that writes only when it is asked is asked, at the client's pace."""
    wire = Wire(lambda request: Response(Sender()))
    wire.stop_reading()
    wire.send(GET)
    assert 64 * 1024 < len(wire.transport.waiting) < 150_000
    wire.read()
    assert wire.received.endswith(b"\r\n\r\n" + b"x" * 200_000)


def test_nothing_is_read_behind_a_broken_body():
    """A body over its limit is 413 at once, though its handler neither reads nor answers."""
    wire = Wire(lambda request: Deferred(), Limits(body=1000))
    wire.send(post(CHUNKED) + b"7d0\r\n")
    wire.send(bytes(2000))
    assert wire.received.startswith(b"HTTP/1.1 413 ")
    assert wire.closed


def test_tiny_chunks_cost_no_more_than_large_ones():
    """What waits to be read waits as it arrived, not in as many pieces as it has chunks."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(CHUNKED))
    wire.send(b"2\r\nab\r\n" * 5000)
    body = handler.requests[0].body
    assert isinstance(body, RequestBody)
    assert body.buffered == 10_000
    assert len(body._chunks) == 1


def test_many_small_arrivals():
    """So too where each byte arrives alone."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 1000"))
    wire.send(b"x" * 1000, 1)
    body = handler.requests[0].body
    assert isinstance(body, RequestBody)
    assert len(body._chunks) < 100
    read: list[bytes] = []
    body.read().addCallback(read.append)
    assert read == [b"x" * 1000]


def fail(*_: object) -> Any:
    raise ZeroDivisionError


def test_canceller_that_fails(logged):
    """Whatever an application does when its client goes, the rest is done all the same."""
    finished: list[bool] = []

    def handler(request: Request) -> Deferred[Response]:
        request.on_finish(lambda: finished.append(True))
        return Deferred(fail)

    wire = Wire(handler)
    wire.send(GET)
    wire.hang_up()
    assert finished == [True]
    logged.take(ZeroDivisionError)


def test_upgraded_protocol_that_fails(logged):
    """So too where another protocol fails at its end."""
    finished: list[bool] = []

    def handler(request: Request) -> Response:
        request.on_finish(lambda: finished.append(True))
        protocol = Protocol()
        protocol.connectionLost = fail  # type: ignore[method-assign,assignment]
        return Upgrade("x", protocol)

    wire = Wire(handler)
    wire.send(head(b"Connection: upgrade", b"Upgrade: x"))
    wire.hang_up()
    assert finished == [True]
    assert not wire.factory.connections
    logged.take(ZeroDivisionError)


@pytest.mark.parametrize("waits", [False, True])
def test_coroutine_that_returns_a_deferred(waits):
    """It is waited for, whether or not the coroutine waited itself."""

    async def handler(request: Request) -> Any:
        if waits:
            await waited
        return succeed(Response(b"hi"))

    waited: Deferred[None] = Deferred()
    wire = Wire(handler)
    wire.send(GET)
    waited.callback(None)
    assert wire.received.endswith(b"\r\n\r\nhi")


def test_cancelled_while_it_runs():
    """A handler whose client goes while it runs is cancelled where it waits next."""
    seen: list[type] = []

    async def handler(request: Request) -> Response:
        await first
        wire.hang_up()
        try:
            await Deferred()
        except Exception as error:
            seen.append(type(error))
            raise
        return Response()

    first: Deferred[None] = Deferred()
    wire = Wire(handler)
    wire.send(GET)
    first.callback(None)
    assert [kind.__name__ for kind in seen] == ["CancelledError"]


def test_cancelled_before_it_first_waits():
    """So too where it had not waited yet."""
    cancelled: list[bool] = []

    async def handler(request: Request) -> Response:
        wire.hang_up()
        await Deferred(lambda _: cancelled.append(True))
        return Response()

    wire = Wire(handler)
    wire.send(GET)
    assert cancelled == [True]


@pytest.mark.parametrize("size", [None, 1000])
def test_chunk_extensions_however_they_arrive(size):
    """A chunk extension that is too long is 431, in one packet or in many."""
    wire = Wire(lambda request: request.read().addCallback(Response))
    wire.send(post(CHUNKED))
    wire.send(b"1;" + b"e" * 60_000 + b"\r\nx\r\n0\r\n\r\n", size)
    assert wire.received.startswith(b"HTTP/1.1 431 ")


def test_no_content_to_reset():
    """205 has no body (RFC 9110 section 15.3.6), and says so."""
    wire = Wire(lambda request: Response(b"", 205))
    wire.send(GET)
    assert wire.received.endswith(b"Content-Length: 0\r\n\r\n")


def test_refused_head_request():
    """HEAD is answered without a body, also where it is refused."""
    wire = Wire(lambda request: Response())
    wire.send(head(b"Content-Length: 99999999999", line=b"HEAD / HTTP/1.1"))
    assert wire.received.startswith(b"HTTP/1.1 413 ")
    assert wire.received.endswith(b"\r\n\r\n")


def test_length_that_is_none(logged):
    """A producer with a negative length is an error of the application: 500."""
    producer = Sender()
    producer.length = -1
    wire = Wire(lambda request: Response(producer))
    wire.send(GET)
    assert wire.received.startswith(b"HTTP/1.1 500 ")
    logged.take(ValueError)


def test_no_new_connections_while_draining():
    """Who comes too late is turned away, instead of waiting for nobody."""
    factory = HTTPFactory(lambda request: Deferred(), reactor=Clock())
    wire = Wire(factory, clock=factory.clock)  # type: ignore[arg-type]
    wire.send(GET)
    factory.drain(10)
    assert Wire(factory).closed
    wire.hang_up()


def test_asyncio_cancelled_error(logged):
    """An error that is none of Exception's is answered like any other."""
    from asyncio import CancelledError

    def handler(request: Request) -> Response:
        raise CancelledError

    wire = Wire(handler)
    wire.send(GET)
    assert wire.received.startswith(b"HTTP/1.1 500 ")
    failures: list[Failure] = logged.take(CancelledError)
    assert len(failures) == 1
