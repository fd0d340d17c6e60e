"""What a review found: producers, waiters and frames that came into each other's way."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.connection import State
from tests.websocket.line import Line, Noting, masked

PING, PONG = 9, 10


class Producer:
    """One that notes what it is told, and may do something about it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.when_paused: Any = lambda: None

    def pauseProducing(self) -> None:
        self.told.append("pause")
        self.when_paused()

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def senders_that_cancel_each_other(line: Line) -> list[Deferred[None]]:
    """Three who wait to send; when the first fails, it cancels the others."""
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.sendBytesMessage(bytes(100))
    sent = [line.connection.send("waits") for _ in range(3)]

    def cancel_others(_: object) -> None:
        for other in sent[1:]:
            other.cancel()

    sent[0].addErrback(cancel_others)
    for other in sent[1:]:
        other.addErrback(lambda failure: failure.trap(WebSocketClosed, Exception))
    return sent


def test_senders_that_cancel_each_other_when_it_is_lost():
    """However those who wait to send take the end, the application is told of it."""
    line = Line(send_limit=10)
    sent = senders_that_cancel_each_other(line)
    line.lose()
    assert line.ours.take()[-1][0] == "lost"
    assert all(each.called for each in sent)
    assert line.connection.state is State.LOST


def test_senders_that_cancel_each_other_when_it_is_closed():
    """However those who wait to send take it, the connection is closed."""
    line = Line(send_limit=10)
    sent = senders_that_cancel_each_other(line)
    line.connection.loseConnection(4000)
    assert all(each.called for each in sent)
    line.read()
    assert line.close == (4000, "")


@pytest.mark.parametrize("when", ["before", "started"])
def test_producer_from_the_beginning(when):
    """A producer that is attached before the connection is open may produce once it is."""
    producer = Producer()
    protocol = Noting()
    line = Line(protocol, made=False)
    if when == "before":
        line.connection.attachProducer(producer)
    else:
        protocol.does["started"] = lambda transport: transport.attachProducer(producer)
    line.make()
    assert producer.told == ["pause", "resume"]


def test_pings_are_no_excuse():
    """Who takes nothing is cut off in time, though it is sent pings, of which one waits."""
    line = Line(send_timeout=60)
    producer = Producer()
    line.connection.attachProducer(producer)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    waiting = len(line.transport.waiting)
    for number in range(62):
        line.connection.ping(b"%d" % number)
        line.connection.pauseProducing()  # as Twisted's transports say with each write
        line.clock.advance(1)
    assert line.transport.aborted
    assert len(line.transport.waiting) <= waiting
    assert producer.told == ["pause", "stop"]


def test_ping_that_waited():
    """The last ping that was sent meanwhile reaches who reads again."""
    line = Line()
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.ping(b"1")
    line.connection.ping(b"2")
    line.read()
    assert line.opcodes() == ["BINARY", "PING"]
    assert ("pong", b"2") in line.ours.take()


def test_one_that_is_not_read_is_pinged():
    """Who has gone while the application did not read is found out: pings go to it, unanswered."""
    line = Line(ping_interval=20, ping_timeout=20)
    line.connection.pause_reading()
    line.clock.pump([1] * 85)
    assert not line.transport.aborted
    line.turn()
    assert [name for name in line.opcodes() if name == "PING"] == ["PING"] * 4
    line.connection.resume_reading()
    line.clock.pump([1] * 45)
    assert line.transport.aborted


@pytest.mark.parametrize("does", ["close", "ping"])
def test_nothing_gets_into_a_large_message(does):
    """What a producer does when it is paused comes behind the message that paused it."""
    line = Line()
    producer = Producer()
    line.connection.attachProducer(producer)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(40_000))
    line.connection.sendBytesMessage(bytes(65_536 - len(line.transport.waiting) - 6))
    producer.when_paused = (
        (lambda: line.connection.loseConnection(4000))
        if does == "close"
        else (lambda: line.connection.ping(b"slow?"))
    )
    assert producer.told == []
    line.connection.sendBytesMessage(bytes(20_000))
    assert producer.told == ["pause"]
    line.read()
    assert [len(message) for message in line.take()][-1] == 20_000
    assert line.protocol.parser_exc is None


def test_slow_but_steady():
    """Who takes a large message slowly, but does take it, is not cut off."""
    line = Line(send_timeout=10, ping_interval=None)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(1_000_000))
    for _ in range(90):
        line.transport.read(10_000)
        line.clock.advance(1)
    assert not line.transport.aborted
    line.clock.pump([1] * 12)
    assert line.transport.aborted


@pytest.mark.parametrize("waits", [False, True])
def test_kinds_of_messages(waits):
    """A text is a str and nothing else, and bytes are no text, whether they can be sent or not."""
    line = Line()
    if waits:
        line.stop_reading()
        line.connection.sendBytesMessage(bytes(100_000))
    with pytest.raises((TypeError, AttributeError)):
        line.connection.sendTextMessage(b"a")
    with pytest.raises(TypeError):
        line.connection.sendBytesMessage("a")
    line.read()
    assert line.got() == ([bytes(100_000)] if waits else [])
    line.feed(masked(PING, b""))
