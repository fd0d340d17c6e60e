"""Connections over TCP: what no protocol can tell from those of Twisted's own reactor."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
import weakref
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from zope.interface.verify import verifyObject

from tests.uvreactor.stories import (
    MUCH,
    Direct,
    Place,
    Producer,
    Recorder,
    half_closeable,
    once_uv,
    only_direct,
    only_uv,
    reset,
    story,
)

INTERFACES = [
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
]


@pytest.mark.parametrize("interface", INTERFACES)
@once_uv
@story
async def test_interfaces(place, interface):
    """A transport has all that Twisted's interfaces of one name."""
    protocol, _ = await place.connect()
    assert verifyObject(interface, protocol.transport)


# What is cut off by the other side


@story
async def test_reset_before_the_first_turn(place):
    """A client that is gone when it has just been accepted is told of as lost."""
    port = place.listen(on_made=lambda _: reset(place.peers[0]))
    place.peer(port)
    await place.until(lambda: place.protocols and place.protocols[0].reason)
    assert place.protocols[0].told == ["made", "lost"]
    assert place.protocols[0].lost_by is ConnectionLost


@story
async def test_reset_before_it_is_accepted(place):
    """So is one that was gone before that."""
    port = place.listen()
    reset(place.peer(port))
    await place.until(lambda: place.protocols and place.protocols[0].reason)
    assert place.protocols[0].told == ["made", "lost"]
    assert place.protocols[0].lost_by is ConnectionLost


@story
async def test_reset_before_the_first_turn_with_data_written(place):
    """What was written to one that is gone is lost with it, and that is told once."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.write(b"hello")
        reset(place.peers[0])

    place.peer(place.listen(on_made=on_made))
    await place.until(lambda: place.protocols and place.protocols[0].reason)
    assert place.protocols[0].told == ["made", "lost"]
    assert place.protocols[0].lost_by is ConnectionLost


@story
async def test_reset_while_reading(place):
    """A client that is gone is told of as lost."""
    protocol, peer = await place.connect()
    reset(peer)
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)


@pytest.mark.parametrize("others", [b"", b"unread"])
@story
async def test_reset_while_writing(place, others):
    """A client that goes while it is sent more than it takes is told of as lost."""
    protocol, peer = await place.connect()
    protocol.transport.write(MUCH)
    await place.turns()
    reset(peer)
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)
    protocol.transport.write(b"more")


@story
async def test_reset_while_paused(place):
    """A client that goes while nothing of it is read is told of as lost when it is read again."""
    protocol, peer = await place.connect()
    protocol.transport.pauseProducing()
    reset(peer)
    await place.turns()
    assert protocol.told == ["made"]
    protocol.transport.resumeProducing()
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)


@story
async def test_reset_after_we_ended(place):
    """A client that goes after we said that no more comes is told of as lost."""
    protocol, peer = await place.connect(half_closeable(place.kind))
    protocol.transport.loseWriteConnection()
    assert await place.rest(peer) == b""
    reset(peer)
    await place.until(lambda: protocol.reason)
    assert protocol.told == ["made", "write lost", "lost"]
    assert protocol.lost_by is ConnectionLost


@story
async def test_reset_after_it_ended(place):
    """A client that goes after it said that no more comes is noticed when it is sent something."""
    protocol, peer = await place.connect(half_closeable(place.kind))
    peer.shutdown(socket.SHUT_WR)
    await place.until(lambda: "read lost" in protocol.told)
    reset(peer)
    protocol.transport.write(b"hello")
    protocol.transport.write(b"hello")
    await place.until(lambda: protocol.reason)
    assert protocol.told == ["made", "read lost", "lost"]
    assert protocol.lost_by is ConnectionLost


@story
async def test_reset_while_closing(place):
    """A client that goes while the last is sent to it is told of as lost."""
    protocol, peer = await place.connect()
    protocol.transport.write(MUCH)
    protocol.transport.loseConnection()
    await place.turns()
    assert protocol.told == ["made"]
    reset(peer)
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)


# How it ends


@story
async def test_peer_closes_while_we_write(place):
    """A client that closes while it is sent more than it takes is told of once."""
    protocol, peer = await place.connect()
    protocol.transport.write(MUCH)
    await place.turns()
    peer.close()  # with much that it has not read, and so the system sends a reset
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)


@story
async def test_peer_ends_while_we_write(place):
    """A client that says it sends no more is done, whatever is still to be sent to it."""
    protocol, peer = await place.connect()
    protocol.transport.write(MUCH)
    await place.turns()
    peer.shutdown(socket.SHUT_WR)
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@story
async def test_peer_ends(place):
    """Who wants to know of both halves may go on to send when the other side sends no more."""
    protocol, peer = await place.connect(half_closeable(place.kind))
    peer.sendall(b"question")
    peer.shutdown(socket.SHUT_WR)
    await place.until(lambda: "read lost" in protocol.told)
    assert protocol.received == b"question"
    protocol.transport.write(MUCH)
    protocol.transport.loseConnection()
    assert await place.rest(peer) == MUCH
    await place.until(lambda: protocol.reason)
    assert protocol.told == ["made", "read lost", "lost"]
    assert protocol.lost_by is ConnectionDone


@pytest.mark.parametrize("written", [b"", b"answer", MUCH])
@story
async def test_we_end(place, written):
    """After what was written the other side reads the end, and may still send."""
    protocol, peer = await place.connect(half_closeable(place.kind))
    protocol.transport.write(written)
    protocol.transport.loseWriteConnection()
    assert await place.rest(peer) == written
    protocol.transport.write(b"too late")
    peer.sendall(b"thanks")
    await place.until(lambda: protocol.received == b"thanks")
    assert protocol.told == ["made", "write lost"]
    peer.close()
    await place.until(lambda: "read lost" in protocol.told)
    protocol.transport.loseConnection()
    await place.until(lambda: protocol.reason)
    assert protocol.told == ["made", "write lost", "read lost", "lost"]
    assert protocol.lost_by is ConnectionDone


@story
async def test_we_end_at_once(place):
    """A connection may be ended on our side when it is just made."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.write(b"hello")
        protocol.transport.loseWriteConnection()

    protocol, peer = await place.connect(half_closeable(place.kind), on_made=on_made)
    assert await place.rest(peer) == b"hello"
    assert protocol.told == ["made", "write lost"]
    peer.sendall(b"thanks")
    await place.until(lambda: protocol.received == b"thanks")


@only_uv  # Twisted's own cuts the connection off, or raises
@story
async def test_we_end_again(place):
    """Who says twice that it sends no more, or too late, is not heard."""
    protocol, peer = await place.connect(half_closeable(place.kind))
    protocol.transport.loseWriteConnection()
    assert await place.rest(peer) == b""
    protocol.transport.loseWriteConnection()
    await place.turns()
    peer.send(b"hello")
    await place.until(lambda: protocol.received == b"hello")
    protocol.transport.loseConnection()
    await place.until(lambda: protocol.reason)
    protocol.transport.loseWriteConnection()
    await place.turns()
    assert protocol.told == ["made", "write lost", "lost"]


@story
async def test_lose_connection_sends_all(place):
    """What was written is sent before the connection is closed, however much it is."""
    protocol, peer = await place.connect()
    for start in range(0, len(MUCH), 2**20):
        protocol.transport.write(MUCH[start : start + 2**20])
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    assert protocol.told == ["made"]
    received = await place.rest(peer)
    assert received == MUCH or received == MUCH + b"too late"
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@story
async def test_lose_connection_at_once(place):
    """A connection may be closed when it is just made, and what was written is sent."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.write(MUCH)
        protocol.transport.loseConnection()

    protocol, peer = await place.connect(on_made=on_made)
    assert await place.rest(peer) == MUCH
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@story
async def test_lose_connection_hears_no_more(place):
    """Nothing is delivered any more after a connection was told to close."""
    protocol, peer = await place.connect(on_data=lambda it: it.transport.loseConnection())
    protocol.transport.write(MUCH)
    peer.send(b"first")
    await place.until(lambda: protocol.received)
    peer.send(b"second")
    await place.turns()
    assert protocol.received == b"first"
    assert await place.read(peer, len(MUCH)) == MUCH
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@pytest.mark.parametrize("state", ["open", "paused", "writing", "closing", "half closed"])
@story
async def test_stop(place, state):
    """When the reactor stops, each connection is told that it is lost."""
    protocol, _ = await place.connect()
    if state == "paused":
        protocol.transport.pauseProducing()
    elif state == "half closed":
        protocol.transport.loseWriteConnection()
    elif state != "open":
        protocol.transport.write(MUCH)
        if state == "closing":
            protocol.transport.loseConnection()
    await place.turns()
    place.after = lambda: _lost_by_stop(protocol, state)


def _lost_by_stop(protocol: Recorder, state: str) -> None:
    if state == "paused":  # which Twisted's forgets
        assert protocol.lost_by in (None, ConnectionLost)
    else:
        assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionLost)


# Abort


async def _aborted(place: Place, protocol: Any, peer: socket.socket) -> None:
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionAborted)
    assert await place.is_cut_off(peer)
    protocol.transport.abortConnection()
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    await place.turns()
    assert protocol.told == ["made", "lost"]


@story
async def test_abort_at_once(place):
    """A connection may be cut off when it is just made."""
    await _aborted(place, *await place.connect(on_made=lambda it: it.transport.abortConnection()))


@story
async def test_abort_at_once_with_data(place):
    """What was written and what has come are dropped with it."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.write(b"hello")
        protocol.transport.abortConnection()

    protocol, peer = await place.connect(on_made=on_made, sent=b"unread")
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionAborted)
    assert protocol.received == b""
    with pytest.raises(ConnectionResetError):
        assert await place.read(peer, 1) == b""


@story
async def test_abort_when_idle(place):
    """A connection on which nothing happens may be cut off."""
    protocol, peer = await place.connect()
    protocol.transport.abortConnection()
    await _aborted(place, protocol, peer)


@story
async def test_abort_when_paused(place):
    """So may one that is not read."""
    protocol, peer = await place.connect()
    protocol.transport.pauseProducing()
    await place.turns()
    protocol.transport.abortConnection()
    await _aborted(place, protocol, peer)


@story
async def test_abort_when_paused_at_once(place):
    """And one that never was."""
    protocol, peer = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(), sent=b"unread"
    )
    await place.turns()
    protocol.transport.abortConnection()
    await _aborted(place, protocol, peer)
    assert protocol.received == b""


@story
async def test_abort_when_data_arrives(place):
    """A connection may be cut off for what has arrived on it; nothing more is delivered."""
    protocol, peer = await place.connect(on_data=lambda it: it.transport.abortConnection())
    peer.send(MUCH)
    await _aborted(place, protocol, peer)
    assert len(protocol.received) < len(MUCH)


@pytest.mark.parametrize("closing", [False, True])
@story
async def test_abort_while_writing(place, closing):
    """What is not sent yet does not hold it up, nor that the connection is closing."""
    protocol, peer = await place.connect()
    protocol.transport.write(MUCH)
    if closing:
        protocol.transport.loseConnection()
    await place.turns()
    protocol.transport.abortConnection()
    await _aborted(place, protocol, peer)


@story
async def test_abort_when_lost(place):
    """A connection that is lost can be cut off without harm."""
    protocol, peer = await place.connect(on_lost=lambda it: it.transport.abortConnection())
    peer.close()
    await place.until(lambda: protocol.reason)
    await place.turns()
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@story
async def test_abort_with_a_producer(place):
    """A producer is told to stop when its connection is cut off."""
    producer = Producer()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.abortConnection()
    await _aborted(place, protocol, peer)
    assert producer.told == ["stop"]


# Pause


@pytest.mark.parametrize("sent", [b"hello", MUCH[: 2**20]])
@pytest.mark.parametrize("ends", [False, True])
@story
async def test_paused_at_once(place, sent, ends):
    """Who pauses when it is made is told nothing until it resumes, then all, and the end."""
    protocol, peer = await place.connect(on_made=lambda it: it.transport.pauseProducing())
    peer.setblocking(False)
    size = peer.send(sent)
    if ends:
        peer.shutdown(socket.SHUT_WR)
    await place.turns()
    assert (protocol.told, protocol.received) == (["made"], b"")
    protocol.transport.resumeProducing()
    await place.until(lambda: len(protocol.received) == size)
    assert protocol.received == sent[:size]
    if ends:
        await place.until(lambda: protocol.reason)
        assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)
    else:
        peer.send(b"more")
        await place.until(lambda: protocol.received == sent[:size] + b"more")
        assert protocol.told == ["made"]


@pytest.mark.parametrize("sent", [b"", b"hello"])
@story
async def test_paused_before_the_first_turn(place, sent):
    """It is the same with what a client sent, and ended, before it was accepted."""

    def on_made(protocol: Recorder) -> None:
        place.peers[0].shutdown(socket.SHUT_WR)
        protocol.transport.pauseProducing()

    protocol, _ = await place.connect(on_made=on_made, sent=sent)
    await place.turns()
    assert (protocol.told, protocol.received) == (["made"], b"")
    protocol.transport.resumeProducing()
    protocol.transport.resumeProducing()
    await place.until(lambda: protocol.reason)
    assert (protocol.received, protocol.lost_by) == (sent, ConnectionDone)


@story
async def test_paused_and_half_closed(place):
    """Who wants to know of both halves is told of the end after the rest, when it resumes."""

    def on_made(protocol: Recorder) -> None:
        place.peers[0].shutdown(socket.SHUT_WR)
        protocol.transport.pauseProducing()

    protocol, peer = await place.connect(half_closeable(place.kind), b"hello", on_made=on_made)
    await place.turns()
    assert protocol.told == ["made"]
    protocol.transport.resumeProducing()
    await place.until(lambda: "read lost" in protocol.told)
    assert protocol.received == b"hello"
    protocol.transport.write(b"bye")
    protocol.transport.loseConnection()
    assert await place.rest(peer) == b"bye"


@story
async def test_paused_and_resumed_at_once(place):
    """Who resumes before it would have been told anything has not missed anything."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.pauseProducing()
        protocol.transport.resumeProducing()

    protocol, _ = await place.connect(on_made=on_made, sent=b"hello")
    await place.until(lambda: protocol.received == b"hello")


@story
async def test_paused_again_before_anything_is_delivered(place):
    """Who changes its mind while it is being resumed is told nothing."""
    protocol, peer = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(), sent=b"hello"
    )
    await place.turns()
    protocol.transport.resumeProducing()
    protocol.transport.pauseProducing()
    await place.turns()
    assert protocol.received == b""
    protocol.transport.resumeProducing()
    await place.until(lambda: protocol.received == b"hello")
    peer.send(b", world")
    await place.until(lambda: protocol.received == b"hello, world")


@story
async def test_paused_for_each_piece(place):
    """Who pauses when something arrives gets one piece each time that it resumes."""
    protocol, peer = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(),
        on_data=lambda it: it.transport.pauseProducing(),
        sent=b"1",
    )
    for number in range(1, 5):
        assert len(protocol.received) == number - 1
        protocol.transport.resumeProducing()
        await place.until(lambda count=number: len(protocol.received) == count)
        peer.send(b"%d" % (number + 1))
        await place.turns()
    assert protocol.received == b"1234"


@story
async def test_closed_while_paused(place):
    """A connection that is not read can be closed, and what it sent is sent."""
    protocol, peer = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(), sent=b"unread"
    )
    protocol.transport.write(b"hello")
    protocol.transport.loseConnection()
    await place.until(lambda: protocol.reason)
    assert (protocol.received, protocol.lost_by) == (b"", ConnectionDone)
    assert await place.read(peer, 5) == b"hello"


# Producers


@story
async def test_push_producer_is_paused(place):
    """A producer that has written more than is taken is paused, and resumed when it was taken."""
    producer = Producer()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(MUCH)
    await place.until(lambda: producer.told == ["pause"])
    assert await place.read(peer, len(MUCH)) == MUCH
    await place.until(lambda: producer.told == ["pause", "resume"])
    protocol.transport.write(MUCH)
    await place.until(lambda: producer.told == ["pause", "resume", "pause"])
    protocol.transport.unregisterProducer()
    protocol.transport.loseConnection()
    assert await place.rest(peer) == MUCH
    await place.until(lambda: protocol.reason)
    assert producer.told == ["pause", "resume", "pause"]


@story
async def test_lose_connection_waits_for_a_paused_producer(place):
    """A producer that was paused has its turn before the connection is closed."""
    producer = Producer()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(MUCH)
    await place.until(lambda: producer.told == ["pause"])
    protocol.transport.loseConnection()
    assert await place.read(peer, len(MUCH)) == MUCH
    await place.until(lambda: producer.told == ["pause", "resume"])
    await place.turns()
    protocol.transport.unregisterProducer()
    assert await place.rest(peer) == b""
    await place.until(lambda: protocol.reason)
    assert protocol.lost_by is ConnectionDone


@story
async def test_lose_connection_lets_a_producer_go_on(place):
    """A producer writes on while what was written before is sent: no byte of it is lost."""
    producer = Producer()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(MUCH)
    await place.until(lambda: producer.told == ["pause"])
    protocol.transport.unregisterProducer()
    later = Producer()
    later.on_resume = protocol.transport.unregisterProducer
    protocol.transport.registerProducer(later, True)
    protocol.transport.loseConnection()
    await place.turns()
    for _ in range(20):
        protocol.transport.write(b"x" * 10_000)
    received = await place.rest(peer)
    assert received == MUCH + b"x" * 200_000
    await place.until(lambda: protocol.reason)
    assert (later.told[0], later.told[-1]) == ("pause", "resume")
    assert protocol.lost_by is ConnectionDone


@story
async def test_lose_connection_stops_a_producer(place):
    """One that was not is told to stop, when the connection has been closed."""
    producer = Producer()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(b"hello")
    protocol.transport.loseConnection()
    assert await place.rest(peer) == b"hello"
    await place.until(lambda: protocol.reason)
    assert (producer.told, protocol.lost_by) == (["stop"], ConnectionDone)


@pytest.mark.parametrize("at_once", [False, True])
@story
async def test_pull_producer(place, at_once):
    """A producer that is asked each time is asked until it has no more, and then it closes."""
    producer = Producer()
    pieces = [MUCH[: 2**20], b"a", b"b", MUCH[: 2**20]]
    protocol: Any = None

    def produce() -> None:
        if pieces:
            protocol.transport.write(pieces.pop(0))
        else:
            protocol.transport.unregisterProducer()

    def begin(it: Recorder) -> None:
        nonlocal protocol
        protocol = it
        it.transport.registerProducer(producer, False)
        it.transport.loseConnection()

    producer.on_resume = produce
    made, peer = await place.connect(on_made=begin if at_once else id)
    if not at_once:
        begin(made)
    received = await place.rest(peer)
    assert received == MUCH[: 2**20] + b"ab" + MUCH[: 2**20]
    await place.until(lambda: made.reason)
    assert (producer.told, made.lost_by) == (["resume"] * 5, ConnectionDone)


@story
async def test_producer_for_a_lost_connection(place):
    """A producer that comes too late is told to stop."""
    producer = Producer()
    protocol, peer = await place.connect()
    peer.close()
    await place.until(lambda: protocol.reason)
    protocol.transport.registerProducer(producer, True)
    assert producer.told == ["stop"]


@story
async def test_second_producer(place):
    """There is one producer at a time."""
    protocol, _ = await place.connect()
    protocol.transport.registerProducer(Producer(), True)
    with pytest.raises(RuntimeError, match="never unregistered"):
        protocol.transport.registerProducer(Producer(), True)
    protocol.transport.unregisterProducer()


# Protocols that raise


def _raise(error: BaseException) -> Any:
    def raising(*_: object) -> None:
        raise error

    return raising


ERRORS = [ValueError("a bug"), OSError(errno.ENOENT, "no such file"), ConnectionResetError("mine")]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@story
async def test_data_received_raises(place, logged, error):
    """A protocol that fails is logged, once, and loses its connection by that."""
    protocol, peer = await place.connect(on_data=_raise(error))
    peer.send(b"hello")
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.reason.value) == (["made", "lost"], error)
    assert logged.take() == [type(error)]
    assert await place.rest(peer) == b""


@story
async def test_data_received_raises_with_much_unsent(place, logged):
    """So does one that has written much; that is dropped."""
    protocol, peer = await place.connect(on_data=_raise(ValueError("a bug")))
    protocol.transport.write(MUCH)
    await place.turns()
    peer.send(b"hello")
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ValueError)
    assert logged.take() == [ValueError]
    assert len(await place.rest(peer)) < len(MUCH)


@story
async def test_data_received_raises_on_kept_data(place, logged):
    """So does one that was paused at first."""
    protocol, _ = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(),
        on_data=_raise(ValueError("a bug")),
        sent=b"hello",
    )
    await place.turns()
    protocol.transport.resumeProducing()
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ValueError)
    assert logged.take() == [ValueError]


@story
async def test_connection_made_raises(place, logged):
    """One that fails at first is logged, and has its connection all the same."""
    protocol, peer = await place.connect(on_made=_raise(ValueError("a bug")))
    assert logged.take() == [ValueError]
    peer.send(b"hello")
    await place.until(lambda: protocol.received == b"hello")


@pytest.mark.parametrize("way", ["peer", "lose", "abort"])
@story
async def test_connection_lost_raises(place, logged, way):
    """One that fails in the end is logged, once."""
    protocol, peer = await place.connect(on_lost=_raise(ValueError("a bug")))
    if way == "peer":
        peer.close()
    elif way == "lose":
        protocol.transport.loseConnection()
    else:
        protocol.transport.abortConnection()
    await place.until(lambda: protocol.reason)
    await place.turns()
    assert (protocol.told, logged.take()) == (["made", "lost"], [ValueError])


@pytest.mark.parametrize("half", ["readConnectionLost", "writeConnectionLost"])
@story
async def test_half_connection_lost_raises(place, logged, half):
    """One that fails when half of its connection is lost loses the other half by that."""
    kind = half_closeable(place.kind)
    protocol, peer = await place.connect(type("Failing", (kind,), {half: _raise(KeyError("x"))}))
    if half == "readConnectionLost":
        peer.shutdown(socket.SHUT_WR)
    else:
        protocol.transport.loseWriteConnection()
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], KeyError)
    assert logged.take() == [KeyError]


@story
async def test_producer_raises(place, logged):
    """A producer that fails is logged, once, and its connection is lost by that."""
    producer = type("Failing", (Producer,), {"resumeProducing": _raise(KeyError("x"))})()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(MUCH)
    await place.until(lambda: producer.told == ["pause"])
    await place.read(peer, len(MUCH))
    await place.until(lambda: protocol.reason)
    assert (protocol.lost_by, logged.take()) == (KeyError, [KeyError])


@only_uv
@story
async def test_producer_raises_in_the_end(place, logged):
    """One that fails when it is told to stop does not keep the protocol from being told."""
    producer = type("Failing", (Producer,), {"stopProducing": _raise(KeyError("x"))})()
    protocol, peer = await place.connect()
    protocol.transport.registerProducer(producer, True)
    reset(peer)
    await place.until(lambda: protocol.reason)
    assert (protocol.lost_by, logged.take()) == (ConnectionLost, [KeyError])


# Another protocol


@pytest.mark.parametrize("second", [Recorder, Direct])
@pytest.mark.parametrize("when", ["at once", "in data"])
@story
async def test_switches_protocols(place, when, second):
    """A connection can be handed to another protocol, which is then told all that comes."""
    other = second()

    def switch(protocol: Recorder) -> None:
        protocol.transport.protocol = other
        other.makeConnection(protocol.transport)

    hooks = {"on_made" if when == "at once" else "on_data": switch}
    protocol, peer = await place.connect(**hooks)
    if when == "in data":
        peer.send(b"first")
        await place.until(lambda: other.told)
        assert protocol.received == b"first"
    peer.send(b"second")
    await place.until(lambda: other.received == b"second")
    peer.close()
    await place.until(lambda: other.reason)
    assert (protocol.told, other.told) == (["made"], ["made", "lost"])


@story
async def test_switches_protocols_while_paused(place):
    """What came before it goes to the protocol that resumes."""
    other = place.kind()
    protocol, peer = await place.connect(
        on_made=lambda it: it.transport.pauseProducing(), sent=b"hello"
    )
    await place.turns()
    protocol.transport.protocol = other
    await place.turns()
    assert other.received == b""
    protocol.transport.resumeProducing()
    await place.until(lambda: other.received == b"hello")
    peer.send(b", world")
    await place.until(lambda: other.received == b"hello, world")
    assert protocol.received == b""


# With nothing in between


@only_direct
@story
async def test_direct_is_called_by_uvloop(place):
    """Between uvloop and a direct protocol there is no Python code."""
    callers: list[str] = []
    _, peer = await place.connect(on_data=lambda _: callers.append(caller_of("dataReceived")))
    peer.send(b"hello")
    await place.until(lambda: callers)
    assert callers == ["run in asyncioreactor.py"]  # where Twisted has the loop run


def caller_of(name: str) -> str:
    """Which Python function is the caller of one that is running."""
    frame = sys._getframe()
    while frame.f_code.co_name != name:
        assert frame.f_back is not None
        frame = frame.f_back
    assert frame.f_back is not None
    code = frame.f_back.f_code
    return f"{code.co_name} in {Path(code.co_filename).name}"


@story
async def test_writes_are_joined(place):
    """What is written in one turn is sent as one, when that is over."""

    def on_data(protocol: Recorder) -> None:
        protocol.transport.write(b"a")
        protocol.transport.writeSequence([b"b", b"c"])
        with pytest.raises(BlockingIOError):
            place.peers[0].recv(1)

    protocol, peer = await place.connect(on_data=on_data)
    peer.send(b"hello")
    await place.until(lambda: protocol.received)
    await place.turns()
    assert peer.recv(100) == b"abc"


@story
async def test_writes_bytes(place):
    """What is not bytes is refused where it is written."""
    protocol, _ = await place.connect()
    for data in ("text", None, [b"x"]):
        with pytest.raises(TypeError):
            protocol.transport.write(data)
    with pytest.raises(TypeError):
        protocol.transport.writeSequence(["text"])


# What it is told of itself


@story
async def test_addresses(place):
    """A connection tells both of its addresses."""
    protocol, peer = await place.connect()
    host, our = protocol.transport.getHost(), protocol.transport.getPeer()
    assert (host.host, host.port) == peer.getpeername()
    assert (our.host, our.port) == peer.getsockname()
    assert (host.type, our.type) == ("TCP", "TCP")


@story
async def test_options(place):
    """Delaying small packets and keeping connections alive are up to the protocol, as ever."""
    protocol, _ = await place.connect()
    transport = protocol.transport
    handle = transport.getHandle()

    def options() -> tuple[int, int]:
        delays = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return delays, handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (False, False)
    assert options() == (0, 0)
    for enabled in (True, False):
        transport.setTcpNoDelay(enabled)
        transport.setTcpKeepAlive(enabled)
        assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (enabled, enabled)
        assert options() == (enabled, enabled)


@story
async def test_options_at_once(place):
    """What is set when the connection is just made stays set."""

    def on_made(protocol: Recorder) -> None:
        protocol.transport.setTcpNoDelay(True)
        protocol.transport.setTcpKeepAlive(True)

    protocol, _ = await place.connect(on_made=on_made)
    handle = protocol.transport.getHandle()
    assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert (protocol.transport.getTcpNoDelay(), protocol.transport.getTcpKeepAlive()) == (1, 1)


# What is left


async def _close(place: Place, way: str, protocol: Any, peer: socket.socket) -> None:
    if way == "peer":
        peer.close()
    elif way == "reset":
        reset(peer)
    elif way == "lose":
        protocol.transport.loseConnection()
    elif way == "abort":
        protocol.transport.abortConnection()


@pytest.mark.parametrize("way", ["peer", "reset", "lose", "abort", "abort at once", "lose at once"])
@story
async def test_nothing_is_left(place, way):
    """A connection that has ended takes no memory any more."""
    actions = {
        "abort at once": lambda it: it.transport.abortConnection(),
        "lose at once": lambda it: it.transport.loseConnection(),
    }
    protocol, peer = await place.connect(on_made=actions.get(way, id))
    transport = weakref.ref(protocol.transport)
    await _close(place, way, protocol, peer)
    left = weakref.ref(protocol)
    del protocol
    await place.until(lambda: place.protocols[0].reason)
    place.protocols.pop().transport = None
    gc.collect()
    await place.turns()
    gc.collect()
    assert (left(), transport()) == (None, None)


@story
async def test_half_close_sends_all_before(place, monkeypatch):
    """What waits to be sent is sent before our half is closed, though uvloop tells it early."""
    protocol, peer = await place.connect()
    stream = protocol.transport
    stream.write(MUCH)
    await place.turn()
    stream.loseWriteConnection()
    getattr(stream, "resume_writing", list)()  # as uvloop does with 16 bytes left
    assert await place.rest(peer) == MUCH


@only_uv
@story
async def test_one_that_cannot_be_flushed(place, logged):
    """An error that nobody expects, of one connection, is not that of the others."""
    producer = Producer()

    def cancel() -> None:
        raise asyncio.CancelledError

    producer.on_resume = cancel
    one, _ = await place.connect(Recorder)
    other, peer = await place.connect(Recorder)
    one.transport.write(b"x")
    other.transport.write(b"hello")
    one.transport.registerProducer(producer, True)
    one.transport.producerPaused = True
    assert await place.read(peer, 5) == b"hello"
    await place.until(lambda: one.reason)
    assert logged.take() == [asyncio.CancelledError]
    other.transport.write(b"again")
    assert await place.read(peer, 5) == b"again"


@only_uv
@story
async def test_context_of_a_flush(place):
    """A producer is not resumed among the context variables of another's connection."""
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []
    one, _ = await place.connect(Recorder)
    other, _ = await place.connect(Recorder)
    producer = Producer()
    producer.on_resume = lambda: seen.append(user.get())
    other.transport.registerProducer(producer, True)

    def write() -> None:
        user.set("alice")
        one.transport.write(b"x")
        other.transport.write(b"x")
        other.transport.producerPaused = True

    copy_context().run(write)
    await place.until(lambda: seen)
    assert seen == ["nobody"]
