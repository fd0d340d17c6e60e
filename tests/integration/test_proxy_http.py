"""A proxy over real sockets, in front of ours: whatever carries it, whatever it carries."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from mynet.handlers.proxy import ReverseProxy, Upstream
from mynet.http import Limits, Request, Response
from mynet.http.limits import GIB, MIB
from tests.integration.proxying import resident, upstream_of
from tests.integration.serving import (
    LARGE,
    PIECE,
    SIZE,
    TCP,
    Service,
    async_yield_fixture,
    converse,
    in_thread,
    integration,
    read_answer,
    until,
)

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GROWTH = 16 * MIB
BLOCK = bytes(PIECE)


async def endless(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // PIECE):
        yield BLOCK


async def upstream(request: Request) -> Response:
    """What is behind the proxies."""
    if request.path == "/echo":
        return Response(request)
    if request.path == "/large":
        return Response(LARGE)
    if request.path == "/gigabyte":
        return Response(endless(GIB))
    if request.path == "/count":
        size = 0
        async for piece in request:
            size += len(piece)
        return Response.text(f"{size}")
    if request.path == "/never":
        await request.disconnected()
    return Response.text(f"{request.method} {request.url} {request.headers['X-Forwarded-Proto']}")


@async_yield_fixture(params=["tcp", "unix", "tls"])
async def behind(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """The server behind, by each transport."""
    service = Service(request.getfixturevalue(request.param), upstream, Limits(body=4 * GIB))
    await service.start()
    yield service
    await service.stop()


@async_yield_fixture
async def proxy(behind: Service) -> AsyncIterator[ReverseProxy]:
    """A proxy to that."""
    proxy = ReverseProxy(upstream_of(behind))
    yield proxy
    await proxy.stop()


@async_yield_fixture
async def front(proxy: ReverseProxy) -> AsyncIterator[Service]:
    """And that served."""
    service = Service(TCP(), proxy, Limits(body=4 * GIB))
    await service.start()
    yield service
    await service.stop()


def ask(service: Service, data: bytes) -> bytes:
    """All that is answered, to the end of the connection."""
    with service.connect() as client:
        return converse(client, data)


@integration
async def test_requests(front, behind):
    """Requests go over one connection, whatever carries it, and are answered."""

    def client() -> None:
        with front.connect() as client, client.makefile("rb") as answers:
            for number in range(20):
                client.sendall(GET % b"/%d" % number)
                answer = read_answer(answers)
                assert answer.status == 200
                assert f"localhost/{number} http" in answer.body.decode()

    await in_thread(client)
    assert behind.factory.stats.accepted == 1


@integration
async def test_large(front):
    """Large answers arrive whole."""
    answered = await in_thread(ask, front, LAST % b"/large")
    assert answered.partition(b"\r\n\r\n")[2] == LARGE


@pytest.mark.parametrize("in_chunks", [False, True])
@integration
async def test_both_ways(front, in_chunks):
    """Large bodies pass both ways at once, with a length or in chunks."""
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if in_chunks:
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        pieces = (LARGE[start : start + PIECE] for start in range(0, SIZE, PIECE))
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        body += b"0\r\n\r\n"
    else:
        head += b"Content-Length: %d\r\n\r\n" % SIZE
        body = LARGE
    answered = await in_thread(ask, front, head + body)
    with_chunks = answered.partition(b"\r\n\r\n")[2]
    assert decoded(with_chunks) == LARGE


def decoded(data: bytes) -> bytes:
    """The body that is in these chunks."""
    pieces = []
    while size := int(data[: (end := data.index(b"\r\n"))], 16):
        pieces.append(data[end + 2 : end + 2 + size])
        data = data[end + 4 + size :]
    assert data == b"0\r\n\r\n"
    return b"".join(pieces)


@integration
async def test_client_goes(front, behind, proxy):
    """When a client goes, its request to the upstream ends."""
    client = await in_thread(front.connect)
    await in_thread(client.sendall, GET % b"/never")
    await until(lambda: behind.factory.stats.requests)
    (member,) = proxy._members
    assert member.load == 1
    reset(client)
    await until(lambda: not member.load)


def reset(client: socket.socket) -> None:
    """Be gone: not just send no more."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
@pytest.mark.parametrize("behind", ["tcp"], indirect=True)
@integration
async def test_client_that_never_reads(front, behind):
    """A gigabyte for a client that never reads takes no memory; when it goes, all ends."""
    client = await in_thread(front.connect)
    before = resident()
    await in_thread(client.sendall, GET % b"/gigabyte")
    await until(lambda: is_held_back(front) and is_held_back(behind))
    assert 0 < behind.factory.stats.bytes_sent < 64 * MIB
    assert resident() - before < GROWTH
    reset(client)
    await until(lambda: not behind.factory.connections)


def is_held_back(service: Service) -> bool:
    """Whether nobody takes what it sends."""
    connections: Iterable[Any] = service.factory.connections
    return all(connection._write_paused for connection in connections)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
@pytest.mark.parametrize("behind", ["tcp"], indirect=True)
@integration
async def test_upload(front):
    """An upload of 256 MiB takes no memory, either."""
    size = 256 * MIB
    head = b"PUT /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    grown = []

    def client() -> bytes:
        with front.connect() as client, client.makefile("rb") as answers:
            client.sendall(head)
            before = resident()
            for place in range(0, size, PIECE):
                client.sendall(BLOCK)
                if place % (16 * MIB) == 0:
                    grown.append(resident() - before)
            return read_answer(answers).body

    assert await in_thread(client) == b"%d" % size
    assert max(grown) < GROWTH


@pytest.mark.parametrize("behind", ["tls"], indirect=True)
@integration
async def test_certificates(front, behind, serve_by):
    """An upstream whose certificate is not trusted, or another's, is not spoken to: 502."""
    place = behind.url("")
    trusted = behind.transport.certificates.authority
    for wrong in (
        Upstream(place),
        Upstream(place, authority=trusted, server_name="other.example"),
    ):
        other = await serve_by(ReverseProxy(wrong))
        assert b" 502 Bad Gateway\r\n" in await in_thread(ask, other, LAST % b"/")
    assert behind.factory.stats.requests == 0
    other = await serve_by(ReverseProxy(Upstream(place, verify=False)))
    assert b" 200 OK\r\n" in await in_thread(ask, other, LAST % b"/")


@async_yield_fixture
async def serve_by():
    """Call this with a proxy to have it served."""
    services = []

    async def serve(proxy: ReverseProxy) -> Service:
        service = Service(TCP(), proxy, None)
        await service.start()
        services.append((service, proxy))
        return service

    yield serve
    for service, proxy in services:
        await service.stop()
        await proxy.stop()


@pytest.mark.parametrize("behind", ["tcp"], indirect=True)
@integration
async def test_over_two(front, behind, serve_by):
    """A proxy behind a proxy is a server like any other."""
    second = await serve_by(ReverseProxy(upstream_of(front)))
    answered = await in_thread(ask, second, LAST % b"/large")
    assert answered.partition(b"\r\n\r\n")[2] == LARGE
