"""A proxy in front of servers that other people wrote, nginx and uvicorn, and WebSockets by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from mynet import App
from mynet.handlers.proxy import ReverseProxy
from tests.handlers.proxy.upstreams import said
from tests.integration.proxying import nginx, uvicorn
from tests.integration.serving import (
    DIRECT,
    LARGE,
    TIMEOUT,
    TLS,
    Service,
    Transport,
    async_yield_fixture,
    in_thread,
    integration,
    until,
)
from tests.integration.websocket_loop import Loop

CHAT = Subprotocol("chat")


@pytest.fixture(scope="module")
def by_uvicorn() -> Iterator[str]:
    """Where uvicorn is."""
    with uvicorn("proxied:app") as place:
        yield place


@pytest.fixture(scope="module")
def by_nginx() -> Iterator[str]:
    """Where nginx is."""
    text = b"text " * 1000
    with nginx({"large": LARGE, "small": b"Hello", "text.txt": text}) as place:
        yield place


@async_yield_fixture
async def loop() -> AsyncIterator[Loop]:
    """A loop for clients."""
    loop = Loop()
    yield loop
    await loop.aclose()


@async_yield_fixture
async def front(transport: Transport) -> AsyncIterator[Callable[[str], object]]:
    """Call this with a place to have a proxy to that below `/app`."""
    services = []

    async def front(place: str) -> Service:
        app = App()
        proxy = ReverseProxy(place, via="front")
        app.mount("/app", proxy)
        service = Service(transport, app, None)
        await service.start()
        services.append((service, proxy))
        return service

    yield front
    for service, proxy in services:
        await service.stop()
        await proxy.stop()


on_tcp = pytest.mark.parametrize("transport", ["tcp"], indirect=True)
with_urls = pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)


def session(service: Service) -> aiohttp.ClientSession:
    """A client of aiohttp's."""
    transport = service.transport
    context = transport.context() if isinstance(transport, TLS) else True
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(TIMEOUT)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout)


@with_urls
@integration
async def test_fields(front, by_uvicorn, loop):
    """uvicorn learns what was asked for, and by whom."""
    service = await front(by_uvicorn)

    async def client() -> dict[str, Any]:
        async with session(service) as clients, clients.get(service.url("/app/a%2Fb?q")) as answer:
            assert answer.status == 200
            assert answer.cookies["a"].value == "b"
            assert answer.headers["Via"] == "1.1 front"
            told: dict[str, Any] = await answer.json(content_type=None)
            return told

    told = await loop.run(client())
    headers = dict(told["headers"])
    authority = service.url("").partition("://")[2]
    assert told["path"] == "/a%2Fb"
    assert headers["host"] == headers["x-forwarded-host"] == authority
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == service.transport.scheme
    assert headers["x-forwarded-prefix"] == "/app"
    assert headers["via"] == "1.1 front"


@with_urls
@integration
async def test_echo(front, by_uvicorn, loop):
    """Large bodies pass both ways to it."""
    service = await front(by_uvicorn)

    async def client() -> bytes:
        url = service.url("/app/echo")
        async with session(service) as clients, clients.post(url, data=BytesIO(LARGE)) as answer:
            return await answer.read()

    assert await loop.run(client()) == LARGE


@on_tcp
@integration
async def test_cut(front, by_uvicorn, loop):
    """What it does not end looks cut off, and one line tells of it."""
    service = await front(by_uvicorn)

    async def client() -> None:
        async with session(service) as clients, clients.get(service.url("/app/cut")) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()

    with said() as lines:
        await loop.run(client())
        await until(lambda: lines)
    (line,) = lines
    assert line.startswith(f"<Request GET /app/cut> is cut off: {by_uvicorn}")


@on_tcp
@integration
async def test_nginx(front, by_nginx, loop):
    """Files of nginx's: whole, in part, compressed, unchanged, and their heads."""
    service = await front(by_nginx)
    file = service.url("/app/large")

    async def client() -> None:
        async with session(service) as clients:
            async with clients.get(file) as answer:
                assert await answer.read() == LARGE
                tag = answer.headers["ETag"]
            async with clients.get(file, headers={"Range": "bytes=5-9"}) as answer:
                assert (answer.status, await answer.read()) == (206, LARGE[5:10])
                assert answer.headers["Content-Range"] == f"bytes 5-9/{len(LARGE)}"
            async with clients.get(file, headers={"If-None-Match": tag}) as answer:
                assert (answer.status, answer.headers["ETag"]) == (304, tag)
            async with clients.head(file) as answer:
                assert (answer.status, answer.content_length) == (200, len(LARGE))
            async with clients.get(service.url("/app/none")) as answer:
                assert answer.status == 404
            headers = {"Accept-Encoding": "gzip"}
            async with clients.get(service.url("/app/text.txt"), headers=headers) as answer:
                assert answer.status == 200
                assert len(await answer.read()) > 0

    await loop.run(client())


@on_tcp
@integration
async def test_nginx_fields(front, by_nginx, loop):
    """nginx sees the Host that was asked for, and where from."""
    service = await front(by_nginx)

    async def client() -> str:
        async with session(service) as clients:
            fields = {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1"}
            async with clients.get(service.url("/app/fields"), headers=fields) as answer:
                return await answer.text()

    authority = service.url("").partition("://")[2]
    assert await loop.run(client()) == (
        f'{authority} 127.0.0.1 for=127.0.0.1;host="{authority}";proto=http 1.1 front'
    )


# WebSockets


def websocket_url(service: Service, path: str) -> str:
    return service.url(path).replace("http", "ws", 1)


@with_urls
@integration
async def test_websockets(front, by_uvicorn, loop):
    """The client `websockets` has a conversation with uvicorn through the proxy."""
    service = await front(by_uvicorn)
    transport = service.transport
    context = transport.context() if isinstance(transport, TLS) else None
    messages: list[str | bytes] = ["", "Grüße", b"\0" * 70_000, "x" * 900_000]

    async def client() -> ConnectionClosed:
        url = websocket_url(service, "/app/chat")
        async with connect(url, subprotocols=[CHAT], ssl=context, **DIRECT) as socket:
            assert socket.subprotocol == "chat"
            for message in messages:
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send("close")
            with pytest.raises(ConnectionClosed) as raised:
                await socket.recv()
            return raised.value

    closed = await loop.run(client())
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "enough")
    await until(lambda: not service.factory.connections)


@on_tcp
@integration
async def test_refused_websocket(front, by_uvicorn, loop):
    """A WebSocket that is refused is refused to the client, with the same status."""
    service = await front(by_uvicorn)

    async def client() -> int:
        with pytest.raises(InvalidStatus) as raised:
            await connect(websocket_url(service, "/app/refused"), **DIRECT)
        return raised.value.response.status_code

    assert await loop.run(client()) == 403


@on_tcp
@integration
async def test_aiohttp_websocket(front, by_uvicorn, loop):
    """So has the client of aiohttp, which goes without saying goodbye."""
    service = await front(by_uvicorn)

    async def client() -> None:
        async with session(service) as clients:
            socket = await clients.ws_connect(websocket_url(service, "/app/chat"))
            for number in range(100):
                await socket.send_str(f"{number}")
                assert await socket.receive_str() == f"{number}"
            await socket.close()

    await loop.run(client())
    await until(lambda: not service.factory.connections)


@on_tcp
@integration
async def test_bare_client(front, by_nginx):
    """A client of the standard library has an answer as well."""
    service = await front(by_nginx)

    def client() -> bytes:
        with service.connect() as socket, socket.makefile("rb") as file:
            socket.sendall(b"GET /app/small HTTP/1.0\r\n\r\n")
            answered: bytes = file.read()
            return answered

    assert (await in_thread(client)).endswith(b"\r\n\r\nHello")
