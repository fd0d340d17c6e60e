"""What our client must find at each WebSocket server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from mynet.websocket import WebSocketClosed
from mynet.websocket.answer import HandshakeRefused
from mynet.websocket.client import connect
from tests.integration.serving import LARGE, async_yield_fixture, integration, until
from tests.integration.websocket_servers import GOODBYE, PIECES, SERVERS, Server

TEXT = "Grüße, 世界! 🚀 "
SIZES = (1, 125, 126, 70_000)
MESSAGES: list[str | bytes] = ["", "a", TEXT, TEXT * 10_000, b"", *(LARGE[:size] for size in SIZES)]


class Peer(NamedTuple):
    """A server, and where it is."""

    server: Server
    url: str


def kinds(feature: str = "") -> list[str]:
    """The servers that can do something."""
    return [name for name, kind in SERVERS.items() if not feature or getattr(kind, feature)]


@async_yield_fixture(params=kinds())
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """Each server in turn; a test that is for some of them parametrizes this."""
    server = SERVERS[request.param]()
    port = await server.start()
    yield Peer(server, f"ws://127.0.0.1:{port}")
    await server.aclose()


@integration
async def test_messages(peer):
    """Texts and bytes of all sizes come back as they were."""
    async with await connect(f"{peer.url}/") as socket:
        for message in MESSAGES:
            await socket.send(message)
            assert await socket.receive() == message


@integration
async def test_large(peer):
    """So does what is almost as large as may be, by our defaults and by theirs."""
    message = LARGE[:1_000_000]
    async with await connect(f"{peer.url}/") as socket:
        await socket.send(message)
        assert await socket.receive() == message


@integration
async def test_at_once(peer):
    """So do many that are sent before the first is awaited, in their order."""
    async with await connect(f"{peer.url}/") as socket:
        for number in range(100):
            await socket.send(f"{number}")
        assert [await socket.receive() for _ in range(100)] == [f"{n}" for n in range(100)]


@pytest.mark.parametrize("peer", kinds("fragments"), indirect=True)
@integration
async def test_fragments(peer):
    """A message that is sent in pieces arrives as one."""
    async with await connect(f"{peer.url}/") as socket:
        await socket.send("pieces")
        assert await socket.receive() == "".join(PIECES)


@integration
async def test_client_pings(peer):
    """A server answers our ping."""
    async with await connect(f"{peer.url}/") as socket:
        assert await socket.ping() >= 0


@integration
async def test_server_pings(peer):
    """We answer a server's."""
    async with await connect(f"{peer.url}/") as socket:
        await socket.send("ping")
        assert await socket.receive() == "alive"


@pytest.mark.parametrize("peer", kinds("negotiates"), indirect=True)
@integration
async def test_subprotocol(peer):
    """The subprotocol that both know is spoken."""
    async with await connect(f"{peer.url}/", subprotocols=["superchat", "chat"]) as socket:
        assert socket.subprotocol == "chat"


@pytest.mark.parametrize("peer", kinds("negotiates"), indirect=True)
@integration
async def test_compression(peer):
    """What can be compressed is, in both directions, message after message."""
    async with await connect(f"{peer.url}/") as socket:
        for _ in range(3):
            await socket.send(TEXT * 10_000)
            assert await socket.receive() == TEXT * 10_000
        stats = socket.connection.shared.stats
    assert stats.bytes_sent < len(TEXT) * 10_000
    assert stats.bytes_received < len(TEXT) * 10_000


@pytest.mark.parametrize("peer", kinds("closes"), indirect=True)
@integration
async def test_client_closes(peer):
    """A server is told with what code and reason we close."""
    socket = await connect(f"{peer.url}/")
    await socket.close(4002, "Schluß")
    await until(lambda: peer.server.closed)
    assert peer.server.closed == [(4002, "Schluß")]


@integration
async def test_server_closes(peer):
    """We are told with what code and reason a server closes."""
    socket = await connect(f"{peer.url}/")
    await socket.send("close")
    assert [message async for message in socket] == []
    assert (socket.close_code, socket.close_reason) == GOODBYE
    with pytest.raises(WebSocketClosed):
        await socket.send("too late")


@pytest.mark.parametrize("peer", kinds("closes"), indirect=True)
@integration
async def test_too_large(peer):
    """A server that sends too much is told so."""
    socket = await connect(f"{peer.url}/", max_message_size=10_000)
    await socket.send(TEXT * 10_000)
    assert [message async for message in socket] == []
    assert socket.close_code == 1009
    await until(lambda: peer.server.closed)
    assert [code for code, _ in peer.server.closed] == [1009]


@integration
async def test_refused(peer):
    """We are told why a server opens no WebSocket."""
    with pytest.raises(HandshakeRefused) as refused:
        await connect(f"{peer.url}/refused")
    assert refused.value.status == 403
