"""What each WebSocket client must find, over every transport."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mynet import App
from mynet.http import Request, Response
from mynet.websocket import WebSocket, WebSocketHandler, WebSocketProtocol, WebSocketTransport
from tests.integration.serving import LARGE, async_yield_fixture, integration, until
from tests.integration.websocket_clients import CLIENTS, Client, Closed, Refused

LIMIT = 2 * 1024 * 1024

TEXT = "Grüße, 世界! 🚀 "
SIZES = (1, 125, 126, 70_000)
MESSAGES: list[str | bytes] = ["", "a", TEXT, TEXT * 10_000, b"", *(LARGE[:size] for size in SIZES)]


class Echo(WebSocketProtocol):
    """Sends all back."""

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport

    def textMessageReceived(self, message: str) -> None:
        self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self._transport.sendBytesMessage(data)


class Site:
    """What there is to connect to."""

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self.app = app = App()
        app.websocket("/coroutine", max_message_size=LIMIT, subprotocols=["chat"])(self.echo)
        app.add_route("/protocol", WebSocketHandler(self.build, max_message_size=LIMIT))
        app.websocket("/asks")(self.asks)
        app.websocket("/closes/{code:int}")(self.closes)
        app.websocket("/refused")(self.refused)

    async def echo(self, socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)
        assert socket.close_code is not None
        self.closed.append((socket.close_code, socket.close_reason))

    def build(self, request: Request) -> WebSocketProtocol:
        return Echo()

    async def asks(self, socket: WebSocket) -> None:
        await socket.accept()
        assert await socket.ping() >= 0
        await socket.send("alive")
        await socket.receive()

    async def closes(self, socket: WebSocket, code: int) -> None:
        await socket.accept()
        await socket.close(code, "Schluß")

    async def refused(self, socket: WebSocket) -> Response:
        return Response.text("You may not.", 403)


def kinds(feature: str = "") -> list[str]:
    """The clients that can do something."""
    return [name for name, kind in CLIENTS.items() if not feature or getattr(kind, feature)]


@async_yield_fixture(params=kinds())
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Each client in turn; a test that is for some of them parametrizes this."""
    made = CLIENTS[request.param]()
    yield made
    await made.aclose()


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize("path", ["/coroutine", "/protocol"])
@integration
async def test_messages(serve, site, client, path):
    """Texts and bytes of all sizes come back as they were, from a server of either kind."""
    await client.open(await serve(site.app), path)
    for message in MESSAGES:
        await client.send(message)
        assert await client.receive() == message


@integration
async def test_at_once(serve, site, client):
    """So do many that are sent before the first is awaited, in their order."""
    await client.open(await serve(site.app), "/coroutine")
    for number in range(100):
        await client.send(f"{number}")
    assert [await client.receive() for _ in range(100)] == [f"{number}" for number in range(100)]


@integration
async def test_large(serve, site, client):
    """So does what is as large as may be."""
    await client.open(await serve(site.app), "/coroutine")
    await client.send(LARGE[:LIMIT])
    assert await client.receive() == LARGE[:LIMIT]


@pytest.mark.parametrize("client", kinds("fragments"), indirect=True)
@pytest.mark.parametrize("message", [TEXT * 1000, LARGE[:70_000]], ids=["text", "bytes"])
@integration
async def test_fragments(serve, site, client, message):
    """A message that is sent in pieces arrives as one."""
    await client.open(await serve(site.app), "/coroutine")
    await client.send(message, pieces=7)
    assert await client.receive() == message


@integration
async def test_client_pings(serve, site, client):
    """A client's ping is answered, also between messages."""
    await client.open(await serve(site.app), "/coroutine")
    for payload in (b"", b"are you there?", b"\xff" * 125):
        await client.ping(payload)
    await client.send("after")
    assert await client.receive() == "after"


@integration
async def test_server_pings(serve, site, client):
    """A client answers the server's."""
    await client.open(await serve(site.app), "/asks")
    assert await client.receive() == "alive"


@pytest.mark.parametrize("client", kinds("negotiates"), indirect=True)
@integration
async def test_subprotocol(serve, site, client):
    """The subprotocol that both know is spoken."""
    await client.open(await serve(site.app), "/coroutine", ["superchat", "chat"])
    assert client.subprotocol == "chat"
    await client.send(TEXT)
    assert await client.receive() == TEXT


@pytest.mark.parametrize("client", kinds("negotiates"), indirect=True)
@integration
async def test_compression(serve, site, client):
    """What can be compressed is, in both directions, message after message."""
    service = await serve(site.app)
    await client.open(service, "/coroutine")
    assert client.compresses
    before = service.factory.stats.bytes_received
    for _ in range(3):
        await client.send(TEXT * 10_000)
        assert await client.receive() == TEXT * 10_000
    assert service.factory.stats.bytes_received - before < len(TEXT) * 10_000


@integration
async def test_client_closes(serve, site, client):
    """The server is told with what code and reason a client closes."""
    service = await serve(site.app)
    await client.open(service, "/coroutine")
    await client.send("before")
    assert await client.receive() == "before"
    await client.close(4001, "Schluß")
    await until(lambda: site.closed)
    assert site.closed == [(4001, "Schluß")]
    await until(lambda: not service.factory.connections)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
@pytest.mark.parametrize("client", kinds("tells_close"), indirect=True)
@integration
async def test_server_closes(serve, site, client, code):
    """A client is told with what code and reason the server closes."""
    service = await serve(site.app)
    await client.open(service, f"/closes/{code}")
    assert await client.closed() == (code, "Schluß")
    await until(lambda: not service.factory.connections)


@pytest.mark.parametrize("client", kinds("tells_close"), indirect=True)
@integration
async def test_too_large(serve, site, client):
    """A client that sends too much is told so."""
    await client.open(await serve(site.app), "/coroutine")
    await client.send(bytes(LIMIT + 1))
    code, _ = await client.closed()
    assert code == 1009
    await until(lambda: site.closed)


@pytest.mark.parametrize("client", kinds("tells_close"), indirect=True)
@integration
async def test_server_stops(serve, site, client):
    """A server that stops takes leave of its clients."""
    service = await serve(site.app)
    await client.open(service, "/coroutine")
    stopped = service.factory.drain(10)
    code, _ = await client.closed()
    assert code == 1001
    await stopped


@pytest.mark.parametrize(("path", "status"), [("/refused", 403), ("/nothing", 404)])
@integration
async def test_refused(serve, site, client, path, status):
    """A client to whom no WebSocket is opened is told why."""
    with pytest.raises(Refused) as refused:
        await client.open(await serve(site.app), path)
    assert refused.value.status == status
