"""The factory: what its connections share, how many there may be, and how they end together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from twisted.internet import reactor
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mynet.http.factory import HTTPFactory
from mynet.http.http1 import HTTP1Connection
from mynet.http.limits import Limits
from mynet.http.message import Body, Request, Response, Upgrade
from mynet.http.shared import Access, Stats, countable
from mynet.testing import CLIENT, MemoryTransport, Wire, result_of
from tests.conversation import GET, UPGRADE, Echo, Recorder, Waiting, head, post, replies, reply


def hello(request: Request) -> Response:
    return Response(b"hello")


def from_host(host: str) -> IAddress:
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 50000)


def test_interfaces():
    """An endpoint finds a whole factory, that knows what it was made with."""
    limits = Limits(body=5)
    factory = HTTPFactory(hello, limits)
    assert verifyObject(IProtocolFactory, factory)
    assert factory.handler is hello
    assert factory.limits is limits
    assert HTTPFactory(hello).limits == Limits()
    factory.doStart()
    factory.doStop()


def test_reactor():
    """Its time is the global reactor's, unless it is given another."""
    assert HTTPFactory(hello).clock is reactor
    clock = Clock()
    assert HTTPFactory(hello, reactor=clock).clock is clock


# How many connections there may be


def test_connections_are_known():
    """The connections that are open can be counted at any time."""
    factory = HTTPFactory(hello, reactor=Clock())
    wires = [Wire(factory) for _ in range(3)]
    assert len(factory.connections) == 3
    wires[0].hang_up()
    assert len(factory.connections) == 2
    assert {wire.protocol for wire in wires[1:]} == factory.connections


def test_limit_of_connections():
    """Beyond the limit a connection is closed at once, and there is room when one ends."""
    factory = HTTPFactory(hello, Limits(connections=2), reactor=Clock())
    wires = [Wire(factory) for _ in range(3)]
    assert [wire.closed for wire in wires] == [False, False, True]
    wires[0].hang_up()
    assert not Wire(factory).closed
    assert Wire(factory).closed
    assert (factory.stats.accepted, factory.stats.refused) == (3, 2)


def test_limit_of_connections_can_be_left_open():
    """Either limit may be none."""
    limits = Limits(connections=None, connections_per_address=None)
    factory = HTTPFactory(hello, limits, reactor=Clock())
    assert not any(Wire(factory).closed for _ in range(300))


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:2:3:4", "2001:db8:0:1::1"),
        ("2001:db8::1%eth0", "2001:db8::2%eth1", "2001:db8:0:1::1%eth0"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
    ],
)
def test_limit_of_connections_of_an_address(first, same, other):
    """One address may have so many; an IPv6 network of 64 bits is one client."""
    factory = HTTPFactory(hello, Limits(connections_per_address=2), reactor=Clock())
    kept = Wire(factory, client=from_host(first))
    assert not Wire(factory, client=from_host(same)).closed
    assert Wire(factory, client=from_host(same)).closed
    assert Wire(factory, client=from_host(first)).closed
    assert not Wire(factory, client=from_host(other)).closed
    kept.hang_up()
    assert not Wire(factory, client=from_host(same)).closed
    assert Wire(factory, client=from_host(first)).closed


@pytest.mark.parametrize(
    "client",
    [
        from_host("127.0.0.1"), from_host("127.1.2.3"), from_host("::1"),
        from_host("::ffff:127.0.0.1"), UNIXAddress(b"/run/a.sock"), UNIXAddress(None),
        HostnameAddress(b"a.test", 80), None,
    ],
    ids=repr,
)  # fmt: skip
def test_clients_that_are_not_counted(client):
    """Loopback and UNIX sockets are where proxies come from: any number may."""
    factory = HTTPFactory(hello, Limits(connections_per_address=1), reactor=Clock())
    wires = [Wire(factory, client=client) for _ in range(5)]
    assert not any(wire.closed for wire in wires)
    for wire in wires:
        wire.hang_up()
    assert countable(client) is None


def test_addresses_are_forgotten():
    """Nothing is kept of an address that has gone."""
    factory = HTTPFactory(hello, reactor=Clock())
    wires = [Wire(factory, client=from_host(f"192.0.2.{number}")) for number in range(5)]
    for wire in wires:
        wire.hang_up()
    assert not factory._per_address


def test_client_of_a_transport():
    """Where the listener does not tell who connects, the transport does."""
    clock = Clock()
    factory = HTTPFactory(hello, Limits(connections_per_address=1), reactor=clock)
    connection = factory.buildProtocol(None)
    assert isinstance(connection, HTTP1Connection)
    transport = MemoryTransport(clock)
    transport.protocol = connection
    connection.makeConnection(transport)
    assert connection.client == CLIENT
    assert not Wire(factory).closed  # what the listener does not tell is not counted


# Time


def test_one_sweep():
    """One call a second looks after all connections, and only while there are any."""
    clock = Clock()
    factory = HTTPFactory(hello, reactor=clock)
    assert clock.getDelayedCalls() == []
    wires = [Wire(factory, clock=clock) for _ in range(5)]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(1)
    assert len(clock.getDelayedCalls()) == 1
    for wire in wires:
        wire.hang_up()
    assert clock.getDelayedCalls() == []
    assert not Wire(factory, clock=clock).closed
    assert len(clock.getDelayedCalls()) == 1


def test_time_of_a_connection_that_comes_late():
    """A connection that comes after a long pause has all its time."""
    clock = Clock()
    factory = HTTPFactory(hello, Limits(header_timeout=5), reactor=clock)
    Wire(factory, clock=clock).hang_up()
    clock.advance(1000)
    wire = Wire(factory, clock=clock)
    wire.advance(4)
    assert not wire.closed
    wire.advance(3)
    assert wire.closed


def test_date_changes(monkeypatch):
    """The Date is right to the second, whatever was answered before."""
    now = 784111777.0
    monkeypatch.setattr("mynet.http.shared.time.time", lambda: now)
    wire = Wire(hello)
    for expected in ("08:49:37", "08:49:37", "08:49:38"):
        wire.send(GET)
        assert reply(wire).headers["Date"] == f"Sun, 06 Nov 1994 {expected} GMT"
        now += 0.5
        wire.advance(1)


def test_error_in_a_sweep(logged, monkeypatch):
    """A connection whose deadlines cannot be looked at does not stop the clock for others.

    Not even in the same second.
    """
    clock = Clock()
    factory = HTTPFactory(hello, Limits(header_timeout=5), reactor=clock)
    wires = [Wire(factory, clock=clock) for _ in range(2)]
    check = type(wires[0].protocol).check_deadlines

    def fail_for_one(connection, now):
        if connection is wires[0].protocol:
            raise ZeroDivisionError
        check(connection, now)

    monkeypatch.setattr(type(wires[0].protocol), "check_deadlines", fail_for_one)
    for _ in range(5):
        clock.advance(1)
    clock.advance(0)
    assert [wire.closed for wire in wires] == [False, True]
    logged.take(*[ZeroDivisionError] * 5)


# Figures


def test_stats():
    """What was done is counted."""
    factory = HTTPFactory(Recorder(), reactor=Clock())
    stats = factory.stats
    assert vars_of(stats) == (0, 0, 0, [0] * 6, 0, 0, 0)
    sent = GET + post(b"Content-Length: 5", body=b"hello")
    wire = Wire(factory)
    wire.send(sent, 7)
    assert vars_of(stats) == (1, 0, 2, [0, 0, 2, 0, 0, 0], len(sent), len(wire.received), 0)
    wire.send(b"?\r\n\r\n")
    wire.send(b"more")
    assert stats.requests == 2
    assert stats.responses == [0, 0, 2, 0, 1, 0]
    assert stats.bytes_received == len(sent) + 9
    assert stats.bytes_sent == len(wire.received)


def test_bytes_sent():
    """Every byte that is sent is counted, however it is sent."""
    bodies: list[Body] = [b"x" * 10, b"x" * 300_000, iter([b"x" * 100_000] * 3), iter([b"x"] * 9)]
    wire = Wire(lambda request: Response(bodies.pop()))
    wire.send(GET * 4 + b"?\r\n\r\n", 20)
    assert bodies == []
    assert wire.factory.stats.bytes_sent == len(wire.received)


def test_any_content_types():
    """A service whose Content-Types are without number remembers no more than it must."""
    wire = Wire(lambda request: Response(b"", content_type=f"a/{request.path[1:]}"))
    for number in range(1000):
        wire.send(head(line=f"GET /{number} HTTP/1.1".encode()))
        assert reply(wire).headers["Content-Type"] == f"a/{number}"
    assert len(wire.factory.templates) < 1000


def vars_of(stats: Stats) -> tuple[object, ...]:
    return (
        stats.accepted, stats.refused, stats.requests, stats.responses,
        stats.bytes_received, stats.bytes_sent, stats.timeouts,
    )  # fmt: skip


# The access log


def test_access_log():
    """Each response has its entry: what was asked, by whom, and what came of it."""
    entries: list[Access] = []
    handler = Recorder()
    wire = Wire(HTTPFactory(handler, access_log=entries.append, reactor=Clock()))
    wire.send(GET + head(line=b"HEAD /long HTTP/1.1"))
    wire.send(post(b"Content-Length: 5", body=b"hello") + b"?\r\n\r\n")
    one, two, three = handler.requests
    assert entries == [
        (one, CLIENT, 200, 1),
        (two, CLIENT, 200, 0),
        (three, CLIENT, 200, 5),
        (None, CLIENT, 400, entries[3].length),
    ]
    assert entries[3].length > 0


def test_access_log_of_streams():
    """The length is that of the body, without what frames it."""
    entries: list[Access] = []
    bodies: list[Body] = [iter([b"hello ", b"world"]), iter([b"hello"]), b"x" * 1000000]
    clock = Clock()
    factory = HTTPFactory(
        lambda request: Response(bodies.pop(0)), access_log=entries.append, reactor=clock
    )
    Wire(factory, clock=clock).send(GET * 3)
    assert [(entry.status, entry.length) for entry in entries] == [
        (200, 11), (200, 5), (200, 1000000),
    ]  # fmt: skip


def test_access_log_of_clients_that_go():
    """A client that went before it was answered is 499, before it had it all what it began with."""
    entries: list[Access] = []
    held: Deferred[bytes] = Deferred()

    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        yield await held

    waiting = Waiting()
    for handler, expected in (
        (waiting, (499, 0)),
        (lambda request: Response(body()), (200, 5)),
    ):
        wire = Wire(HTTPFactory(handler, access_log=entries.append, reactor=Clock()))
        wire.send(GET)
        assert entries == []
        wire.hang_up()
        (entry,) = entries
        assert (entry.status, entry.length) == expected
        assert entry.request is not None
        entries.clear()
    wire = Wire(HTTPFactory(hello, access_log=entries.append, reactor=Clock()))
    wire.hang_up()
    assert entries == []


def test_access_log_of_failures(logged):
    """A response that fails at its end is logged with the status that its client saw."""
    entries: list[Access] = []

    def one_piece() -> Iterator[bytes]:
        yield b"hello"
        raise TypeError

    responses = [Response(b"", headers={"A": "\n"}), Response(one_piece())]
    factory = HTTPFactory(
        lambda request: responses.pop(0), access_log=entries.append, reactor=Clock()
    )
    wire = Wire(factory)
    wire.send(GET + GET)
    assert [(entry.status, entry.length) for entry in entries] == [(500, 26), (200, 5)]
    logged.take(ValueError, TypeError)


# Draining


def test_drain_of_nothing():
    """Where nothing is open, all is done."""
    factory = HTTPFactory(hello, reactor=Clock())
    assert result_of(factory.drain(10)) is None
    assert factory.draining


def test_drain():
    """Idle connections close; what is in flight is finished, and told that it is the last."""
    clock = Clock()
    handler = Waiting()
    factory = HTTPFactory(handler, reactor=clock)
    idle, half, busy = (Wire(factory, clock=clock) for _ in range(3))
    half.send(GET[:10])
    busy.send(GET + GET)
    drained = factory.drain(10)
    idle.advance(0)
    assert idle.transport.disconnected
    assert not half.closed
    assert not drained.called
    handler.answers[0].callback(Response(b"1"))
    answer = reply(busy)
    assert (answer.body, answer.closes) == (b"1", True)
    busy.advance(3)
    assert busy.transport.disconnected
    assert not drained.called
    half.send(GET[10:])
    handler.answers[1].callback(Response(b"2"))
    assert reply(half).closes
    half.advance(3)
    assert result_of(drained) is None
    assert len(handler.requests) == 2
    assert clock.getDelayedCalls() == []


def test_drain_of_streams():
    """A response that is being sent is sent to its end."""
    held: Deferred[bytes] = Deferred()

    async def body() -> AsyncIterator[bytes]:
        yield b"hello "
        yield await held

    wire = Wire(lambda request: Response(body()))
    wire.send(GET)
    drained = wire.factory.drain(10)
    wire.advance(5)
    assert not drained.called
    held.callback(b"world")
    assert reply(wire).body == b"hello world"
    wire.advance(3)
    assert drained.called
    assert wire.transport.disconnected
    assert not wire.transport.aborted


def test_drain_of_bodies_that_are_thrown_away():
    """A body that nobody reads is not waited for."""
    wire = Wire(hello)
    wire.send(post(b"Content-Length: 5"))
    assert not reply(wire).closes
    drained = wire.factory.drain(10)
    wire.advance(3)
    assert drained.called


def test_drain_of_slow_readers():
    """A client that has its answer coming gets it all."""
    wire = Wire(lambda request: Response(b"x" * 100_000))
    wire.stop_reading()
    wire.send(GET)
    drained = wire.factory.drain(10)
    wire.advance(5)
    assert not drained.called
    wire.read()
    assert len(reply(wire).body) == 100_000
    assert drained.called


def test_drain_by_its_deadline(logged):
    """What is not finished then is cut off, its handlers cancelled."""
    clock = Clock()
    handler = Waiting()
    factory = HTTPFactory(handler, reactor=clock)
    busy, half = Wire(factory, clock=clock), Wire(factory, clock=clock)
    busy.send(GET)
    half.send(GET[:10])
    drained = factory.drain(3)
    busy.advance(2)
    assert not drained.called
    busy.advance(2)
    assert result_of(drained) is None
    assert busy.transport.aborted
    assert half.transport.aborted
    assert handler.cancelled == [b"/"]
    assert len(factory.connections) == 0


def test_drain_of_upgrades():
    """Another protocol is asked to close, in its own way, and has as long."""
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(UPGRADE)
    drained = wire.factory.drain(10)
    wire.advance(0)
    assert echo.events == ["made", "lost: ConnectionDone"]
    assert drained.called


def test_drain_begins_no_upgrade():
    """A connection that is about to end does not change its protocol."""
    held: Deferred[Response] = Deferred()
    echo = Echo()
    wire = Wire(lambda request: held)
    wire.send(UPGRADE)
    drained = wire.factory.drain(10)
    held.callback(Upgrade("echo", echo))
    answer = reply(wire)
    assert (answer.status, answer.closes) == (503, True)
    assert echo.events == []
    wire.advance(3)
    assert drained.called


def test_drain_twice():
    """It may be asked for more than once, and given up; all who asked are told."""
    clock = Clock()
    handler = Waiting()
    factory = HTTPFactory(handler, reactor=clock)
    wire = Wire(factory, clock=clock)
    wire.send(GET)
    first, second, third = factory.drain(100), factory.drain(100), factory.drain(100)
    second.cancel()
    with pytest.raises(CancelledError):
        result_of(second)
    handler.answers[0].callback(Response())
    assert [answer.status for answer in replies(wire)] == [200]
    wire.advance(3)
    assert (result_of(first), result_of(third)) == (None, None)
    assert clock.getDelayedCalls() == []


def test_drain_in_less_time():
    """Who is in a hurry may ask again, for less time."""
    clock = Clock()
    factory = HTTPFactory(Waiting(), reactor=clock)
    wire = Wire(factory, clock=clock)
    wire.send(GET)
    drained = factory.drain(100)
    wire.advance(5)
    again = factory.drain(0)
    wire.advance(1)
    assert wire.transport.aborted
    assert drained.called
    assert again.called
    assert clock.getDelayedCalls() == []
