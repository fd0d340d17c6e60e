"""Bodies that stream over a connection: at the client's pace, and closed however that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Cooperator
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.http.limits import KIB, Limits
from mynet.http.message import Request, Response
from mynet.http.outgoing import PIECE
from mynet.testing import HIGH_WATER, Wire
from tests.conversation import GET, head, post, replies, reply

BOUND = PIECE + 2 * HIGH_WATER
"""The most that may wait for one client."""


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 10 * KIB


async def endless_slowly() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 10 * KIB


@pytest.mark.parametrize("data", [GET, GET + GET, GET[:5]], ids=["alone", "pipelined", "split"])
@pytest.mark.parametrize("body", [endless, endless_slowly])
def test_client_that_does_not_read(body, data):
    """A body waits for its client: what is in memory stays the same however long it is."""
    wire = Wire(lambda request: Response(body()))
    wire.stop_reading()
    wire.send(data)
    wire.send(GET[len(data) :])
    assert HIGH_WATER < len(wire.transport.waiting) < HIGH_WATER + 20 * KIB
    for _ in range(20):
        wire.read(100 * KIB)
        assert len(wire.transport.waiting) < HIGH_WATER + 20 * KIB
    assert len(wire.received) > 1000 * KIB
    wire.hang_up()


def test_client_that_does_not_read_large_bytes():
    """Large bytes wait in their one place, and not in the transport as well."""
    wire = Wire(lambda request: Response(b"x" * 5000 * KIB))
    wire.stop_reading()
    wire.send(GET)
    assert len(wire.transport.waiting) < BOUND
    while wire.transport.waiting:
        wire.read(50 * KIB)
        assert len(wire.transport.waiting) < BOUND
    assert len(reply(wire).body) == 5000 * KIB


# Files


def test_file(tmp_path):
    """A file goes out in its length, and is closed."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 500 * KIB)
    wire = Wire(lambda request: opened[-1])
    opened = [Response.file(path)]
    wire.stop_reading()
    wire.send(GET)
    assert len(wire.transport.waiting) <= HIGH_WATER + 65 * KIB
    while wire.transport.waiting:
        wire.read(50 * KIB)
    answer = reply(wire)
    assert (len(answer.body), answer.headers["Content-Length"]) == (500 * KIB, "512000")
    assert opened[0].body.file.closed  # type: ignore[union-attr]


def test_file_that_changes(tmp_path, logged):
    """A file that has grown is sent as it was; one that has shrunk is broken off."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100)
    with path.open("r+b") as file:
        for size, is_complete in ((200, True), (50, False)):
            response = Response.file(path)
            file.truncate(size)
            wire = Wire(lambda request, response=response: response)  # type: ignore[misc]
            wire.send(GET)
            (answer,) = replies(wire)
            assert answer.complete is is_complete
            assert wire.transport.aborted is not is_complete
            file.truncate(100)
    logged.take(ValueError)


@pytest.mark.parametrize("data", [GET, head(line=b"HEAD / HTTP/1.1"), GET[:10]])
def test_files_are_closed(data):
    """A file is closed when its client goes, or never gets it."""
    file = BytesIO(b"x" * 500 * KIB)
    answer: Deferred[Response] = Deferred(lambda deferred: deferred.callback(Response(file)))
    wire = Wire(lambda request: answer)
    wire.stop_reading()
    wire.send(data)
    wire.send(GET[len(data) :])
    if data == GET:
        wire.hang_up()
    else:
        answer.callback(Response(file))
        assert file.closed is (data != GET[:10])
        wire.hang_up()
    assert file.closed


class Unwilling:
    """A body that cannot be closed."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"hello"])

    def close(self) -> None:
        raise OSError("broken")


class SlowlyUnwilling(Unwilling):
    async def aclose(self) -> None:
        await asyncio.sleep(0)
        raise OSError("broken")


@pytest.mark.parametrize("kind", [Unwilling, SlowlyUnwilling])
def test_body_that_cannot_be_closed(kind, logged):
    """A body that is not sent, and cannot be closed, is logged, and disturbs nothing."""
    wire = Wire(lambda request: Response(kind()))
    wire.send(head(line=b"HEAD / HTTP/1.1"))
    wire.send(head(line=b"HEAD / HTTP/1.1"))
    assert [answer.status for answer in replies(wire, "HEAD", "HEAD")] == [200, 200]
    logged.take(OSError, OSError)


@pytest.mark.parametrize("kind", [Unwilling, SlowlyUnwilling])
def test_body_that_cannot_be_closed_when_it_is_sent(kind, logged):
    """One that is sent is broken off by that: nobody knows whether it was whole."""
    wire = Wire(lambda request: Response(kind()))
    wire.send(GET)
    wire.advance(0)
    (answer,) = replies(wire)
    assert not answer.complete
    assert wire.transport.aborted
    logged.take(OSError)


# Producers


def test_file_body_producer():
    """Twisted's own producer sends its file as the client reads it."""
    wire = Wire(lambda request: Response(producer))
    file = BytesIO(b"x" * 1000 * KIB)
    cooperator = Cooperator(scheduler=lambda call: wire.clock.callLater(0, call))
    producer = FileBodyProducer(file, cooperator)
    wire.stop_reading()
    wire.send(GET)
    for _ in range(20):
        wire.advance(1)
        assert len(wire.transport.waiting) < HIGH_WATER + 65 * KIB
    wire.read()
    wire.advance(20)
    answer = reply(wire)
    assert (len(answer.body), answer.headers["Content-Length"]) == (1000 * KIB, "1024000")
    assert file.closed


@implementer(IBodyProducer)
class Ticker:
    """A producer that writes whenever it is told to."""

    length = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.consumer: IConsumer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def test_producer():
    """A producer is paused while its client does not read, and resumed when it has read."""
    ticker = Ticker()
    wire = Wire(lambda request: Response(ticker))
    wire.send(GET)
    ticker.consumer.write(b"tick")
    assert wire.received.endswith(b"4\r\ntick\r\n")
    wire.stop_reading()
    ticker.consumer.write(b"x" * 50 * KIB)
    assert ticker.calls == []
    ticker.consumer.write(b"x" * 50 * KIB)
    assert ticker.calls == ["pause"]
    wire.read()
    assert ticker.calls == ["pause", "resume"]
    ticker.done.callback(None)
    assert len(reply(wire).body) == 4 + 100 * KIB
    wire.send(GET)


def test_producer_whose_client_goes():
    """It is stopped; what it writes then goes nowhere."""
    ticker = Ticker()
    wire = Wire(lambda request: Response(ticker))
    wire.send(GET)
    wire.hang_up()
    assert ticker.calls == ["stop"]
    ticker.consumer.write(b"late")
    assert b"late" not in wire.received


def test_producer_that_fails(logged):
    """A response that its producer gives up is broken off."""
    ticker = Ticker()
    wire = Wire(lambda request: Response(ticker))
    wire.send(GET)
    ticker.consumer.write(b"hello")
    ticker.done.errback(ValueError("broken"))
    (answer,) = replies(wire)
    assert (answer.body, answer.complete) == (b"hello", False)
    assert wire.transport.aborted
    logged.take(ValueError)


# With the body of the request


def test_last_response_says_so():
    """Where the rest of a body is too large to be thrown away, the response that ends says so."""
    limits = replace(Limits(), drain=5)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"hello"

    for method, response in (
        ("HEAD", Response(iter([b"hello"]))),
        ("HEAD", Response(pieces(), headers={"Content-Length": "5"})),
        ("POST", Response(iter([]), 204)),
        ("POST", Response(b"hello")),
    ):
        wire = Wire(lambda request, response=response: response, limits)  # type: ignore[misc]
        wire.send(head(b"Content-Length: 100", line=method.encode() + b" / HTTP/1.1"))
        assert reply(wire, method).closes
        assert wire.closed


def test_response_that_streams_while_the_body_comes():
    """A response that streams does not, since the body may still be read; then it just ends."""

    async def pieces(request: Request) -> AsyncIterator[bytes]:
        yield b"hello"
        if request.path == "/read":
            yield await request.read()

    limits = replace(Limits(), drain=5)
    wire = Wire(lambda request: Response(pieces(request)), limits)
    wire.send(head(b"Content-Length: 6", line=b"POST /read HTTP/1.1"))
    wire.send(b" world")
    answer = reply(wire)
    assert (answer.body, answer.closes) == (b"hello world", False)
    wire.send(post(b"Content-Length: 6"))
    answer = reply(wire)
    assert (answer.body, answer.closes) == (b"hello", False)
    assert wire.closed
