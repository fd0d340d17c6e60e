"""The client's connections, over real ones."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from mynet.http import Handler, Limits, Request, Response, Upgrade
from mynet.http.client_errors import CannotConnect, NotAnswered, ResponseCut
from mynet.http.client_limits import ClientLimits
from mynet.http.pool import Pool
from tests.integration.serving import (
    LARGE,
    SIZE,
    TCP,
    Serve,
    Service,
    async_yield_fixture,
    integration,
    number_of,
    reactor,
    until,
)

HOST = [(b"Host", b"localhost")]
AT_ONCE = 20


async def echo(request: Request) -> Response:
    return Response(await request.read(None), headers={"X-Method": request.method})


async def sent(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        async for piece in request:
            yield piece

    return Response(pieces())


@async_yield_fixture
async def serve_others() -> AsyncIterator[Serve]:
    """A second service."""
    services = []

    async def serve(handler: Handler) -> Service:
        services.append(Service(TCP(), handler, None))
        await services[-1].start()
        return services[-1]

    yield serve
    for service in services:
        await service.stop()


class Closing:
    """A pool for a test, closed at its end."""

    def __init__(self, endpoint: IStreamClientEndpoint, limits: ClientLimits | None = None) -> None:
        self.pool = Pool(endpoint, limits)

    async def __aenter__(self) -> Pool:
        return self.pool

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()


@integration
async def test_one_after_the_other(serve: Serve) -> None:
    """Requests one after the other need one connection."""
    service = await serve(echo)
    async with Closing(service.client()) as pool:
        for number in range(20):
            response = await pool.request("POST", b"/", HOST, b"%d" % number)
            assert response.whole == b"%d" % number
        assert service.factory.stats.accepted == 1


@integration
async def test_at_once(serve: Serve) -> None:
    """Requests at once are each answered with what is theirs, also where some have to wait."""
    service = await serve(echo)
    async with Closing(service.client(), ClientLimits(max_connections=5)) as pool:
        asked = [pool.request("POST", b"/", HOST, b"%d" % number) for number in range(AT_ONCE)]
        answers = await gatherResults(asked)
        assert [each.whole for each in answers] == [b"%d" % number for number in range(AT_ONCE)]
        assert service.factory.stats.accepted == 5
        assert (pool.in_use, pool.idle, pool.waiting) == (0, 5, 0)


@integration
async def test_large(serve: Serve) -> None:
    """A large body is the same there, and back."""
    service = await serve(echo)
    async with Closing(service.client()) as pool:
        response = await pool.request("POST", b"/", HOST, LARGE)
        assert response.length == SIZE
        assert await response.read(SIZE) == LARGE
        assert (await pool.request("GET", b"/", HOST)).whole == b""


@integration
async def test_passed_on(serve: Serve, serve_others: Serve) -> None:
    """Bodies are passed on both ways as they come, with lengths and without."""
    behind = await serve_others(sent)
    async with Closing(behind.client()) as pool:

        async def pass_on(request: Request) -> Response:
            return Response((await pool.request("POST", b"/", HOST, request.body)).body)

        front = await serve(pass_on)
        async with Closing(front.client()) as client:
            response = await client.request("POST", b"/", HOST, LARGE)
            assert await response.read(SIZE) == LARGE


@integration
async def test_consumer_that_is_slow(serve: Serve) -> None:
    """A server is kept waiting by who does not take its response."""
    sent_pieces = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent_pieces
        while sent_pieces < 1000:
            sent_pieces += 1
            yield b"x" * 100_000

    service = await serve(lambda request: Response(pieces()))
    async with Closing(service.client()) as pool:
        response = await pool.request("GET", b"/", HOST)
        before = -1
        while sent_pieces != before:
            before = sent_pieces
            await deferLater(reactor(), 0.1)
        assert sent_pieces < 500
        assert len(await response.read(100_000_000)) == 100_000_000


@integration
async def test_connection_that_was_closed(serve: Serve) -> None:
    """A connection that the server closes while it rests is missed by nobody."""
    service = await serve(echo)
    async with Closing(service.client()) as pool:
        for _ in range(3):
            assert (await pool.request("GET", b"/", HOST)).status == 200
            for connection in tuple(service.factory.connections):
                connection.abort()
            await until(lambda: not service.factory.connections)
        assert (await pool.request("GET", b"/", HOST)).status == 200


@integration
async def test_cut_off(serve: Serve, logged: list[Failure]) -> None:
    """A response that its server cuts off fails."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError

    service = await serve(lambda request: Response(pieces(), headers={"Content-Length": "200000"}))
    async with Closing(service.client()) as pool:
        response = await pool.request("GET", b"/", HOST)
        with pytest.raises(ResponseCut):
            await response.read(200_000)
    assert [failure.type for failure in logged] == [ConnectionError]
    logged.clear()


@integration
async def test_cancelled(serve: Serve) -> None:
    """A server learns that nobody waits for its answer any more."""
    gone: Deferred[None] = Deferred()
    here: Deferred[None] = Deferred()

    async def wait(request: Request) -> Response:
        here.callback(None)
        await request.disconnected()
        gone.callback(None)
        return Response()

    service = await serve(wait, Limits(half_closed_timeout=0))  # UNIX sockets have no reset
    async with Closing(service.client()) as pool:
        asked = pool.request("GET", b"/", HOST)
        asked.addErrback(lambda _: None)
        await here
        asked.cancel()
        await until(lambda: gone.called or not service.factory.connections)


@integration
async def test_switched(serve: Serve) -> None:
    """After a 101 both sides speak another protocol."""

    class Reversing(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data[::-1])

    class Collecting(Protocol):
        data = b""
        lost: Deferred[None]

        def connectionMade(self) -> None:
            self.lost = Deferred()
            assert self.transport is not None
            self.transport.write(b"hello")

        def dataReceived(self, data: bytes) -> None:
            self.data += data

        def connectionLost(self, reason: object = None) -> None:
            self.lost.callback(None)

    service = await serve(lambda request: Upgrade("reversing", Reversing()))
    async with Closing(service.client()) as pool:
        lines = b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: reversing\r\n"
        response = await pool.send("GET", b"/", lines, upgrade=True)
        assert response.status == 101
        collecting = Collecting()
        response.hand_over(collecting)
        await until(lambda: collecting.data == b"olleh")
        for connection in tuple(service.factory.connections):
            connection.abort()
        await collecting.lost


@integration
async def test_nobody_there() -> None:
    """A port on which nobody listens is an error that says so."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = TCP4ClientEndpoint(reactor(), "127.0.0.1", reserved.getsockname()[1])
        async with Closing(endpoint) as pool:
            with pytest.raises(CannotConnect, match="refused"):
                await pool.request("GET", b"/", HOST)


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@integration
async def test_who_is_not_trusted(serve: Serve) -> None:
    """A server whose certificate is not trusted is never sent a request."""
    service = await serve(echo)
    plain = TCP4ClientEndpoint(reactor(), "127.0.0.1", number_of(service.port))
    async with Closing(wrapClientTLS(optionsForClientTLS("localhost"), plain)) as pool:
        with pytest.raises(CannotConnect, match="certificate"):
            await pool.request("GET", b"/", HOST)
    assert service.factory.stats.requests == 0


@integration
async def test_server_that_closes() -> None:
    """A server that takes connections and closes them does not answer."""

    class Rude(Protocol):
        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.loseConnection()

    port = reactor().listenTCP(0, Factory.forProtocol(Rude), interface="127.0.0.1")
    async with Closing(TCP4ClientEndpoint(reactor(), "127.0.0.1", port.getHost().port)) as pool:
        with pytest.raises(NotAnswered):
            await pool.request("GET", b"/", HOST)
    await port.stopListening()


@integration
async def test_answered_without_being_read() -> None:
    """A server that answers and reads nothing of a request has answered."""

    here: list[Any] = []

    class Early(Protocol):
        def connectionMade(self) -> None:
            here.append(self.transport)
            IPushProducer(self.transport).pauseProducing()
            assert self.transport is not None
            self.transport.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")

    port = reactor().listenTCP(0, Factory.forProtocol(Early), interface="127.0.0.1")
    async with Closing(TCP4ClientEndpoint(reactor(), "127.0.0.1", port.getHost().port)) as pool:
        response = await pool.request("POST", b"/", HOST, LARGE * 4)
        assert (response.status, response.whole) == (413, b"no")
        assert pool.idle == 0
    await port.stopListening()
    here[0].abortConnection()
