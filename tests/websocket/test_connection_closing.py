"""How a connection ends: who begins, with what code, in what time, and what either side learns."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from zope.interface import alsoProvides

from mynet.http.sweep import Sweep
from mynet.testing import MemoryTransport
from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost
from mynet.websocket.connection import State, WebSocketConnection
from mynet.websocket.shared import Shared
from tests.websocket.line import Line, Noting, masked

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

ROLES = pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])

VALID = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
INVALID = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


def end_of(line: Line) -> tuple[str, int, str]:
    """What the protocol learned, which is one end."""
    ends: list[tuple[str, int, str]]
    ends = [event[1:] for event in line.ours.take() if event[0] == "lost"]
    assert len(ends) == 1
    return ends[0]


# The peer begins


@ROLES
@WAYS
@pytest.mark.parametrize("code", VALID)
def test_peer_closes(client, size, code):
    """A peer's Close is answered with its code, and the protocol gets that and the reason."""
    line = Line(client=client, size=size)
    line.closes(code, "adieu, m\u00f4n ami")
    assert line.close is not None
    assert line.close[0] == code
    if client:
        assert not line.transport.disconnecting  # the server closes first
        line.transport.lose(ConnectionDone())
    assert line.transport.disconnected
    assert not line.transport.aborted
    assert end_of(line) == ("WebSocketDone", code, "adieu, m\u00f4n ami")
    assert line.shared.stats.closed == {code: 1}


@ROLES
def test_peer_closes_without_a_code(client):
    """A Close that says nothing is answered with one, and told as 1005."""
    line = Line(client=client)
    line.closes(None)
    assert line.close == (1005, "")
    line.lose()
    assert end_of(line) == ("WebSocketDone", 1005, "")


@pytest.mark.parametrize("code", INVALID)
def test_peer_closes_with_an_invalid_code(code):
    """A Close with a code that nobody may send is an error: 1002."""
    line = Line()
    line.feed(masked(CLOSE, code.to_bytes(2) + b"why"))
    line.turn()
    assert line.close == (1002, "a Close has no valid code")
    line.lose()
    assert end_of(line) == ("WebSocketLost", 1002, "a Close has no valid code")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(CLOSE, b"\x03"), 1002),
        (masked(CLOSE, b"\x03\xe8\xff"), 1007),
        (b"\x81\x01a", 1002),  # not masked
        (b"\x83\x80", 1002),  # reserved opcodes
        (b"\x8b\x80", 1002),
        (masked(TEXT, b"a", rsv1=True), 1002),
        (masked(PING, b"a", fin=False), 1002),
        (b"\x89\xfe\x00\x7e", 1002),  # a ping of 126 bytes
        (masked(0, b"a"), 1002),
        (masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"), 1002),
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, b"\xc3", fin=False) + masked(0, b"a"), 1007),
        (masked(BINARY, bytes(1001)), 1009),
        (masked(BINARY, bytes(600), fin=False) + masked(0, bytes(600)), 1009),
        (masked(BINARY, b"", fin=False) + masked(0, b"", fin=False) * 9, 1009),
    ],
)
@WAYS
def test_peer_breaks_the_rules(data, code, size):
    """Who breaks a rule is told which; nothing that follows is looked at, and it is cut off."""
    line = Line(size=size, max_message_size=1000, max_frames=8)
    line.ours.take()
    line.feed(masked(TEXT, b"before") + data + masked(TEXT, b"after") + masked(CLOSE))
    assert line.ours.take() == [("text", "before")]
    assert not line.transport.disconnected  # or the Close might be lost with the connection
    line.turn()
    assert line.close is not None
    assert line.close[0] == code
    assert line.close[1] != ""
    assert line.opcodes() == ["CLOSE"]
    line.clock.pump([1] * 9)
    assert not line.transport.aborted
    line.clock.pump([1] * 3)
    assert line.transport.aborted
    assert end_of(line) == ("WebSocketLost", *line.close)
    assert line.shared.stats.closed == {code: 1}


def test_peer_breaks_the_rules_over_tls():
    """Over TLS, which has its own goodbye, both sides of the connection are closed at once."""
    line = Line(made=False)
    alsoProvides(line.transport, ISSLTransport)
    line.make()
    line.feed(b"\xff\xff")
    line.turn()
    assert line.close is not None
    assert line.close[0] == 1002
    assert line.transport.disconnected
    assert not line.transport.half_closed


def test_peer_goes_on_after_it_broke_the_rules():
    """What still comes from it is thrown away, however much that is."""
    line = Line()
    line.feed(b"\xff\xff")
    for _ in range(100):
        line.feed(bytes(10_000))
    assert line.opcodes() == ["CLOSE"]
    line.transport.lose(ConnectionDone())
    assert end_of(line)[:2] == ("WebSocketLost", 1002)


@ROLES
def test_nothing_follows_a_close(client):
    """What a peer sends after its Close is not looked at; what it asks for before it is done."""
    line = Line(client=client)
    line.ours.take()
    line.protocol.send_text(b"a")
    line.protocol.send_ping(b"b")
    line.protocol.send_close(1000)
    data = b"".join(line.protocol.data_to_send())
    line.feed(data + (masked(TEXT, b"late") if not client else b"\x81\x01a") + b"\xff\xff")
    assert line.opcodes() == ["PONG", "CLOSE"]
    line.lose()
    assert line.ours.take() == [("text", "a"), ("lost", "WebSocketDone", 1000, "")]


def test_peer_closes_before_it_read_all():
    """A peer that closes is not sent what had to wait until now."""
    line = Line(Noting(controls_reading=True))
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.sendTextMessage("waits")
    line.closes()
    line.read()
    assert line.got() == [bytes(100_000)]
    assert line.close is not None
    assert line.transport.disconnected


# We begin


@ROLES
@WAYS
@pytest.mark.parametrize("code", VALID)
def test_we_close(client, size, code):
    """Our Close goes out with its code and reason; with the peer's answer it is done."""
    line = Line(client=client, size=size)
    line.connection.loseConnection(code, "done")
    assert line.connection.state is State.CLOSING
    line.turn()
    assert line.close == (code, "done")
    if client:
        line.transport.lose(ConnectionDone())
    assert line.transport.disconnected
    assert end_of(line)[:2] == ("WebSocketDone", code)


@pytest.mark.parametrize("code", [code for code in INVALID if code < 65535])
def test_we_close_with_an_invalid_code(code):
    """What no Close can say is a mistake, and nothing is sent."""
    line = Line()
    with pytest.raises(ValueError, match=f"{code} is not a close code that can be sent"):
        line.connection.loseConnection(code)
    with pytest.raises(ValueError, match="the reason of a Close has 123 bytes at most"):
        line.connection.loseConnection(1000, "\u00e9" * 62)
    assert line.opcodes() == []
    line.connection.loseConnection(1000, "\u00e9" * 61 + "a")
    line.turn()
    assert line.close == (1000, "\u00e9" * 61 + "a")


def test_we_close_twice():
    """To close again changes nothing, nor does to send."""
    line = Line()
    line.connection.loseConnection(4000)
    line.connection.loseConnection(4001)
    line.connection.sendTextMessage("late")
    line.connection.ping()
    with pytest.raises(WebSocketClosed):
        line.connection.send("late")
    assert line.opcodes() == ["CLOSE"]
    assert end_of(line)[:2] == ("WebSocketDone", 4000)
    line.connection.loseConnection()
    line.connection.fail(1011, "")
    line.connection.sendBytesMessage(b"late")
    line.connection.pause_reading()
    line.connection.resume_reading()
    assert line.connection.closed().code == 4000


def test_we_close_after_all_is_sent():
    """What was sent before the Close arrives before it, though it had to wait."""
    line = Line()
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.sendTextMessage("waits")
    line.connection.loseConnection(4000)
    line.connection.sendTextMessage("late")
    line.read()
    assert line.got() == [bytes(100_000), "waits"]
    assert line.close == (4000, "")
    assert line.transport.disconnected


def test_no_pong_after_our_close():
    """The answer to a ping, which had to wait, does not follow our Close."""
    line = Line(Noting(controls_reading=True))
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.feed(masked(PING))
    line.connection.loseConnection()
    line.transport.read()
    line.clock.advance(0)
    assert line.transport.received.endswith(b"\x88\x02\x03\xe8")


def test_both_close():
    """Where both begin at once each gets the other's, and none is sent twice."""
    line = Line()
    line.ours.take()
    line.connection.loseConnection(4000, "ours")
    line.feed(masked(TEXT, b"late") + masked(PING) + masked(CLOSE, b"\x0f\xa1theirs"))
    line.turn()
    assert line.close == (4000, "ours")
    assert line.opcodes() == ["CLOSE"]
    assert line.transport.disconnected
    assert line.ours.take() == [("lost", "WebSocketDone", 4001, "theirs")]


@ROLES
def test_peer_does_not_answer(client):
    """Who never answers our Close is cut off after the deadline."""
    line = Line(client=client, close_timeout=10)
    line.connection.loseConnection(4000)
    line.clock.pump([1] * 9)
    assert not line.transport.aborted
    line.clock.pump([1] * 3)
    assert line.transport.aborted
    reason = "the closing handshake took too long"
    assert end_of(line) == ("WebSocketLost", 1006, reason)


def test_peer_does_not_read_our_close():
    """The same holds for one that reads nothing of what was before it."""
    line = Line(close_timeout=10, send_timeout=5)
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.sendTextMessage("waits")
    line.connection.loseConnection()
    line.clock.pump([1] * 9)
    assert not line.transport.aborted
    line.clock.pump([1] * 3)
    assert line.transport.aborted


@ROLES
def test_peer_does_not_close(client):
    """Who closes a WebSocket, but not its connection, is cut off; it was closed all the same."""
    line = Line(client=client, close_timeout=10)
    line.transport.reading = client
    line.closes(4000, "bye")
    line.clock.pump([1] * 12)
    assert line.transport.aborted
    assert end_of(line) == ("WebSocketDone", 4000, "bye")


def test_peer_breaks_the_rules_after_our_close():
    """Who answers our Close with nonsense is cut off, and is not sent another Close."""
    line = Line()
    line.connection.loseConnection(4000)
    line.feed(b"\xff\xff")
    assert line.transport.received == b"\x88\x02\x0f\xa0"
    line.lose()
    assert end_of(line)[:2] == ("WebSocketLost", 1002)


# It is lost


@ROLES
def test_lost(client):
    """A connection that ends without a word is told as 1006."""
    line = Line(client=client)
    line.lose()
    assert end_of(line) == ("WebSocketLost", 1006, "")
    assert line.shared.stats.closed == {1006: 1}


def test_half_closed():
    """A peer that says it will send no more can send no Close either: the connection ends."""
    line = Line()
    line.stop_reading()
    line.connection.sendBytesMessage(bytes(100_000))
    line.connection.sendTextMessage("waits")
    line.connection.readConnectionLost()
    line.read()
    assert line.got() == [bytes(100_000)]
    assert line.transport.disconnected
    assert end_of(line) == ("WebSocketLost", 1006, "")


def test_aborted():
    """Who wants no closing handshake need not have one."""
    line = Line()
    line.connection.abortConnection()
    line.turn()
    assert line.transport.aborted
    assert end_of(line) == ("WebSocketLost", 1006, "")


def test_aborted_before_it_is_open():
    """Who does not want a connection any more before there is one is rid of it when it comes."""
    protocol = Noting()
    connection = WebSocketConnection(Shared(), protocol, Sweep(Clock()))
    connection.abortConnection()
    transport = MemoryTransport(Clock())
    connection.makeConnection(transport)
    assert transport.received == b"\x88\x02\x03\xf3"
    assert protocol.take() == ["started"]


def test_sending_while_it_closes():
    """Whoever sends while it is closed in good order is told that, and not that it was lost."""
    line = Line()
    line.connection.loseConnection()
    with pytest.raises(WebSocketClosed, match="1006: it is being closed"):
        line.connection.send("a")


def test_on_close():
    """Whoever wants to know when it is over is called then, once; at once if it is."""
    line = Line()
    calls: list[str] = []
    line.connection.on_close(lambda: calls.append("a"))
    line.connection.on_close(lambda: calls.append("b"))
    line.connection.loseConnection()
    assert calls == []
    line.turn()
    assert calls == ["a", "b"]
    line.connection.on_close(lambda: calls.append("c"))
    assert calls == ["a", "b", "c"]


def test_never_open():
    """One whose handshake did not come to an end is lost, and was never counted."""
    line = Line(made=False)
    line.connection.sendTextMessage("a")
    line.connection.connectionLost()
    assert end_of(line) == ("WebSocketLost", 1006, "")
    assert (line.shared.stats.accepted, line.shared.stats.closed) == (0, {})


def test_closed_before_it_is_open():
    """What was said and closed before it is open is sent as soon as it is."""
    for close in ("loseConnection", "fail"):
        line = Line(made=False)
        line.connection.sendTextMessage("a")
        getattr(line.connection, close)(4000, "no")
        line.connection.sendTextMessage("late")
        assert not line.connection.can_send
        line.make()
        assert line.got() == (["a"] if close == "loseConnection" else [])
        assert line.close == (4000, "no")
        assert line.ours.take()[0] == "started"


def test_drain():
    """A server that stops closes with 1001, and says why."""
    line = Line()
    line.connection.drain()
    line.turn()
    assert line.close == (1001, "the server stops")


def test_reasons_are_twisteds():
    """Who knows Twisted's reasons knows these."""
    assert issubclass(WebSocketDone, ConnectionDone)
    assert issubclass(WebSocketLost, ConnectionLost)
