"""WebSockets, and what else a connection may be changed to, through a proxy."""

from __future__ import annotations

import pytest
from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides

from mynet.handlers.proxy import ClientLimits
from mynet.handlers.proxy.tunnel import ENDING, can_half_close
from mynet.http import Response
from mynet.http.limits import KIB
from mynet.http.reading import parse_fields
from mynet.testing import MemoryTransport, Wire
from tests.conversation import GET, head, reply
from tests.handlers.proxy.upstreams import HELLO, Setting, said

OPENING = head(
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Sec-WebSocket-Version: 13",
    b"Origin: http://example.test",
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: xyz\r\n\r\n"
)
SIZE = 300 * KIB


class Joined:
    """A client and an upstream, joined."""

    def __init__(self, behind=b"", ahead=b"", **options):
        self.setting = Setting(**options)
        self.wire = self.setting.client(OPENING + ahead)
        self.line = self.setting.server.line
        self.asked = self.line.take()
        self.line.say(SWITCHING + behind)
        self.answered = self.wire.take()

    @property
    def tunnels(self):
        return self.setting.proxy._members[0].tunnels


@pytest.fixture
def joined():
    return Joined()


def test_handshake(joined):
    """The handshake goes on as it is, both ways; whose Origin may come is for the upstream."""
    asked = parse_fields(joined.asked)
    for field in (
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        (b"sec-websocket-version", b"13"),
        (b"origin", b"http://example.test"),
    ):
        assert asked.count(field) == 1
    assert joined.answered.startswith(b"HTTP/1.1 101 ")
    answered = parse_fields(joined.answered)
    assert dict(answered)[b"sec-websocket-accept"] == b"xyz"
    assert [value.lower() for name, value in answered if name == b"upgrade"] == [b"websocket"]


def test_bytes(joined):
    """Then bytes pass both ways, as they are."""
    joined.wire.send(b"\x81\x00")
    assert joined.line.take() == b"\x81\x00"
    joined.line.say(b"\x81\x01a")
    assert joined.wire.take() == b"\x81\x01a"
    assert joined.tunnels == 1


@pytest.mark.parametrize("size", [None, 1])
def test_bytes_that_come_at_once(size):
    """Also those that come together with the handshake, or behind it."""
    setting = Setting()
    wire = setting.client(OPENING)
    wire.send(b"early")
    line = setting.server.line
    line.take()
    line.say(SWITCHING + b"behind", size)
    assert wire.take().endswith(b"\r\n\r\nbehind")
    assert line.take() == b"early"


@pytest.mark.parametrize("status", [b"403 No", b"200 OK", b"426 No"])
def test_refused(status):
    """An upstream may answer with something else, which is an answer like any other."""
    setting = Setting()
    wire = setting.client(OPENING)
    setting.server.line.say(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
    answered = reply(wire)
    assert (answered.status, answered.text) == (int(status[:3]), "no")
    wire.send(GET)
    setting.server.line.say(HELLO)
    assert reply(wire).text == "Hello"


def test_other_protocol():
    """An upstream that changes to what it was not asked for is wrong: 502."""
    setting = Setting()
    wire = setting.client(OPENING)
    with said() as lines:
        setting.server.line.say(SWITCHING.replace(b"websocket", b"ssh"))
    assert reply(wire).status == 502
    assert "not to" in lines[0]
    assert setting.server.line.closed
    assert setting.proxy._members[0].tunnels == 0


def test_protocol_that_is_not_allowed():
    """Other protocols are not asked for, and the request is one like any other."""
    setting = Setting()
    wire = setting.client(OPENING.replace(b"websocket", b"h2c"))
    assert b"pgrade" not in setting.server.line.take()
    setting.server.line.say(HELLO)
    assert reply(wire).text == "Hello"


def test_body():
    """A request with a body asks for no other protocol, since what follows would not be clear."""
    setting = Setting()
    wire = setting.client(OPENING.replace(b"GET", b"POST")[:-2] + b"Content-Length: 1\r\n\r\nx")
    assert b"pgrade" not in setting.server.line.take()
    setting.server.line.say(HELLO)
    assert reply(wire, "POST").text == "Hello"


def test_pace_of_the_client(joined):
    """While the client takes nothing, the upstream cannot send more than buffers hold."""
    joined.wire.stop_reading()
    sent = 0
    while not joined.line.transport.paused and sent < SIZE:
        joined.line.say(b"x" * KIB)
        sent += KIB
    assert sent < SIZE
    joined.wire.read()
    assert not joined.line.transport.paused
    assert joined.wire.take() == b"x" * sent


def test_pace_of_the_upstream(joined):
    """And the other way round."""
    joined.line.transport.reading = False
    sent = 0
    while not joined.wire.transport.paused and sent < SIZE:
        joined.wire.send(b"x" * KIB)
        sent += KIB
    assert sent < SIZE
    joined.line.transport.read()
    assert not joined.wire.transport.paused
    assert joined.line.take() == b"x" * sent


def test_client_closes(joined):
    """When the client closes, so does the upstream's connection, after all has been sent."""
    joined.line.transport.reading = False
    joined.wire.send(b"last")
    joined.wire.half_close()
    assert joined.line.transport.half_closed
    joined.line.transport.read()
    assert joined.line.take() == b"last"
    joined.line.end()
    assert joined.wire.transport.disconnected
    assert joined.tunnels == 0
    joined.wire.advance(2)
    assert not joined.setting.clock.getDelayedCalls()


def test_upstream_closes(joined):
    """And the other way round; what the client sends until then still arrives."""
    joined.line.say(b"last")
    joined.line.half_close()
    assert joined.wire.take() == b"last"
    assert joined.wire.transport.half_closed
    joined.wire.send(b"reply")
    assert joined.line.take() == b"reply"
    joined.wire.half_close()
    assert joined.wire.closed
    assert joined.line.closed
    assert joined.tunnels == 0


@pytest.mark.parametrize("end", ["end", "cut"])
def test_upstream_goes(joined, end):
    """When the upstream has gone, so has the client; cut off, if it was."""
    getattr(joined.line, end)()
    assert joined.wire.transport.disconnected
    assert joined.wire.transport.aborted is (end == "cut")
    assert joined.tunnels == 0


def test_client_goes(joined):
    """A client that is cut off cuts off the upstream."""
    joined.wire.hang_up()
    assert joined.line.transport.aborted
    assert joined.line.closed
    assert joined.tunnels == 0


def test_end_that_never_comes(joined):
    """Once one end is done, the other has so much time."""
    joined.line.half_close()
    joined.wire.advance(ENDING + 2)
    assert joined.wire.transport.aborted
    assert joined.line.closed
    assert joined.tunnels == 0


def test_client_that_does_not_take_the_end(joined):
    """Also if it does not even take what waits for it."""
    joined.wire.stop_reading()
    joined.line.say(b"x" * KIB)
    joined.line.end()
    joined.wire.advance(ENDING + 2)
    assert joined.wire.transport.aborted
    assert joined.wire.transport.disconnected


def test_idle():
    """One through which nothing passes is cut off at last."""
    joined = Joined(tunnel_timeout=60)
    for _ in range(3):
        joined.wire.advance(50)
        joined.line.say(b"sign of life")
    assert not joined.wire.transport.disconnected
    joined.wire.advance(63)
    assert joined.wire.transport.disconnected
    assert joined.line.closed


def test_client_that_takes_nothing():
    """So is one whose client takes nothing of what waits for it."""
    joined = Joined(limits=ClientLimits(send_timeout=20))
    joined.wire.stop_reading()
    joined.line.say(b"x" * SIZE)
    joined.wire.advance(22)
    assert joined.wire.transport.aborted
    assert joined.line.closed


def test_client_that_takes_it_at_last():
    """But not one that has taken it in time, and is silent then."""
    joined = Joined(limits=ClientLimits(send_timeout=20))
    joined.wire.stop_reading()
    joined.line.say(b"x" * SIZE)
    joined.wire.advance(10)
    joined.wire.read()
    joined.wire.advance(30)
    assert not joined.wire.transport.disconnected


@pytest.mark.parametrize("over_tls", [False, True])
def test_end_that_is_done_is_not_read(joined, over_tls):
    """Nothing more is read of an end that has said that it is done."""
    resumed: list[None] = []
    joined.wire.stop_reading()
    joined.line.say(b"x" * SIZE)
    joined.line.transport.resumeProducing = lambda: resumed.append(None)
    if over_tls:
        directlyProvides(joined.wire.transport, ISSLTransport)
    joined.line.half_close()
    joined.wire.read()
    assert joined.wire.take() == b"x" * SIZE
    assert resumed == []


def test_drain(joined):
    """When the server stops, both ends are closed in good order."""
    joined.wire.factory.drain(10)
    joined.wire.advance(0)
    assert joined.wire.closed
    assert joined.line.closed
    assert not joined.line.transport.aborted


def test_middleware_that_says_no():
    """What was joined for nobody is let go of, if something else is answered instead."""
    setting = Setting()

    async def forbidding(request):
        await setting.proxy(request)
        return Response(b"", 403)

    wire = Wire(forbidding, clock=setting.clock)
    wire.send(OPENING)
    setting.server.line.say(SWITCHING)
    assert reply(wire).status == 403
    assert setting.server.line.closed
    assert setting.proxy._members[0].tunnels == 0


def test_client_goes_before_it_is_joined():
    """And so is the upstream, if its client goes before it has answered."""
    setting = Setting()
    wire = setting.client(OPENING)
    wire.hang_up()
    assert setting.server.line.closed


def test_upstream_goes_at_once():
    """An upstream that has gone behind its handshake is one that has gone."""
    setting = Setting()
    wire = setting.client(OPENING)
    line = setting.server.line
    line.protocol.dataReceived(SWITCHING + b"last")
    line.end()
    assert wire.take().endswith(b"last")
    assert wire.transport.disconnected
    assert setting.proxy._members[0].tunnels == 0


def test_half_close():
    """TLS has no end of one direction, and then both are closed."""
    transport = MemoryTransport(Setting().clock)
    assert can_half_close(transport)
    directlyProvides(transport, ISSLTransport)
    assert not can_half_close(transport)
    assert not can_half_close(object())


@pytest.mark.parametrize("which", ["client", "upstream"])
def test_end_over_tls(joined, which):
    """So an end that is done ends the other too."""
    far = joined.line.transport if which == "client" else joined.wire.transport
    directlyProvides(far, ISSLTransport)
    (joined.wire if which == "client" else joined.line).half_close()
    joined.setting.clock.advance(0)
    assert joined.wire.closed
    assert joined.line.closed
    assert joined.tunnels == 0
