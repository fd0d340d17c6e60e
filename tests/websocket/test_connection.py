"""A connection: messages both ways, control frames, what is asked of the peer, and its time."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from zope.interface.verify import verifyObject

from mynet.websocket.codes import WebSocketError
from mynet.websocket.connection import State, WebSocketConnection
from mynet.websocket.deflate import Deflate
from mynet.websocket.message import Message
from tests.websocket.line import Line, Noting, masked

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

ROLES = pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])


class Echo(Noting):
    """Says what it is told."""

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self.transport.sendBytesMessage(data)


# Messages


@ROLES
@WAYS
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_messages(client, size, compressed):
    """Messages of all kinds and sizes go both ways as they are, in order."""
    line = Line(Echo(), client=client, size=size, compressed=compressed)
    sizes = (0, 1, 125, 126, 127, 128, 129, 1000, 65535, 65536, 70_000)
    messages: list[str | bytes] = ["", "hello", "\0\x7f\u00e9\u20ac\U0001f600"]
    messages += [("same " * each)[:each] for each in sizes[:8]]
    messages += [bytes(range(256)) * (each // 256 + 1) for each in sizes[: 8 if size else None]]
    line.sends(*messages)
    assert line.got() == messages
    stats = line.shared.stats
    assert stats.messages_received == stats.messages_sent == len(messages)
    assert (stats.bytes_received, stats.bytes_sent) == (
        (stats.bytes_sent + 4 * len(messages), stats.bytes_sent)
        if not (client or compressed)
        else (stats.bytes_received, stats.bytes_sent)
    )


def test_bytes_are_counted():
    """What goes over the wire is counted, frames and all."""
    line = Line(Echo())
    line.feed(masked(TEXT, b"hello") + masked(PING, b"x"))
    assert line.shared.stats.bytes_received == (6 + 5) + (6 + 1)
    assert line.shared.stats.bytes_sent == (2 + 5) + (2 + 1)
    large = bytes(70_000)
    line.feed(masked(BINARY, large))
    assert line.shared.stats.bytes_sent == 10 + 10 + 70_000


@ROLES
def test_course(client):
    """A protocol is told that there is a connection, that it is open, and how it ended."""
    line = Line(client=client)
    assert line.ours.take() == ["started", "open"]
    assert line.connection.state is State.OPEN
    line.sends("a", b"b")
    assert line.ours.take() == [("text", "a"), ("bytes", b"b")]
    line.closes(3000, "bye")
    line.transport.lose(Exception())
    assert line.ours.take() == [("lost", "WebSocketDone", 3000, "bye")]
    assert line.connection.state.name == "LOST"
    assert line.shared.stats.closed == {3000: 1}
    assert line.shared.stats.accepted == 1


@ROLES
def test_sends_at_once(client):
    """What a protocol says as soon as it can is sent, though that is before it is open."""
    ours = Noting()
    ours.does["started"] = lambda transport: transport.sendTextMessage("started")
    ours.does["open"] = lambda transport: transport.sendTextMessage("open")
    assert Line(ours, client=client).got() == ["started", "open"]


@pytest.mark.parametrize("says", [[], ["hello"]])
def test_closes_at_once(says):
    """A protocol may close as soon as there is a connection; what it said before is sent."""
    ours = Noting()

    def close(transport: Any) -> None:
        for text in says:
            transport.sendTextMessage(text)
        transport.loseConnection(4000, "not now")
        transport.sendTextMessage("too late")

    ours.does["started"] = close
    line = Line(ours)
    line.connection.sendTextMessage("too late")
    assert line.got() == says
    assert line.close == (4000, "not now")
    assert ours.take() == ["started", ("lost", "WebSocketDone", 4000, "not now")]


def test_fails_at_once():
    """A protocol may even fail before it is open."""
    ours = Noting()
    ours.does["started"] = lambda transport: transport.fail(1008, "no")
    line = Line(ours)
    line.turn()
    line.lose()
    assert line.close == (1008, "no")
    assert ours.take() == ["started", ("lost", "WebSocketLost", 1008, "no")]


def test_interfaces():
    """It is what Twisted's transports and protocols take it for."""
    line = Line()
    for interface in (IProtocol, IPushProducer, IHalfCloseableProtocol):
        assert verifyObject(interface, line.connection)
    assert repr(line.connection).startswith("<WebSocketConnection of <")
    assert repr(line.connection).endswith(", open>")


@pytest.mark.parametrize("data", [bytearray(b"hi"), memoryview(b"hi")])
def test_kinds_of_bytes(data):
    """All that is bytes may be sent."""
    line = Line()
    line.connection.sendBytesMessage(data)
    assert line.connection.send(data) is None
    assert line.got() == [b"hi", b"hi"]


def test_what_is_no_message():
    """What is neither text nor bytes is the error of whoever sends it, and sends nothing."""
    connection = Line().connection
    for send in (connection.send, connection.sendBytesMessage):
        with pytest.raises(TypeError, match="a message is a str or bytes, not int"):
            send(5)
    with pytest.raises(UnicodeEncodeError):
        connection.send("\ud800")
    assert connection.shared.stats.messages_sent == 0


@ROLES
def test_delivered_messages(client):
    """What many receive comes as if it were sent to one."""
    line = Line(client=client)
    line.connection.deliver(Message("a"))
    line.connection.deliver(Message(b"b"))
    assert line.connection.send(Message("c")) is None
    assert line.got() == ["a", b"b", "c"]


def test_compressed_messages_between_others():
    """A message that was compressed for many inflates, and so does what comes after it."""
    line = Line(compressed=True)
    text = "what is said again and again is short, " * 20
    shared = Message(text + "shared")
    for number in range(3):
        line.connection.sendTextMessage(f"{text}{number}")
        line.connection.deliver(shared)
        line.connection.sendTextMessage("short")
    expected = [each for n in range(3) for each in (f"{text}{n}", f"{text}shared", "short")]
    assert line.got() == expected
    assert line.shared.stats.bytes_sent < len(text)


def test_compressed_in_context():
    """What was said before makes what is said again shorter, both ways."""
    line = Line(Echo(), compressed=True)
    text = "".join(str(number * 7919 % 1000) for number in range(300))
    line.sends(text)
    sent, received = line.shared.stats.bytes_sent, line.shared.stats.bytes_received
    line.sends(text)
    assert line.got() == [text, text]
    assert line.shared.stats.bytes_sent - sent < sent / 3
    assert line.shared.stats.bytes_received - received < received / 3


def test_compressor_rests():
    """After a rest, for which the compressor was put away, messages inflate all the same."""
    line = Line(Echo(), compressed=True)
    text = "what is said again and again " * 20
    line.sends(text)
    line.advance(30)
    line.sends(text)
    assert line.got() == [text, text]


def test_not_compressed_where_that_is_off():
    """What an endpoint never does is not done."""
    line = Line(Echo(), compressed=True, deflate=Deflate(threshold=1000))
    line.sends("x" * 999)
    assert line.shared.stats.bytes_sent > 999
    line.sends("x" * 1000)
    assert line.shared.stats.bytes_sent < 1200


# Pings and pongs


@ROLES
@WAYS
def test_pings_are_answered(client, size):
    """A ping is answered with what it said, by nobody's doing."""
    line = Line(client=client, size=size)
    line.ours.take()
    line.protocol.send_ping(b"hello")
    line.protocol.send_ping(b"")
    line.turn()
    assert [(frame.opcode.name, frame.data) for frame in line.frames] == [
        ("PONG", b"hello"),
        ("PONG", b""),
    ]
    assert line.ours.take() == []


@ROLES
def test_pongs_are_told(client):
    """The application's pings are answered to it, as are pongs that nobody asked for."""
    line = Line(client=client)
    line.ours.take()
    line.connection.ping(b"a")
    line.connection.ping()
    line.protocol.send_pong(b"unasked")
    line.turn()
    assert line.ours.take() == [("pong", b"unasked"), ("pong", b"a"), ("pong", b"")]
    with pytest.raises(ValueError, match="a ping has 125 bytes at most, not 126"):
        line.connection.ping(bytes(126))
    line.connection.ping(bytes(125))
    assert line.opcodes() == ["PING", "PING", "PING"]


def test_ping_flood():
    """Who pings without end and does not read gets one pong, of its last; and nothing is kept."""
    line = Line(Noting(controls_reading=True))
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    waiting = len(line.transport.waiting)
    for number in range(10_000):
        line.feed(masked(PING, b"%d" % number))
    assert len(line.transport.waiting) == waiting
    line.read()
    pongs = [frame.data for frame in line.frames if frame.opcode.name == "PONG"]
    assert pongs == [b"9999"]


def test_ping_flood_of_one_that_only_answers():
    """One that does not read is not read, either."""
    line = Line(Echo())
    line.stop_reading()
    for _ in range(100_000):
        if line.transport.paused:
            break
        line.feed(masked(PING, bytes(125)))
    assert line.transport.paused
    assert len(line.transport.waiting) < 70_000


# Signs of life


def test_silent_peer_is_asked():
    """Who has been silent for 20 s is asked for a sign of life, and again 20 s after that."""
    line = Line()
    line.ours.take()
    line.advance(19)
    assert line.opcodes() == []
    line.advance(3)
    assert line.opcodes() == ["PING"]
    line.advance(15)
    assert line.opcodes() == []
    line.advance(100)
    assert set(line.opcodes()) == {"PING"}
    assert line.ours.take() == []  # whose answers are not the application's
    assert line.connection.state is State.OPEN


@ROLES
def test_dead_peer(client):
    """Who does not answer within 20 s more is dead, and cut off."""
    line = Line(client=client, ping_interval=20, ping_timeout=20)
    line.ours.take()
    line.clock.pump([1] * 39)
    assert not line.transport.aborted
    line.clock.pump([1] * 4)
    assert line.transport.aborted
    assert line.ours.take() == [("lost", "WebSocketLost", 1006, "no sign of life")]
    assert (line.shared.stats.dead, line.shared.stats.closed) == (1, {1006: 1})
    assert line.clock.getDelayedCalls() == []


@pytest.mark.parametrize("life", [masked(TEXT, b"a"), masked(PONG), masked(TEXT, b"ab")[:1]])
def test_anything_is_a_sign_of_life(life):
    """Whatever arrives is a sign of life, if only a part of a frame."""
    line = Line()
    line.clock.pump([1] * 35)
    line.feed(life)
    line.clock.pump([1] * 25)
    assert not line.transport.aborted
    line.clock.pump([1] * 20)
    assert line.transport.aborted


def test_busy_peer_is_not_asked():
    """Who talks is not asked whether it is there."""
    line = Line()
    for _ in range(10):
        line.advance(15)
        line.sends("a")
    assert line.opcodes() == []


def test_never_asked():
    """Where that is off nobody is asked, or missed."""
    line = Line(ping_interval=None)
    line.clock.pump([1] * 1000)
    assert line.transport.received == b""
    assert line.connection.state is State.OPEN


def test_life_of_one_that_is_not_read():
    """Who is not read, because the application takes its time, does not die of that."""
    line = Line()
    line.connection.pause_reading()
    line.clock.pump([1] * 200)
    assert line.connection.state is State.OPEN
    line.connection.resume_reading()
    line.clock.pump([1] * 39)
    assert line.connection.state is State.OPEN
    line.clock.pump([1] * 5)
    assert line.transport.aborted


def test_one_that_takes_nothing():
    """Who takes nothing of what it is sent for 60 s is cut off, though it may talk."""
    line = Line(send_timeout=60)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    for _ in range(58):
        line.feed(masked(PONG))
        line.clock.advance(1)
    assert not line.transport.aborted
    line.clock.pump([1] * 4)
    assert line.transport.aborted
    assert line.ours.take()[-1] == (
        *("lost", "WebSocketLost", 1006, "nothing that was sent is taken"),
    )
    assert line.shared.stats.dead == 1


def test_one_that_takes_a_little():
    """Who takes what waits for it in time may take the same time for what comes then."""
    line = Line(send_timeout=60)
    line.stop_reading()
    for _ in range(5):
        line.connection.sendBytesMessage(bytes(100_000))
        line.clock.pump([1] * 50)
        line.transport.read(len(line.transport.waiting))
    assert not line.transport.aborted


# Reading is paused and resumed


@ROLES
@WAYS
def test_paused_reading(client, size):
    """What is not asked for waits with the peer; then it comes, in order."""
    line = Line(client=client, size=size)
    line.ours.take()
    line.connection.pause_reading()
    assert line.connection.is_reading_paused
    assert line.transport.paused
    line.sends("a", "b")
    line.protocol.send_ping(b"")
    line.turn()
    assert line.ours.take() == []
    line.connection.resume_reading()
    assert not line.transport.paused
    assert line.ours.take() == [("text", "a"), ("text", "b")]
    assert line.opcodes() == ["PONG"]


@WAYS
def test_paused_after_each(size):
    """Reading may be paused with any message, and resumed while it is told of one."""
    ours = Noting()
    line = Line(ours, size=size)
    ours.does["text"] = lambda transport, _: transport.pause_reading()
    line.sends("a", "b", "c")
    assert ours.take() == ["started", "open", ("text", "a")]
    line.connection.resume_reading()
    assert ours.take() == [("text", "b")]

    def both(transport: Any, _: str) -> None:
        transport.pause_reading()
        transport.resume_reading()

    ours.does["text"] = both
    line.connection.resume_reading()
    line.sends("d")
    assert ours.take() == [("text", "c"), ("text", "d")]


def test_paused_before_it_is_open():
    """Reading may be paused before there is anything to read."""
    line = Line(made=False)
    line.connection.pause_reading()
    line.make()
    line.sends("a")
    assert line.transport.paused
    assert line.ours.take() == ["started", "open"]
    line.connection.resume_reading()
    assert line.ours.take() == [("text", "a")]


def test_close_when_paused():
    """To close while what the peer sent waits sends one Close, whatever waits there."""
    for waiting in (masked(CLOSE, b"\x0b\xb8"), masked(TEXT, b"a"), b"\xff\xff"):
        line = Line()
        line.ours.take()
        line.connection.pause_reading()
        line.feed(waiting)
        line.connection.loseConnection(4000)
        line.turn()
        assert line.protocol.close_rcvd is not None
        assert line.opcodes() == ["CLOSE"]
        assert [event[0] for event in line.ours.take() if event[0] != "lost"] == []


# Errors of the application


@pytest.mark.parametrize("name", ["started", "open", "text", "bytes", "pong"])
def test_protocol_raises(logged, name):
    """An error in a protocol closes with 1011, tells the peer nothing more, and is logged once."""
    ours = Noting()
    ours.does[name] = lambda *_: 1 / 0
    line = Line(ours)
    if line.connection.state is State.OPEN:
        line.feed(masked(TEXT, b"a") + masked(BINARY, b"a") + masked(PONG) + masked(TEXT, b"b"))
    line.turn()
    assert line.close == (1011, "")
    assert ("text", "b") not in ours.events
    line.lose()
    assert ours.take()[-1] == ("lost", "WebSocketLost", 1011, "")
    logged.take(ZeroDivisionError)
    assert (line.shared.stats.failures, line.shared.stats.closed) == (1, {1011: 1})


def test_protocol_raises_in_the_end(logged):
    """An error where nobody can be told any more is logged, and nothing else misses out."""
    ours = Noting()
    ours.does["lost"] = lambda *_: 1 / 0
    line = Line(ours)
    calls: list[int] = []
    line.connection.on_close(lambda: 1 / 0)
    line.connection.on_close(lambda: calls.append(1))
    line.lose()
    logged.take(ZeroDivisionError, ZeroDivisionError)
    assert calls == [1]


@pytest.mark.parametrize("code", [1003, 1008, 4000])
def test_protocol_raises_close(code):
    """A WebSocketError closes with its code and reason, and is nobody's failure."""

    def refuse(*_: object) -> None:
        raise WebSocketError(code, "no bytes, please")

    ours = Noting()
    ours.does["bytes"] = refuse
    line = Line(ours)
    line.sends(b"a")
    assert line.close == (code, "no bytes, please")
    line.lose()
    assert ours.take()[-1] == ("lost", "WebSocketLost", code, "no bytes, please")
    assert line.shared.stats.failures == 0


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (70_000, ""), (1008, "x" * 124)])
def test_protocol_raises_what_cannot_be_told(logged, code, reason):
    """A WebSocketError that no Close can tell is an error like any other."""

    def refuse(*_: object) -> None:
        raise WebSocketError(code, reason)

    ours = Noting()
    ours.does["bytes"] = refuse
    line = Line(ours)
    line.sends(b"a")
    assert line.close == (1011, "")
    logged.take(WebSocketError)


# Producers


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def test_producer():
    """Who produces without end is told to pause, to go on, and to stop."""
    line, producer = Line(), Producer()
    line.connection.attachProducer(producer)
    with pytest.raises(RuntimeError, match="is attached already"):
        line.connection.attachProducer(Producer())
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(70_000))
    assert producer.calls == ["pause"]
    line.read()
    assert producer.calls == ["pause", "resume"]
    line.lose()
    assert producer.calls == ["pause", "resume", "stop"]


def test_producer_comes_and_goes():
    """One that comes late is told at once how it is, and one that has gone nothing any more."""
    line, producer = Line(), Producer()
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(70_000))
    line.connection.attachProducer(producer)
    assert producer.calls == ["pause"]
    line.connection.detachProducer()
    line.read()
    line.lose()
    assert producer.calls == ["pause"]
    line.connection.attachProducer(producer)
    assert producer.calls == ["pause", "stop"]


# What is left behind


@ROLES
def test_nothing_is_left(client):
    """A connection that is over is gone as soon as nobody holds it: no cycles, no timers."""
    gc.disable()
    try:
        line = Line(client=client, compressed=True)
        line.sends("a" * 1000)
        line.stop_reading()
        line.connection.sendBytesMessage(bytes(100_000))
        line.connection.sendTextMessage("waits")
        line.read()
        line.closes()
        line.lose()
        connection: weakref.ref[WebSocketConnection] = weakref.ref(line.connection)
        line.transport.protocol = None
        line.ours.transport = None
        del line.connection
        assert connection() is None
        assert line.clock.getDelayedCalls() == []
    finally:
        gc.enable()
