"""Connections to one server, kept and shared."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IHandshakeListener, IProtocolFactory, ISSLTransport
from twisted.internet.task import Clock
from zope.interface import directlyProvides

from mynet.http.client_errors import (
    CannotConnect,
    NotAnswered,
    PoolFull,
    ResponseCut,
    UpstreamTimeout,
)
from mynet.http.client_limits import ClientLimits
from mynet.http.client_response import ClientResponse
from mynet.http.limits import KIB
from mynet.http.pool import Pool
from mynet.testing import result_of
from tests.http.test_client import LONG, OK, SWITCH, Tunnel
from tests.http.test_client_request import upload
from tests.server import Line, Server


class Asker:
    """Asks a pool."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.pool = Pool(self.server, ClientLimits(**limits), clock=self.clock)

    def ask(self, target: bytes = b"/", method: str = "GET") -> Deferred[ClientResponse]:
        return self.pool.request(method, target, [(b"Host", b"a")])

    @property
    def lines(self) -> list[Line]:
        """All connections that there were."""
        return self.server.lines

    def advance(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many are in use, rest, wait."""
        return self.pool.in_use, self.pool.idle, self.pool.waiting


@pytest.fixture
def asker() -> Asker:
    return Asker()


def fails(result: Deferred[Any], error: type[Exception]) -> Any:
    """That with which it has failed."""
    with pytest.raises(error) as caught:
        result_of(result)
    return caught.value


# Requests


def test_request(asker):
    """A request is sent as it is said."""
    fields = [(b"Host", b"a"), (b"X", b"\xe9")]
    result = asker.pool.request("PUT", b"/a?b", fields, b"hello")
    asker.lines[0].send(OK)
    assert result_of(result).whole == b"hello"
    assert asker.lines[0].take() == (
        b"PUT /a?b HTTP/1.1\r\nHost: a\r\nX: \xe9\r\nContent-Length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("GET /", b"/", []), ("", b"/", []), ("G\xc9T", b"/", []), ("GET", b"/ HTTP/1.1\r\nA:", []),
        ("GET", b"", []), ("GET", b"/\xe9", []), ("GET", b"/", [(b"A", b"b\r\nC: d")]),
        ("GET", b"/", [(b"A b", b"c")]), ("GET", b"/", [(b"Content-Length", b"5")]),
        ("GET", b"/", [(b"transfer-encoding", b"chunked")]), ("GET", b"/", [(b"Connection", b"x")]),
        ("CONNECT", b"a:443", []),
    ],
)  # fmt: skip
def test_wrong_requests(asker, method, target, fields):
    """What would break out of its place, or frame the request anew, is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  (each says something else)
        asker.pool.request(method, target, fields)
    assert asker.lines == []


def test_interim(asker):
    """Interim responses are told to who wants them."""
    seen: list[Any] = []
    asker.pool.request("GET", b"/", [], interim=lambda *each: seen.append(each))
    asker.lines[0].send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
    assert seen == [(103, [(b"link", b"a")])]


# Connections


def test_nothing_is_connected_before(asker):
    """A pool that is asked nothing does nothing."""
    assert asker.lines == []
    assert asker.clock.getDelayedCalls() == []


def test_reuse(asker):
    """A connection serves one request after the other; several at a time need several."""
    first, second = asker.ask(), asker.ask()
    assert asker.counts == (2, 0, 0)
    asker.lines[0].send(OK)
    assert asker.counts == (1, 1, 0)
    third = asker.ask()
    assert len(asker.lines) == 2
    asker.lines[1].send(OK)
    asker.lines[0].send(OK)
    assert [result_of(each).status for each in (first, second, third)] == [200] * 3
    assert asker.counts == (0, 2, 0)


def test_latest_first(asker):
    """What has just been used is used again, so that the others may be closed in time."""
    asker.ask(), asker.ask()
    asker.lines[0].send(OK)
    asker.lines[1].send(OK)
    for _ in range(3):
        asker.ask()
        asker.lines[1].send(OK)
    assert asker.lines[0].take().count(b"GET") == 1


def test_limit_of_idle_ones():
    """No more connections rest than may."""
    asker = Asker(max_idle=1)
    asker.ask(), asker.ask()
    asker.lines[0].send(OK)
    asker.lines[1].send(OK)
    assert asker.counts == (0, 1, 0)
    asker.advance(1)
    assert asker.lines[1].closed
    assert not asker.lines[0].closed


def test_idle_ones_that_are_closed(asker):
    """A connection that the server closes while it rests is not used again."""
    for end in (Line.finish, Line.end, Line.reset):
        asker.ask()
        asker.lines[-1].send(OK)
        end(asker.lines[-1])
        assert asker.counts == (0, 0, 0)
    assert len(asker.lines) == 3


# Waiting


def test_waiting():
    """Past the limit of connections requests wait, and are served in order."""
    asker = Asker(max_connections=1)
    results = [asker.ask(b"/%d" % number) for number in range(3)]
    assert asker.counts == (1, 0, 2)
    for number, result in enumerate(results):
        assert asker.lines[0].take().startswith(b"GET /%d " % number)
        asker.lines[0].send(OK)
        assert result_of(result).status == 200
    assert asker.counts == (0, 1, 0)


def test_waiting_for_another_connection():
    """Those who wait get a new connection when an old one is over."""
    asker = Asker(max_connections=1)
    first, second = asker.ask(b"/1"), asker.ask(b"/2")
    asker.lines[0].send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert result_of(first).status == 200
    assert asker.lines[1].take().startswith(b"GET /2 ")
    asker.lines[1].send(OK)
    assert result_of(second).status == 200


def test_limit_of_waiting_ones():
    """Past the limit of those who wait nobody else may."""
    asker = Asker(max_connections=1, max_waiting=1)
    asker.ask()
    waiting = asker.ask()
    error = fails(asker.ask(), PoolFull)
    assert str(error) == "1 requests wait already"
    assert not waiting.called


def test_queue_timeout():
    """Nobody waits for ever."""
    asker = Asker(max_connections=1, queue_timeout=5)
    first, waiting = asker.ask(), asker.ask()
    asker.advance(4)
    assert not waiting.called
    asker.advance(3)
    assert fails(waiting, UpstreamTimeout).kind == "queue"
    asker.lines[0].send(OK)
    assert result_of(first).status == 200
    assert asker.counts == (0, 1, 0)


def test_cancel_waiting():
    """Who gives up leaves the queue."""
    asker = Asker(max_connections=1)
    asker.ask()
    waiting, last = asker.ask(b"/1"), asker.ask(b"/2")
    waiting.cancel()
    fails(waiting, CancelledError)
    asker.lines[0].send(OK)
    assert b"GET /2 " in asker.lines[0].take()
    asker.lines[0].send(OK)
    assert result_of(last).status == 200


# Connecting


def test_cannot_connect(asker):
    """A server that is not there is an error that tells why; the next request tries again."""
    asker.server.error = ConnectionRefusedError()
    for _ in range(2):
        error = fails(asker.ask(), CannotConnect)
        assert "refused" in str(error)
        assert isinstance(error.__cause__, ConnectionRefusedError)
    asker.server.error = None
    asker.ask()
    asker.lines[0].send(OK)
    assert asker.counts == (0, 1, 0)


def test_cannot_connect_again():
    """All who wait learn of it, however many they are."""
    asker = Asker(max_connections=1, max_waiting=5000)
    first, *waiting = [asker.ask() for _ in range(3000)]
    asker.server.error = ConnectionRefusedError()
    asker.lines[0].reset()
    fails(first, NotAnswered)
    for each in waiting:
        fails(each, CannotConnect)


def test_cannot_connect_one_by_one():
    """Those who wait for one that cannot be made get a try of their own."""
    asker = Asker(max_connections=1)
    asker.server.silent = True
    first, second = asker.ask(), asker.ask()
    asker.server.turn_away(ConnectionRefusedError())
    fails(first, CannotConnect)
    assert not second.called
    asker.server.let_in()
    asker.lines[0].send(OK)
    assert result_of(second).status == 200


def test_connect_timeout():
    """A connection that does not come in time is given up."""
    asker = Asker(connect_timeout=5)
    asker.server.silent = True
    result = asker.ask()
    asker.advance(4)
    assert not result.called
    asker.advance(3)
    assert fails(result, UpstreamTimeout).kind == "connect"
    assert asker.server.given_up == 1
    assert asker.clock.getDelayedCalls() == []


def test_first_come(asker):
    """A request does not wait for a connection that is being made when another becomes free."""
    asker.ask()
    asker.server.silent = True
    second = asker.ask()
    assert not second.called
    asker.lines[0].send(OK)
    asker.lines[0].send(OK)
    assert result_of(second).status == 200


class Secured(Line):
    """A connection with TLS, whose handshake is still to come."""

    def connect(self) -> None:
        directlyProvides(self.transport, ISSLTransport)
        super().connect()

    def secure(self) -> None:
        """The handshake is done."""
        IHandshakeListener(self.protocol).handshakeCompleted()


class SecureServer(Server):
    """A server with TLS."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        line = Secured(self.clock, protocolFactory)
        self.lines.append(line)
        line.connect()
        return Deferred()


@pytest.fixture
def secured(asker: Asker) -> Asker:
    asker.server = SecureServer(asker.clock)
    asker.pool = Pool(asker.server, ClientLimits(connect_timeout=5), clock=asker.clock)
    return asker


def test_tls(secured):
    """Nothing is sent before the handshake is done."""
    result = secured.ask()
    (line,) = secured.lines
    assert line.take() == b""
    line.secure()
    assert line.take().startswith(b"GET ")
    line.send(OK)
    assert result_of(result).status == 200


def test_tls_fails(secured):
    """A handshake that fails is a connection that was never there."""
    result = secured.ask()
    secured.lines[0].transport.lose(ValueError("certificate verify failed"))
    assert "certificate verify failed" in str(fails(result, CannotConnect))
    assert secured.counts == (0, 0, 0)


def test_tls_timeout(secured):
    """One that does not end is given up."""
    result = secured.ask()
    secured.advance(7)
    assert fails(result, UpstreamTimeout).kind == "connect"
    assert secured.lines[0].transport.aborted


def test_connection_that_comes_too_late(asker):
    """A connection that was given up, and comes after all, is closed."""
    asker.server.silent = True
    result = asker.ask()
    asker.advance(15)
    fails(result, UpstreamTimeout)
    asker.server.let_in()
    asker.advance(1)
    assert asker.server.line.closed
    assert asker.counts == (0, 0, 0)


# Connections that are stale


@pytest.mark.parametrize("end", [Line.finish, Line.end, Line.reset])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_stale(asker, method, end):
    """Where it does no harm, a request that met the end of a connection is sent on a new one."""
    asker.ask()
    asker.lines[0].send(OK)
    result = asker.ask(b"/again", method)
    end(asker.lines[0])
    assert len(asker.lines) == 2
    assert asker.lines[1].take().startswith(method.encode() + b" /again ")
    asker.lines[1].send(OK[:-5] if method == "HEAD" else OK)
    assert result_of(result).status == 200


def test_stale_is_sent_once_more(asker):
    """Once."""
    asker.ask(), asker.ask(), asker.ask()
    for line in asker.lines:
        line.send(OK)
    result = asker.ask()
    asker.lines[2].reset()
    asker.lines[3].reset()
    assert not fails(result, NotAnswered).reused
    assert len(asker.lines) == 4


def test_stale_twice(asker):
    """Also where the other connection was no new one."""
    asker.ask(), asker.ask()
    for line in asker.lines:
        line.send(OK)
    asker.ask()
    result = asker.ask(b"/again")
    asker.server.silent = True
    asker.lines[0].reset()
    assert b"/again" not in asker.lines[1].take()
    asker.lines[1].send(OK)
    assert b"/again" in asker.lines[1].take()
    asker.lines[1].reset()
    assert fails(result, NotAnswered).reused


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_stale_is_not_sent_again(asker, method):
    """Where it could do harm it is left to who knows better."""
    asker.ask()
    asker.lines[0].send(OK)
    result = asker.ask(b"/", method)
    asker.lines[0].reset()
    assert fails(result, NotAnswered).reused
    assert len(asker.lines) == 1


def test_body_is_not_sent_again(asker):
    """A body that is passed on cannot be sent again."""
    asker.ask()
    asker.lines[0].send(OK)
    body = upload(5)
    result = asker.pool.request("PUT", b"/", [], body)
    body.feed(b"hello")
    asker.lines[0].reset()
    assert fails(result, NotAnswered).reused


def spare(asker: Asker) -> Line:
    """A connection that came when nobody waited for it any more."""
    asker.server.silent = True
    asker.ask().addErrback(lambda _: None).cancel()
    asker.server.let_in()
    asker.server.silent = False
    assert asker.counts == (0, 1, 0)
    return asker.lines[0]


def test_spare_that_is_stale(asker):
    """A connection that has rested without ever being used may be closed like any other."""
    line = spare(asker)
    result = asker.ask()
    line.reset()
    asker.lines[1].send(OK)
    assert result_of(result).status == 200


def test_spare_is_not_kept_for_ever():
    """What nobody uses is closed in time, though it never was used."""
    asker = Asker(idle_timeout=5)
    line = spare(asker)
    asker.advance(4)
    assert asker.pool.idle == 1
    asker.advance(3)
    assert asker.pool.idle == 0
    assert line.closed
    assert asker.clock.getDelayedCalls() == []


def test_fresh_is_not_sent_again(asker):
    """A server that closes a new connection without an answer would do so again."""
    result = asker.ask()
    asker.lines[0].end()
    assert not fails(result, NotAnswered).reused
    assert len(asker.lines) == 1


def test_begun_is_not_sent_again(asker):
    """Neither is what was answered in part."""
    asker.ask()
    asker.lines[0].send(OK)
    result = asker.ask()
    asker.lines[0].send(b"HTTP/1.1 2")
    asker.lines[0].reset()
    fails(result, ResponseCut)
    assert len(asker.lines) == 1


def test_stale_with_others_waiting():
    """What is sent again goes before those who came later."""
    asker = Asker(max_connections=1)
    asker.ask()
    asker.lines[0].send(OK)
    first, second = asker.ask(b"/1"), asker.ask(b"/2")
    asker.lines[0].reset()
    assert len(asker.lines) == 2
    line = asker.lines[1]
    for target in (b"/1", b"/2"):
        assert line.take().startswith(b"GET %b " % target)
        line.send(OK)
    assert [result_of(each).status for each in (first, second)] == [200, 200]


# The end


def test_drain(asker):
    """A pool that ends takes no more requests; those in progress get their answers."""
    asker.ask(), asker.ask()
    asker.lines[0].send(OK)
    result = asker.pool.request("GET", b"/", [])
    asker.lines[1].send(OK)
    assert asker.counts == (1, 1, 0)
    done = asker.pool.drain()
    fails(asker.ask(), PoolFull)
    asker.advance(1)
    assert not done.called
    asker.lines[0].send(OK)
    assert result_of(result).status == 200
    asker.advance(1)
    assert done.called
    assert all(line.closed for line in asker.lines)
    assert asker.clock.getDelayedCalls() == []


def test_drain_with_some_waiting():
    """So do those who wait."""
    asker = Asker(max_connections=1)
    asker.ask()
    waiting = asker.ask()
    done = asker.pool.drain()
    asker.lines[0].send(OK)
    asker.lines[0].send(OK)
    assert result_of(waiting).status == 200
    asker.advance(1)
    assert done.called


@pytest.mark.parametrize("ask", [True, False])
def test_drain_when_nothing_is_open(asker, ask):
    """A pool that has no connections is over at once."""
    if ask:
        asker.ask()
        asker.lines[0].send(OK)
        asker.lines[0].end()
    assert result_of(asker.pool.drain()) is None


def test_close():
    """A pool that is closed cuts off what is in progress, and lets nobody wait."""
    asker = Asker(max_connections=3)
    idle, first, body, waiting = asker.ask(), asker.ask(), asker.ask(), asker.ask()
    asker.lines[0].send(OK)
    asker.lines[0].send(OK)
    assert result_of(idle).status == 200
    assert result_of(waiting).status == 200
    asker.lines[2].send(LONG)
    reading = result_of(body).read(KIB)
    done = asker.pool.close()
    for each in (first, reading, asker.ask()):
        fails(each, PoolFull if each not in (first, reading) else ResponseCut)
    asker.advance(1)
    assert done.called
    assert [line.transport.aborted for line in asker.lines] == [False, True, True]
    assert asker.clock.getDelayedCalls() == []


def test_close_while_connecting(asker):
    """So it does while a connection is being made."""
    asker.server.silent = True
    result = asker.ask()
    done = asker.pool.close()
    fails(result, PoolFull)
    assert done.called
    assert asker.server.given_up == 1
    assert asker.clock.getDelayedCalls() == []


def test_close_while_waiting():
    """And who waits is told."""
    asker = Asker(max_connections=1)
    asker.ask().addErrback(lambda _: None)
    waiting = asker.ask()
    asker.pool.close()
    fails(waiting, PoolFull)


def test_tunnels_are_their_own(asker):
    """A connection that was handed over is no concern of the pool's end."""
    result = asker.pool.send("GET", b"/", b"", upgrade=True)
    asker.lines[0].send(SWITCH)
    tunnel = Tunnel()
    result_of(result).hand_over(tunnel)
    assert result_of(asker.pool.close()) is None
    asker.advance(5)
    assert tunnel.told == ["made"]
    asker.lines[0].reset()
    assert tunnel.told == ["made", "lost"]
