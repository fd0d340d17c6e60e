"""Our WebSocket client and our server, on real sockets: TCP, UNIX sockets, TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, VerificationError, optionsForClientTLS

from mynet.http import Request
from mynet.websocket.answer import HandshakeRefused
from mynet.websocket.client import connect, connect_protocol
from mynet.websocket.endpoint import WebSocket, WebSocketEndpoint
from mynet.websocket.factory import WebSocketFactory
from mynet.websocket.handshake import HandshakeError
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from tests.integration.certificates import Certificates
from tests.integration.serving import (
    LARGE,
    TLS,
    UNIX,
    Service,
    Transport,
    integration,
    reactor,
    until,
)


async def echo(socket: WebSocket) -> None:
    """A handler that sends back what it gets."""
    async for message in socket:
        await socket.send(message)


def url_of(service: Service, path: str = "/") -> str:
    """The service as a WebSocket's URL."""
    return service.url(path).replace("http", "ws", 1)


@pytest.fixture
def ways(transport: Transport, certificates: Certificates) -> dict[str, Any]:
    """What a client has to know of the transport, besides the URL."""
    if isinstance(transport, TLS):
        authority = Certificate.loadPEM(certificates.authority.read_bytes())
        return {"tls": optionsForClientTLS("localhost", trustRoot=authority)}
    if isinstance(transport, UNIX):
        return {"endpoint": UNIXClientEndpoint(reactor(), str(transport.path))}
    return {}


@integration
async def test_echo(serve, ways):
    """Messages of all kinds and sizes come back as they were sent, and in order."""
    service = await serve(WebSocketEndpoint(echo, max_message_size=len(LARGE)))
    options = {**ways, "max_message_size": len(LARGE)}
    async with await connect(url_of(service), **options) as socket:
        messages: list[str | bytes] = ["", "hello", b"", b"bytes", "h\xe9" * 40_000, LARGE, "last"]
        for message in messages:
            await socket.send(message)
        assert [await socket.receive() for _ in messages] == messages
        assert await socket.ping() < 60
    assert (socket.close_code, socket.close_reason) == (1000, "")
    await until(lambda: not service.factory.connections)


@integration
async def test_without_compression(serve, ways):
    """So they do if nothing is compressed."""
    service = await serve(WebSocketEndpoint(echo, max_message_size=len(LARGE)))
    options = {**ways, "max_message_size": len(LARGE), "deflate": None}
    async with await connect(url_of(service), **options) as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response_headers
        await socket.send(LARGE)
        assert await socket.receive() == LARGE


@integration
async def test_several(serve, ways):
    """Any number of WebSockets may be opened at once."""
    service = await serve(WebSocketEndpoint(echo))
    sockets = await gatherResults([connect(url_of(service), **ways) for _ in range(50)])
    for number, socket in enumerate(sockets):
        await socket.send(f"{number}")
    assert [await socket.receive() for socket in sockets] == [f"{n}" for n in range(50)]
    for socket in sockets:
        await socket.close()
    await until(lambda: not service.factory.connections)


@integration
async def test_agreement(serve, ways):
    """Client and server find out what the other one wants."""

    async def handler(socket: WebSocket) -> None:
        request = socket.request
        await socket.accept(headers=[("X-Served-By", "me")])
        await socket.send(f"{request.target!r} {request.headers['Cookie']} {socket.subprotocol}")

    service = await serve(WebSocketEndpoint(handler, subprotocols=["b", "c"]))
    url = url_of(service, "/r\xf6\xf6m?q=a%20b")
    options = {**ways, "subprotocols": ["a", "b"], "headers": {"Cookie": "k=v"}}
    socket = await connect(url, **options)
    assert (socket.subprotocol, socket.response_headers["X-Served-By"]) == ("b", "me")
    said = [message async for message in socket]
    assert said == ["b'/r%C3%B6%C3%B6m?q=a%20b' k=v b"]
    assert socket.close_code == 1000


@integration
async def test_first_words(serve, ways):
    """What a server says with its answer is not lost."""

    async def handler(socket: WebSocket) -> None:
        for number in range(100):
            await socket.send(f"{number}")

    service = await serve(WebSocketEndpoint(handler))
    async with await connect(url_of(service), **ways) as socket:
        assert [message async for message in socket] == [f"{n}" for n in range(100)]


@integration
async def test_refused(serve, ways):
    """A client that is refused learns why."""

    async def handler(socket: WebSocket) -> None:
        await socket.close(reason="not today")

    service = await serve(WebSocketEndpoint(handler))
    with pytest.raises(HandshakeRefused, match="403 Forbidden") as caught:
        await connect(url_of(service), **ways)
    assert b"not today" in caught.value.body
    assert caught.value.headers["Content-Type"] == "text/plain; charset=utf-8"
    await until(lambda: not service.factory.connections)


@integration
async def test_closed_by_the_server(serve, ways):
    """The server's code and reason reach the client."""

    async def handler(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4001, "enough")

    service = await serve(WebSocketEndpoint(handler))
    socket = await connect(url_of(service), **ways)
    assert [message async for message in socket] == []
    assert (socket.close_code, socket.close_reason) == (4001, "enough")
    await until(lambda: not service.factory.connections)


@integration
async def test_stopped_server(serve, ways):
    """A server that stops says so to its clients, and waits for them."""
    service = await serve(WebSocketEndpoint(echo))
    socket = await connect(url_of(service), **ways)
    drained = service.factory.drain(60)
    assert [message async for message in socket] == []
    assert socket.close_code == 1001
    await drained


@integration
async def test_server_that_is_not_read(serve, ways):
    """A client that does not read is waited for, and misses nothing."""
    number = 200
    sent: list[int] = []

    async def handler(socket: WebSocket) -> None:
        for each in range(number):
            await socket.send(LARGE[:65536])
            sent.append(each)

    service = await serve(WebSocketEndpoint(handler, deflate=None))
    socket = await connect(url_of(service), **ways)
    await until(lambda: socket.connection._reading_paused and len(sent) < number)
    received = [message async for message in socket]
    assert received == [LARGE[:65536]] * number


class Upper(WebSocketProtocol):
    """It sends back what it gets, in capitals."""

    def __init__(self, *_: object) -> None:
        self.lost: Deferred[None] = Deferred()
        self.received: Deferred[str] = Deferred()

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def textMessageReceived(self, message: str) -> None:
        if message.isupper():
            self.received.callback(message)
        else:
            self.transport.sendTextMessage(message.upper())

    def connectionLost(self, reason: object) -> None:
        self.lost.callback(None)


@asynccontextmanager
async def listening(transport: Transport, factory: IProtocolFactory) -> AsyncIterator[str]:
    """A factory that is no HTTP service listens; its WebSocket URL."""
    port = await transport.server().listen(factory)
    scheme = transport.scheme.replace("http", "ws")
    try:
        yield f"{scheme}://{transport.authority(port)}/"
    finally:
        stopped: Any = port.stopListening()
        await stopped


@integration
async def test_protocols(transport, ways):
    """Protocols talk to each other as coroutines do, and are told of the end."""
    served: list[Upper] = []

    def build(request: Request) -> Upper:
        served.append(Upper())
        return served[0]

    factory = WebSocketFactory(build)
    async with listening(transport, factory) as url:
        protocol = await connect_protocol(url, Upper, **ways)
        protocol.transport.sendTextMessage("hello")
        assert await protocol.received == "HELLO"
        protocol.transport.loseConnection()
        await protocol.lost
        await served[0].lost
    assert factory.shared.stats.closed == {1000: 1}


@pytest.mark.parametrize("transport", ["tcp", "unix"], indirect=True)
@integration
async def test_deliveries_are_direct(serve, ways):
    """Nothing stands between the client's transport and its connection once it is open."""
    service = await serve(WebSocketEndpoint(echo))
    async with await connect(url_of(service), **ways) as socket:
        receiver = socket.connection.transport.protocol
        assert receiver.dataReceived == socket.connection.dataReceived
        await socket.send("hello")
        assert await socket.receive() == "hello"


# No WebSocket


class Silent(Protocol):
    """It only listens, and tells when that began and ended."""

    def __init__(self) -> None:
        self.received: Deferred[bytes] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received.callback(data)

    def connectionLost(self, reason: object = None) -> None:
        self.lost.callback(None)


@integration
async def test_giving_up(transport, ways):
    """Who gives up waiting for an answer leaves no connection behind."""
    silent = Silent()
    async with listening(transport, Factory.forProtocol(lambda: silent)) as url:
        opening = connect(url, **ways)
        assert (await silent.received).startswith(b"GET / HTTP/1.1\r\n")
        opening.cancel()
        with pytest.raises(CancelledError):
            await opening
        await silent.lost


@integration
async def test_silent_server(transport, ways):
    """A server that says nothing is not waited for longer than was said."""
    async with listening(transport, Factory.forProtocol(Silent)) as url:
        with pytest.raises(TimeoutError, match=r"not open after 0\.1 s"):
            await connect(url, handshake_timeout=0.1, **ways)


class Hasty(Protocol):
    """It closes the connection when it is asked something."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


@integration
async def test_server_that_closes(transport, ways):
    """A server that closes instead of answering has not answered."""
    async with listening(transport, Factory.forProtocol(Hasty)) as url:
        with pytest.raises(HandshakeError, match="before it answered"):
            await connect(url, **ways)


@pytest.mark.parametrize("transport", ["tcp"], indirect=True)
@integration
async def test_nobody_listens(transport):
    """Where nobody listens the connection is refused."""
    async with listening(transport, Factory.forProtocol(Hasty)) as url:
        pass
    with pytest.raises(ConnectionRefusedError):
        await connect(url)


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@integration
async def test_unknown_authority(serve):
    """A server whose certificate nobody vouches for is not talked to."""
    service = await serve(WebSocketEndpoint(echo))
    with pytest.raises(TLSError, match="certificate verify failed"):
        await connect(url_of(service))
    await until(lambda: not service.factory.connections)
    assert service.factory.stats.requests == 0


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@integration
async def test_certificate_of_another(serve, transport):
    """Nor is one whose certificate is for another host."""
    service = await serve(WebSocketEndpoint(echo))
    authority = Certificate.loadPEM(transport.certificates.authority.read_bytes())
    options = optionsForClientTLS("example.test", trustRoot=authority)
    with pytest.raises((VerificationError, TLSError)):
        await connect(url_of(service), tls=options)
    await until(lambda: not service.factory.connections)
    assert service.factory.stats.requests == 0


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@integration
async def test_tls_facts(serve, ways):
    """A server behind TLS learns as much of it as with HTTP."""
    facts: list[Any] = []

    async def handler(socket: WebSocket) -> None:
        await socket.accept()
        facts.append(socket.request.tls)

    service = await serve(WebSocketEndpoint(handler))
    socket = await connect(url_of(service), **ways)
    assert [message async for message in socket] == []
    assert (facts[0].server_name, facts[0].alpn) == ("localhost", None)
