"""An upstream as a proxy knows it."""

from __future__ import annotations

from twisted.internet.task import Clock

from mynet.handlers.proxy.health import FailurePolicy
from mynet.handlers.proxy.member import Member
from mynet.handlers.proxy.upstream import Upstream
from mynet.testing import result_of
from tests.handlers.proxy.upstreams import HELLO, Server


def member_of(clock):
    server = Server(clock)
    upstream = Upstream("http://backend:81/api", endpoint=server)
    return server, Member(upstream, FailurePolicy(), None, clock)


def test_names():
    """It has a name in logs, a Host, and what its URLs begin with."""
    _, member = member_of(Clock())
    assert repr(member) == "http://backend:81/api"
    assert member.host_line == b"Host: backend:81\r\n"
    assert (member.origin, member.prefix) == (b"http://backend:81/api", b"/api")


def test_load():
    """Its load is what it has to do: requests, those that wait, and tunnels."""
    server, member = member_of(Clock())
    assert member.load == 0
    pool = member.open()
    pool.send("GET", b"/", b"")
    assert member.load == 1
    server.line.say(HELLO)
    assert member.load == 0
    member.tunnels = 2
    assert member.load == 2
    member.end_tunnel()
    assert member.load == 1


def test_close():
    """Closed it has no connections, and opens new ones when it is asked again."""
    clock = Clock()
    server, member = member_of(clock)
    assert result_of(member.close()) is None
    pool = member.open()
    assert member.open() is pool
    pool.send("GET", b"/", b"").addErrback(lambda failure: None)
    closing = member.close()
    clock.advance(0)
    result_of(closing)
    assert server.line.closed
    assert member.open() is not pool


def test_reactor():
    """It is asked in the global reactor, unless another is given."""
    from twisted.internet import reactor

    assert Member(Upstream("http://backend"), FailurePolicy()).reactor is reactor
