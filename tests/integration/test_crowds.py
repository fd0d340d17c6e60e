"""Many connections at once, too many, and the end of them all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from mynet.http import Limits, Request, Response
from tests.integration.serving import (
    TIMEOUT,
    Answer,
    Service,
    in_thread,
    integration,
    read_answer,
    until,
)

resource = pytest.importorskip("resource", reason="this system has no limit of open files")

CROWD = 1000
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


def path(request: Request) -> Response:
    """The path."""
    return Response.text(request.path)


@pytest.fixture
def open_files() -> Iterator[None]:
    """As many as both ends of a crowd need."""
    needed = 2 * CROWD + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"no more than {hard} files may be open, and {needed} are needed")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Visitor(Protocol):
    """A client with one request."""

    def __init__(self) -> None:
        self.received = b""
        self.answered: Deferred[bytes] = Deferred()

    def ask(self, target: bytes) -> None:
        """Send the request, the last of the connection."""
        assert self.transport is not None
        self.transport.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % target)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.answered.callback(self.received.partition(b"\r\n\r\n")[2])


@integration
async def test_crowd(serve, open_files):
    """A thousand clients are there at once, as many as there may be, and each is answered."""
    service = await serve(path, Limits(connections=CROWD))
    visitors = [Visitor() for _ in range(CROWD)]
    await gatherResults([connectProtocol(service.client(), each) for each in visitors])
    await until(lambda: len(service.factory.connections) == CROWD)
    for number, visitor in enumerate(visitors):
        visitor.ask(b"/%d" % number)
    answers = await gatherResults([visitor.answered for visitor in visitors])
    assert answers == [b"/%d" % number for number in range(CROWD)]
    await until(lambda: not service.factory.connections)
    stats = service.factory.stats
    assert (stats.accepted, stats.refused, stats.responses[2]) == (CROWD, 0, CROWD)


class Client:
    """A socket, which is sent so little that it does not block."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._file = socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> Deferred[Answer]:
        """The next answer."""
        return in_thread(read_answer, self._file)

    def rest(self) -> Deferred[bytes]:
        """All that still comes; nothing if the connection is cut off."""
        return in_thread(self._rest)

    def _rest(self) -> bytes:
        try:
            return self._file.read()
        except (ssl.SSLError, ConnectionError):
            return b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@asynccontextmanager
async def clients_of(service: Service, number: int) -> AsyncIterator[list[Client]]:
    """So many clients of a service, and no longer than they are needed."""
    clients: list[Client] = []
    try:
        while len(clients) < number:
            clients.append(Client(await in_thread(service.connect)))
        yield clients
    finally:
        for client in clients:
            client.close()


def is_refused(service: Service) -> bool:
    """Whether a client that comes now is turned away."""
    try:
        with service.connect() as client:
            client.sendall(GET % b"/")
            return not client.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True


@integration
async def test_too_many(serve):
    """One client too many is turned away at once, until another has gone."""
    service = await serve(path, Limits(connections=3))
    async with clients_of(service, 3) as clients:
        await until(lambda: len(service.factory.connections) == 3)
        assert await in_thread(is_refused, service)
        assert service.factory.stats.refused == 1
        clients[0].close()
        await until(lambda: len(service.factory.connections) == 2)
        assert not await in_thread(is_refused, service)


@integration
async def test_drain(serve):
    """What is in progress when the server is to end is finished, and told that it is the last."""
    release: Deferred[None] = Deferred()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"half, "
        await release
        yield b"whole"

    async def handler(request: Request) -> Response:
        if request.path == "/waits":
            await release
        elif request.path == "/streams":
            return Response(pieces())
        return Response.text(f"{request.path} {(await request.read()).decode()}")

    service = await serve(handler)
    async with clients_of(service, 4) as clients:
        idle, waits, streams, sends = clients
        idle.send(GET % b"/idle")
        waits.send(GET % b"/waits")
        streams.send(GET % b"/streams")
        sends.send(b"POST /sends HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbo")
        await until(lambda: service.factory.stats.requests == 4)
        assert (await idle.answer()).body == b"/idle "

        await service.stop_listening()
        drained = service.factory.drain(TIMEOUT)
        assert await idle.rest() == b""
        release.callback(None)
        sends.send(b"dy")
        for client, body in ((waits, b"/waits "), (sends, b"/sends body")):
            answer = await client.answer()
            assert (answer.headers["Connection"], answer.body) == ("close", body)
        assert (await streams.answer()).body == b"half, whole"
        for client in (waits, sends, streams):
            assert await client.rest() == b""
    await drained
    assert not service.factory.connections


@integration
async def test_drain_idle(serve):
    """Idle clients, who do not even look at what we do, do not hold up the end."""
    service = await serve(path)
    async with clients_of(service, 3) as clients:
        for client in clients:
            client.send(GET % b"/")
            assert (await client.answer()).status == 200
        await service.stop_listening()
        await service.factory.drain(TIMEOUT)
        assert [await client.rest() for client in clients] == [b""] * 3


@integration
async def test_drain_ends(serve):
    """What is not finished by the deadline is cut off, and its handler cancelled."""
    cancelled: Deferred[None] = Deferred()
    waiting: Deferred[None] = Deferred(lambda _: cancelled.callback(None))

    async def handler(request: Request) -> Response:
        await waiting
        return path(request)

    service = await serve(handler)
    async with clients_of(service, 1) as (client,):
        client.send(GET % b"/")
        await until(lambda: service.factory.stats.requests)
        await service.stop_listening()
        await service.factory.drain(0)
        await cancelled
        assert await client.rest() == b""
