"""What becomes of messages when a peer reads more slowly than it is written to."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from mynet.testing import HIGH_WATER, result_of
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.connection import State
from mynet.websocket.message import Message
from tests.websocket.line import Line, Noting, masked

KIB = 1024
FILLS = HIGH_WATER + 1
"""What a transport takes until it says that this is enough."""


def slow(**fields: Any) -> Line:
    """One whose far end does not read, and to which nothing more can be written now."""
    line = Line(Noting(controls_reading=True), **fields)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(FILLS))
    return line


def texts(line: Line) -> list[str | bytes]:
    """What the far end gets when it reads again."""
    line.read()
    filling, *messages = line.got()
    assert filling == bytes(FILLS)
    return messages


def test_wait():
    """Who can wait does, in order: nothing is lost, and nothing piles up."""
    line = slow(send_limit=10 * KIB)
    sent = [line.connection.send(f"{number:1000}") for number in range(50)]
    at_once = [each for each in sent if each is None]
    waiting = [each for each in sent if each is not None]
    assert 5 < len(at_once) < 11
    assert sent == at_once + waiting
    assert not any(each.called for each in waiting)
    assert [int(text) for text in texts(line)] == [*range(50)]
    assert [result_of(each) for each in waiting] == [None] * len(waiting)
    assert line.connection.send("now") is None


def test_wait_little_by_little():
    """Those who wait go on one after the other, as the peer reads."""
    line = slow(send_limit=100 * KIB)
    calls: list[int] = []
    for number in range(12):
        waiting = line.connection.send(bytes(40 * KIB))
        if waiting is not None:
            waiting.addCallback(lambda _, number=number: calls.append(number))
    assert calls == []
    line.transport.read(len(line.transport.waiting))
    assert 0 < len(calls) < 10
    assert calls == [*range(2, 2 + len(calls))]
    line.read()
    assert calls == [*range(2, 12)]
    assert line.connection.shared.stats.slow == 0


@pytest.mark.parametrize("size", [1, 700, 5_000, 70_000])
def test_wait_whatever_the_size(size):
    """No message is too large, or too small, to wait instead of being an end."""
    line = slow(send_limit=10 * KIB)
    for _ in range(100):
        line.connection.send(bytes(size))
    assert line.connection.state is State.OPEN
    assert len(texts(line)) == 100


def test_wait_is_cancelled():
    """Who waits no longer has not sent."""
    line = slow(send_limit=0)
    assert line.connection.send("first") is None
    waiting = [line.connection.send(name) for name in ("a", "b", "a")]
    waiting[2].cancel()
    with pytest.raises(CancelledError):
        result_of(waiting[2])
    assert texts(line) == ["first", "a", "b"]
    waiting[0].cancel()
    assert result_of(waiting[0]) is None


@pytest.mark.parametrize("end", ["loseConnection", "lose", "closes", "rules"])
def test_wait_in_vain(end):
    """Who waits is told when the connection is to be closed, by whomever."""
    line = slow(send_limit=0)
    line.connection.send("first")
    waiting = line.connection.send("second")
    if end == "loseConnection":
        line.connection.loseConnection()
    elif end == "rules":
        line.feed(b"\xff\xff")
    else:
        getattr(line, end)()
    with pytest.raises(WebSocketClosed):
        result_of(waiting)


def test_those_who_cannot_wait():
    """Who is sent more than may wait, by those who cannot, is closed with 1013."""
    line = slow(send_limit=10 * KIB)
    number = 0
    while line.connection.state is State.OPEN:
        line.connection.deliver(Message(f"{number:1000}"))
        number += 1
        assert number < 20
    line.connection.deliver(Message("late"))
    assert texts(line) == []
    assert line.close == (1013, "too much waits to be sent")
    line.lose()
    assert line.ours.take()[-1] == ("lost", "WebSocketLost", 1013, "too much waits to be sent")
    stats = line.shared.stats
    assert (stats.slow, stats.dropped, stats.closed) == (1, 0, {1013: 1})


def test_close():
    """Where that is the policy nobody waits, either."""
    line = slow(send_limit=10 * KIB, slow_consumer="close")
    sent = [line.connection.send(f"{number:1000}") for number in range(9)]
    assert set(sent) == {None}
    with pytest.raises(WebSocketClosed, match="1013: too much waits to be sent"):
        line.connection.send("one more")


def test_slow_peer_is_cut_off():
    """One that is closed for that, and does not read even now, is cut off after the deadline."""
    line = slow(send_limit=0, slow_consumer="close", close_timeout=10)
    for _ in range(2):
        line.connection.sendTextMessage("a")
    assert line.shared.stats.slow == 1
    line.clock.pump([1] * 9)
    assert not line.transport.aborted
    line.clock.pump([1] * 3)
    assert line.transport.aborted


def test_drop_oldest():
    """Where that is the policy the newest are kept, in order, and the others counted."""
    line = slow(send_limit=10 * KIB, slow_consumer="drop-oldest")
    for number in range(100):
        assert line.connection.send(f"{number:1000}") is None
    kept = [int(text) for text in texts(line)]
    assert 5 < len(kept) < 11
    assert kept == [*range(100 - len(kept), 100)]
    assert line.shared.stats.dropped == 100 - len(kept)
    assert line.connection.state is State.OPEN


def test_latest():
    """Where that is the policy each key has one message, its latest, in the place of its first."""
    line = slow(slow_consumer="latest")
    for number in range(100):
        for key in "abc":
            line.connection.send(f"{key}{number}", key)
    line.connection.deliver(Message("no key"))
    line.connection.deliver(Message("no key"))
    assert texts(line) == ["a99", "b99", "c99", "no key", "no key"]
    assert (line.shared.stats.replaced, line.shared.stats.dropped) == (297, 0)
    line.connection.send("a100", "a")
    assert line.got() == ["a100"]


def test_compressed_and_dropped():
    """What is dropped leaves no trace in what comes after it, which inflates."""
    line = Line(compressed=True, slow_consumer="drop-oldest", send_limit=5 * KIB)
    line.stop_reading()
    incompressible = "".join(chr(number * 7919 % 20000 + 200) for number in range(40_000))
    line.connection.sendTextMessage(incompressible)
    sent = [f"{number} times the same " * 50 for number in range(30)]
    for text in sent:
        line.connection.sendTextMessage(text)
    line.read()
    first, *others = line.got()
    assert first == incompressible
    assert others == sent[-len(others) :]
    assert line.shared.stats.dropped == 30 - len(others) > 0


@pytest.mark.parametrize("policy", ["drop-oldest", "latest", "close", "wait"])
def test_memory_is_flat(policy):
    """100,000 messages to one that does not read take no more memory than its limit."""
    line = slow(slow_consumer=policy, send_limit=64 * KIB)
    other = Line()
    message = Message("x" * 100)
    for _ in range(100_000):
        line.connection.deliver(message)
        other.connection.deliver(message)
        other.transport.received = b""
    assert other.shared.stats.messages_sent == 100_000
    assert len(line.transport.waiting) < HIGH_WATER + 1000
    outbox = line.connection._outbox
    if policy in ("drop-oldest", "latest"):
        assert outbox.size <= 64 * KIB
        assert len(outbox) + line.shared.stats.dropped == 100_000
    else:
        assert (outbox, line.shared.stats.slow) == (None, 1)


def test_one_that_only_answers():
    """A protocol that sends an answer to each message is never slowed by its limits: its peer
    waits, and nothing is delivered that could not be answered."""
    ours = Noting()
    ours.does["text"] = lambda transport, text: transport.sendTextMessage(text * 1000)
    line = Line(ours, send_limit=KIB, slow_consumer="close")
    line.stop_reading()
    data = b"".join(masked(1, f"{number:04}".encode()) for number in range(1000))
    line.feed(data)
    assert line.transport.paused
    assert len(line.transport.waiting) < HIGH_WATER + 5000
    line.read()
    assert [str(text)[:4] for text in line.got()] == [f"{number:04}" for number in range(1000)]
    assert not line.transport.paused
    assert line.shared.stats.slow == 0


def test_sends_while_it_is_told_to_go_on():
    """Who goes on to send as soon as it may keeps its order."""
    line = slow(send_limit=0)
    line.connection.send("0")
    waiting = line.connection.send("1")

    def more(_: object) -> None:
        sent = line.connection.send("3")
        assert isinstance(sent, Deferred | None)

    waiting.addCallback(more)
    line.connection.send("2")
    assert texts(line) == ["0", "1", "2", "3"]


def test_closes_while_it_is_told_to_go_on():
    """Who closes as soon as it may go on sends nothing after that."""
    line = slow(send_limit=0)
    line.connection.send("0")
    line.connection.send("1").addCallback(lambda _: line.connection.loseConnection(4000))
    late = line.connection.send("2")
    assert texts(line) == ["0", "1"]
    assert line.close == (4000, "")
    with pytest.raises(WebSocketClosed):
        result_of(late)
