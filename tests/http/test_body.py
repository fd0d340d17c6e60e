"""A request body between the protocol that receives it and the one that reads it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from mynet.http.body import READ_LIMIT, RequestBody
from mynet.http.errors import ClientGone, HTTPError
from mynet.testing import result_of
from tests.conversation import Source

T = TypeVar("T")


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def body(source: Source) -> RequestBody:
    """A body of unknown length that may hold ten bytes."""
    return RequestBody(source, None, 10)


def started(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    return Deferred.fromCoroutine(coroutine)


async def collect(body: RequestBody, into: list[bytes], most: int | None = None) -> list[bytes]:
    async for chunk in body:
        into.append(chunk)
        if len(into) == most:
            break
    return into


# All at once


def test_read_what_is_here(body, source):
    """A body that has arrived is read at once, and leaves nothing behind."""
    body.feed(b"one ")
    body.feed(b"two")
    body.end()
    assert result_of(body.read()) == b"one two"
    assert body.buffered == 0
    assert result_of(body.read()) == b""
    assert source.calls == []


def test_read_waits_for_the_end(body, source):
    """A body that still arrives is read when its last byte is in."""
    body.feed(b"one ")
    whole = body.read()
    assert source.calls == ["want"]
    body.feed(b"two ")
    body.feed(b"three")
    assert not whole.called
    body.end()
    assert result_of(whole) == b"one two three"


def test_read_nothing(body):
    """An empty body is no bytes."""
    body.end()
    assert result_of(body.read()) == b""


@pytest.mark.parametrize("arrived", [True, False])
def test_read_up_to_its_limit(arrived):
    """A body as large as the limit is read; one byte more is 413."""
    for size, limit in (4, 4), (5, 4), (0, 0), (1, 0):
        body = RequestBody(Source(), None, 10)
        whole = None if arrived else body.read(limit)
        if size:
            body.feed(b"x" * size)
        body.end()
        whole = whole or body.read(limit)
        if size <= limit:
            assert result_of(whole) == b"x" * size
        else:
            with pytest.raises(HTTPError, match=f"413.*larger than {limit} bytes"):
                result_of(whole)


def test_read_refuses_what_is_declared_too_large(source):
    """A body declared larger than the limit is refused before the client is asked to send it."""
    body = RequestBody(source, 5, 10)
    with pytest.raises(HTTPError, match="413"):
        result_of(body.read(4))
    assert source.calls == []
    assert not body.started


def test_read_has_a_limit_of_its_own(source):
    """Unless told otherwise, no more is gathered in memory than the limit that is documented."""
    assert READ_LIMIT == 1024 * 1024
    with pytest.raises(HTTPError, match="413"):
        result_of(RequestBody(source, READ_LIMIT + 1, 10).read())
    body = RequestBody(source, READ_LIMIT + 1, 10)
    whole = body.read(limit=None)
    body.feed(b"x" * (READ_LIMIT + 1))
    body.end()
    assert len(result_of(whole)) == READ_LIMIT + 1


def test_read_fails_when_the_body_does(body):
    """A body that the client did not finish is not mistaken for a shorter one."""
    whole = body.read()
    body.feed(b"one")
    body.fail(ClientGone())
    with pytest.raises(ClientGone):
        result_of(whole)


# Chunk by chunk


def test_chunks_come_as_they_arrive(body):
    """A loop gets each chunk when it arrives, in order, and ends with the body."""
    body.feed(b"one")
    body.feed(b"two")
    chunks: list[bytes] = []
    loop = started(collect(body, chunks))
    assert chunks == [b"one", b"two"]
    body.feed(b"three")
    assert chunks == [b"one", b"two", b"three"]
    assert not loop.called
    body.end()
    assert result_of(loop) == chunks


def test_later_loop_goes_on_where_an_earlier_one_stopped(body):
    """Who looks at the first bytes only leaves the others to whoever comes next."""
    for chunk in b"one", b"two", b"three":
        body.feed(chunk)
    assert result_of(started(collect(body, [], most=1))) == [b"one"]
    body.end()
    assert result_of(body.read()) == b"twothree"
    assert result_of(started(collect(body, []))) == []


def test_error_comes_after_the_bytes_before_it(body):
    """What arrived before the client broke off is not lost; the error then comes each time."""
    body.feed(b"one")
    body.fail(HTTPError(408))
    chunks: list[bytes] = []
    for _ in range(2):
        with pytest.raises(HTTPError, match="408"):
            result_of(started(collect(body, chunks)))
    assert chunks == [b"one"]


def test_first_error_counts(body):
    """The reader is told what went wrong, not what followed from it."""
    body.fail(HTTPError(413))
    body.fail(ClientGone())
    with pytest.raises(HTTPError, match="413"):
        result_of(body.read())


def test_error_after_the_end_has_no_effect(body):
    """A body that is all here can be read although its client has gone since."""
    body.feed(b"one")
    body.end()
    body.fail(ClientGone())
    assert result_of(body.read()) == b"one"


def test_two_readers_at_a_time_are_an_error(body):
    """A second reader is told that it is one, and the first is not disturbed."""
    chunks: list[bytes] = []
    first = started(collect(body, chunks))
    for second in body.read(), started(collect(body, [])), body.deliver(Receiver()):
        with pytest.raises(RuntimeError, match="already has a reader"):
            result_of(second)
    body.feed(b"one")
    body.end()
    assert result_of(first) == [b"one"]


def test_reader_that_cannot_await(body, source):
    """Who cannot await Deferreds polls for chunks, and is told when there is one."""
    assert body.poll() is None
    assert source.calls == ["want"]
    arrival = body.arrival()
    assert not arrival.called
    body.feed(b"one")
    assert result_of(arrival) is None
    body.feed(b"two")
    assert (body.poll(), body.poll(), body.poll()) == (b"one", b"two", None)
    body.end()
    assert body.poll() == b""
    assert body.poll() == b""


def test_reader_that_polls_gets_the_error(body):
    """It gets the error after the bytes before it, each time that it asks."""
    body.feed(b"one")
    body.fail(ClientGone("gone"))
    assert body.poll() == b"one"
    for _ in range(2):
        with pytest.raises(ClientGone):
            body.poll()


def test_reader_that_polls_lets_the_client_go_on(body, source):
    """Polling makes room for more."""
    body.feed(b"x" * 10)
    assert source.calls == ["pause"]
    assert body.poll() == b"x" * 10
    assert source.calls == ["pause", "want", "resume"]


def test_two_who_wait_for_arrivals(body):
    """One at a time may wait; who gives up makes room for another."""
    arrival = body.arrival()
    arrival.addErrback(lambda failure: failure.trap(CancelledError))
    with pytest.raises(RuntimeError):
        body.arrival()
    arrival.cancel()
    assert not body.awaited
    body.arrival()


def test_cancelled_reader_loses_nothing(body):
    """A reader that gave up waiting leaves all that comes to the next one."""
    chunks: list[bytes] = []
    loop = started(collect(body, chunks))
    body.feed(b"one")
    loop.cancel()
    with pytest.raises(CancelledError):
        result_of(loop)
    body.feed(b"two")
    body.end()
    assert chunks == [b"one"]
    assert result_of(body.read()) == b"two"


def test_trailers_are_there_at_the_end(body):
    """The trailer fields of a chunked body can be had once it has ended."""
    assert body.trailers == []
    body.end([(b"digest", b"x")])
    assert body.ended
    assert body.trailers == [(b"digest", b"x")]


# Asking for it


def test_client_is_asked_to_send_when_somebody_reads(body, source):
    """The client is told to go on (100 Continue) by the first reader, and once."""
    assert not body.started
    loop = started(collect(body, [], most=1))
    assert body.started
    body.feed(b"one")
    assert loop.called
    body.read()
    assert source.calls == ["want"]


def test_client_is_not_asked_for_what_has_arrived_or_never_will(source):
    """A body that is here, or broken, is not asked for."""
    whole, broken = RequestBody(source, None, 10), RequestBody(source, None, 10)
    whole.end()
    result_of(started(collect(whole, [])))
    broken.fail(ClientGone())
    with pytest.raises(ClientGone):
        result_of(broken.read())
    assert source.calls == []


# Holding the client back


def test_unread_body_is_held_back_at_the_high_water_mark(body, source):
    """No more than the limit is held (and what was on its way): then the client waits."""
    body.feed(b"123456789")
    assert source.calls == []
    body.feed(b"0")
    assert source.calls == ["pause"]
    body.feed(b"on its way")
    assert source.calls == ["pause"]
    assert body.buffered == 20


def test_client_goes_on_when_less_than_the_mark_is_held(body, source):
    """The client is let go on as soon as there is room, not before, and once."""
    body.feed(b"1234567890")
    body.feed(b"x")
    result_of(started(collect(body, [], most=1)))
    assert source.calls == ["pause", "want", "resume"]
    body.feed(b"123456789")
    assert source.calls == ["pause", "want", "resume", "pause"]
    result_of(started(collect(body, [], most=1)))
    result_of(started(collect(body, [], most=1)))
    assert source.calls == ["pause", "want", "resume", "pause", "resume"]


def test_exactly_the_mark_is_still_held_back(body, source):
    """As long as the limit is reached the client waits."""
    body.feed(b"x")
    body.feed(b"1234567890")
    result_of(started(collect(body, [], most=1)))
    assert source.calls == ["pause", "want"]


def test_reader_that_keeps_up_never_holds_the_client_back(body, source):
    """Chunks that are taken as they come, however large, cause no pause."""
    loop = started(collect(body, []))
    body.feed(b"x" * 100)
    body.feed(b"x" * 100)
    assert source.calls == ["want"]
    loop.cancel()
    loop.addErrback(lambda failure: failure.trap(CancelledError))


def test_mark_of_zero_holds_back_after_each_chunk(source):
    """A buffer of 0 means: nothing ahead of the reader. The reader gets it all even so."""
    body = RequestBody(source, None, 0)
    loop = started(collect(body, []))
    body.feed(b"x")
    assert source.calls == ["want"]
    loop.cancel()
    loop.addErrback(lambda failure: failure.trap(CancelledError))
    body.feed(b"y")
    assert source.calls == ["want", "pause"]
    result_of(started(collect(body, [], most=1)))
    assert source.calls == ["want", "pause", "resume"]


def test_body_of_a_request_that_is_over(body, source):
    """What is left of an old request's body can be read, and asks nothing of the connection."""
    body.feed(b"1234567890")
    assert source.calls == ["pause"]
    body.detach()
    assert body.detached
    with pytest.raises(RuntimeError, match="answered"):
        result_of(body.read())
    assert body.buffered == 0
    assert source.calls == ["pause"]


def test_reading_a_whole_body_that_was_held_back_lets_the_client_go_on(body, source):
    """Reading all at once frees the connection for the next request, too."""
    body.feed(b"1234567890")
    body.end()
    assert result_of(body.read()) == b"1234567890"
    assert source.calls == ["pause", "resume"]


# Pushed into a protocol


class Receiver(Protocol):
    """A Twisted protocol that notes what happens to it."""

    def __init__(self, pause_at_once: bool = False) -> None:
        self.chunks: list[bytes] = []
        self.reason: Failure | None = None
        self.pause_at_once = pause_at_once

    @property
    def delivery(self) -> Any:
        return self.transport

    def ended_by(self, reason: type[Exception]) -> bool:
        return self.reason is not None and self.reason.check(reason) is not None

    def connectionMade(self) -> None:
        if self.pause_at_once:
            self.delivery.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.reason is None
        self.reason = reason


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def test_delivery(body, receiver):
    """A protocol gets the chunks as they come, and `ConnectionDone` when they were all."""
    body.feed(b"one")
    delivered = body.deliver(receiver)
    assert receiver.connected
    assert verifyObject(IPushProducer, receiver.transport)
    body.feed(b"two")
    assert receiver.chunks == [b"one", b"two"]
    assert receiver.reason is None
    body.end()
    assert receiver.ended_by(ConnectionDone)
    assert result_of(delivered) is None


def test_broken_body_is_a_lost_connection(body, receiver):
    """A protocol can tell a body that broke off from one that ended."""
    delivered = body.deliver(receiver)
    body.feed(b"one")
    body.fail(HTTPError(408, "Too slow."))
    assert receiver.chunks == [b"one"]
    assert receiver.ended_by(ConnectionLost)
    assert "Too slow" in str(receiver.reason.value)
    with pytest.raises(HTTPError, match="408"):
        result_of(delivered)


def test_delivery_to_the_end_of_the_client(body, receiver):
    """A client that goes is told to the protocol, and to nobody else: there is none to answer."""
    delivered = body.deliver(receiver)
    body.feed(b"one")
    body.fail(ClientGone())
    assert receiver.ended_by(ConnectionLost)
    assert result_of(delivered) is None


@pytest.mark.parametrize("early", [True, False])
def test_paused_delivery_holds_the_client_back(body, source, early):
    """A protocol that pauses gets nothing more until it resumes, and the client waits."""
    receiver = Receiver(pause_at_once=early)
    body.deliver(receiver)
    if not early:
        receiver.delivery.pauseProducing()
    body.feed(b"12345")
    body.feed(b"67890")
    assert receiver.chunks == []
    assert source.calls == ["want", "pause"]
    receiver.delivery.resumeProducing()
    assert receiver.chunks == [b"12345", b"67890"]
    assert source.calls == ["want", "pause", "resume"]
    body.feed(b"x")
    body.end()
    assert receiver.chunks == [b"12345", b"67890", b"x"]


def test_pausing_in_the_midst(body):
    """A protocol may pause and resume for each chunk, in the call that brings it."""

    class OneByOne(Receiver):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.delivery.pauseProducing()

    receiver = OneByOne()
    for chunk in b"one", b"two":
        body.feed(chunk)
    body.deliver(receiver)
    assert receiver.chunks == [b"one"]
    receiver.delivery.resumeProducing()
    receiver.delivery.resumeProducing()
    assert receiver.chunks == [b"one", b"two"]
    receiver.delivery.resumeProducing()
    body.end()
    assert receiver.ended_by(ConnectionDone)


@pytest.mark.parametrize("method", ["loseConnection", "abortConnection", "stopProducing"])
@pytest.mark.parametrize("paused", [True, False])
def test_protocol_ends_the_delivery(body, method, paused):
    """A protocol that has enough is rid of the body at once; the rest is for another reader."""
    receiver = Receiver()
    delivered = body.deliver(receiver)
    body.feed(b"one")
    if paused:
        receiver.delivery.pauseProducing()
        body.feed(b"two")
    getattr(receiver.delivery, method)()
    assert receiver.ended_by(ConnectionDone)
    assert result_of(delivered) is None
    if not paused:
        body.feed(b"two")
    body.end()
    assert receiver.chunks == [b"one"]
    assert result_of(body.read()) == b"two"


def test_protocol_ends_the_delivery_in_the_midst(body):
    """A protocol that finds what it looked for may say so while it is being called."""

    class FirstOnly(Receiver):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.delivery.loseConnection()

    receiver = FirstOnly()
    delivered = body.deliver(receiver)
    body.feed(b"one")
    body.feed(b"two")
    assert receiver.chunks == [b"one"]
    assert receiver.ended_by(ConnectionDone)
    assert result_of(delivered) is None


def test_delivery_that_is_over_disturbs_nobody(body, receiver):
    """A protocol that closes its transport late does not cancel the next reader."""
    body.deliver(receiver)
    receiver.delivery.loseConnection()
    whole = body.read()
    receiver.delivery.loseConnection()
    receiver.delivery.resumeProducing()
    body.feed(b"one")
    body.end()
    assert result_of(whole) == b"one"


def test_reading_on_from_connection_lost(body):
    """What a protocol left may be read by whom it hands over to, at once."""

    class HandsOver(Receiver):
        whole: Deferred[bytes]

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            super().connectionLost(reason)
            self.whole = body.read()

    receiver = HandsOver(pause_at_once=True)
    body.deliver(receiver)
    body.feed(b"one")
    receiver.delivery.loseConnection()
    body.feed(b"two")
    body.end()
    assert result_of(receiver.whole) == b"onetwo"


@pytest.mark.parametrize("paused", [True, False])
def test_cancelled_delivery(body, receiver, paused):
    """Cancelling a delivery ends it: a lost connection, for the protocol."""
    delivered = body.deliver(receiver)
    if paused:
        receiver.delivery.pauseProducing()
        body.feed(b"one")
    delivered.cancel()
    assert receiver.ended_by(ConnectionLost)
    with pytest.raises(CancelledError):
        result_of(delivered)
    receiver.delivery.resumeProducing()
    body.end()
    assert result_of(body.read()) == (b"one" if paused else b"")


def test_mistakes_of_the_protocol_are_not_swallowed(body):
    """An error in a protocol that gets a body reaches whoever asked for the delivery."""

    class Broken(Receiver):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError

    receiver = Broken()
    delivered = body.deliver(receiver)
    body.feed(b"one")
    assert receiver.ended_by(ConnectionLost)
    with pytest.raises(ZeroDivisionError):
        result_of(delivered)
