"""Connections as no library would use them, but clients on the internet do: bare sockets."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from itertools import repeat
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import FileBodyProducer

from mynet.http import ClientGone, Limits, Request, Response, Upgrade
from mynet.http.limits import KIB, MIB
from tests.integration.serving import (
    LARGE,
    PIECE,
    SIZE,
    TIMEOUT,
    Service,
    converse,
    in_thread,
    integration,
    read_answer,
    until,
)

HELD = 512 * KIB
"""More than a server holds of a body: its buffer, and what it reads at once."""

IN_SOCKETS = 16 * MIB
"""More than the sockets of both ends hold, however far the system lets their buffers grow."""

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
POST_LAST = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: upper\r\n\r\n"
POST_CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

RESETS = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing the socket cuts the connection off (RST)."""


def test_large_is_large():
    """What is called large here does not fit where it must not."""
    assert 10 * HELD < SIZE


async def echo(request: Request) -> Response:
    """The body, as it comes in."""
    return Response(echoed(request))


async def echoed(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request:
        yield chunk


async def path(request: Request) -> Response:
    """The path, and the body."""
    return Response.text(f"{request.path} {(await request.read()).decode()}")


# Pipelining


@integration
async def test_pipelining(serve):
    """Requests sent at once, with bodies and without, are answered in order."""
    service = await serve(path)
    requests = [GET % b"/%d" % n + POST % (b"/%d" % n, 4) + b"body" for n in range(200)]

    def client() -> list[bytes]:
        with service.connect() as client, client.makefile("rb") as answers:
            client.sendall(b"".join(requests))
            return [read_answer(answers).body for _ in range(2 * len(requests))]

    expected = [b"/%d %b" % (n, body) for n in range(200) for body in (b"", b"body")]
    assert await in_thread(client) == expected
    assert service.factory.stats.accepted == 1


@integration
async def test_pipelining_is_bounded(serve):
    """What comes behind a request that takes long waits in the client, most of it."""
    release: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        if request.path == "/first":
            await release
        return Response.text(request.path)

    service = await serve(handler)
    padding = bytes(7 * KIB).replace(b"\0", b".")
    requests = [GET % (b"/%d?%b" % (n, padding)) for n in range(SIZE // len(padding))]

    def client() -> bytes:
        with service.connect() as client:
            return converse(client, b"".join([GET % b"/first", *requests, LAST]))

    answered = in_thread(client)
    await until(lambda: service.factory.connections and not service.is_reading())
    assert service.factory.stats.bytes_received < HELD
    assert service.factory.stats.requests == 1
    release.callback(None)
    answers = BytesIO(await answered)
    expected = [b"/first", *(b"/%d" % n for n in range(len(requests))), b"/last"]
    assert [read_answer(answers).body for _ in expected] == expected


# Both directions


@integration
async def test_step_by_step(serve):
    """A response can follow its request piece by piece: neither side holds anything back."""
    service = await serve(echo)

    def client() -> None:
        with service.connect() as client, client.makefile("rb") as answer:
            client.sendall(POST_CHUNKED)
            while answer.readline() != b"\r\n":
                pass
            for number in range(500):
                piece = b"%d" % number
                client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                assert answer.readline() == b"%x\r\n" % len(piece)
                assert answer.readline() == piece + b"\r\n"
            client.sendall(b"0\r\n\r\n")
            assert answer.readline() + answer.readline() == b"0\r\n\r\n"

    await in_thread(client)


@integration
async def test_both_ways_at_once(serve):
    """A body goes back while it comes in, at full speed, and unharmed."""
    service = await serve(echo)

    def client() -> bytes:
        with service.connect() as client:
            return converse(client, POST_LAST % SIZE + LARGE)

    answer = read_answer(BytesIO(await in_thread(client)))
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(LARGE).digest()


# Back-pressure


@integration
async def test_slow_handler(serve):
    """While a handler does not read, its client waits, and the server holds next to nothing."""
    release: Deferred[None] = Deferred()
    size = IN_SOCKETS + SIZE
    piece = LARGE[:PIECE]

    async def handler(request: Request) -> Response:
        await release
        return Response.text(str(sum([len(chunk) async for chunk in request])))

    service = await serve(handler)

    def send() -> bytes:
        with service.connect() as client, client.makefile("rb") as answer:
            client.sendall(POST % (b"/", size))
            for _ in range(size // PIECE):
                client.sendall(piece)
            return read_answer(answer).body

    answered = in_thread(send)
    await until(lambda: service.factory.connections and not service.is_reading())
    assert service.factory.stats.bytes_received < HELD
    release.callback(None)
    assert await answered == b"%d" % size
    assert service.factory.stats.bytes_received > size


STREAMED = IN_SOCKETS + SIZE
"""The size of a body that is not sent before somebody reads it."""


def pieces() -> Iterator[bytes]:
    return repeat(LARGE[:PIECE], STREAMED // PIECE)


async def async_pieces() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


def file() -> BinaryIO:
    body = TemporaryFile()  # noqa: SIM115  (closed by who sends it)
    body.writelines(pieces())
    body.seek(0)
    return cast(BinaryIO, body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pieces, id="generator"),
        pytest.param(async_pieces, id="async generator"),
        pytest.param(file, id="file"),
        pytest.param(lambda: FileBodyProducer(file()), id="producer"),
        pytest.param(lambda: b"".join(pieces()), id="bytes"),
    ],
)
@integration
async def test_slow_client(serve, body):
    """While a client does not read, its response is not made: the server holds little of it."""
    service = await serve(lambda request: Response(body()))
    stats = service.factory.stats
    furthest = 0

    def receive() -> int:
        nonlocal furthest
        consumed = 0
        while data := client.recv(PIECE):
            furthest = max(furthest, stats.bytes_sent - consumed)
            consumed += len(data)
        return consumed

    client = await in_thread(service.connect)
    with client:
        await in_thread(client.sendall, b"GET / HTTP/1.0\r\n\r\n")
        await until(lambda: stats.bytes_sent)
        assert await in_thread(receive) > STREAMED
    assert furthest < IN_SOCKETS


# Ends


@pytest.mark.parametrize("transport", ["tcp", "unix"], indirect=True)
@integration
async def test_half_close(serve):
    """A client that says it will send no more still gets its answers."""
    release: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        body = await request.read()
        await release
        return Response(iter([request.raw_path, b" ", body]))

    service = await serve(handler)

    def client() -> list[bytes]:
        with service.connect() as client:
            client.sendall(POST % (b"/1", 4) + b"body" + GET % b"/2")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answers:
                bodies = [read_answer(answers).body, read_answer(answers).body]
                return [*bodies, answers.read()]

    answered = in_thread(client)
    await until(lambda: service.factory.connections and not service.is_reading())
    assert service.factory.stats.requests == 1
    release.callback(None)
    assert await answered == [b"/1 body", b"/2 ", b""]


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)
@pytest.mark.parametrize("reads", [False, True])
@integration
async def test_reset(serve, reads):
    """When its client vanishes, what a handler waits for is cancelled."""
    begun: Deferred[None] = Deferred()
    ended: Deferred[BaseException] = Deferred()
    gone: list[None] = []

    async def handler(request: Request) -> Response:
        request.disconnected().addCallback(gone.append)
        begun.callback(None)
        try:
            await (request.read() if reads else Deferred())
        except BaseException as error:
            ended.callback(error)
            raise
        raise AssertionError("it had no reason to end")

    service = await serve(handler)
    client = await in_thread(service.connect)
    await in_thread(client.sendall, POST % (b"/", 10) + b"body")
    await begun
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    client.close()
    error = await ended
    assert isinstance(error, ClientGone if reads else CancelledError)
    await until(lambda: gone and not service.factory.connections)


@integration
async def test_leaving_a_download(serve):
    """When its client leaves in the middle, the body of a response is closed."""
    closed: Deferred[None] = Deferred()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield LARGE[:PIECE]
        finally:
            closed.callback(None)

    service = await serve(lambda request: Response(pieces()))

    def client() -> None:
        with service.connect() as client:
            client.sendall(GET % b"/")
            client.recv(PIECE)

    await in_thread(client)
    await closed
    await until(lambda: not service.factory.connections)


# Answers to those who are still sending


def too_large(service: Service, head: bytes) -> tuple[int, bytes]:
    """Send a body to its end, and only then look for the answer."""
    with service.connect() as client, client.makefile("rb") as answer:
        client.sendall(head + LARGE)
        answered = read_answer(answer)
        assert answered.headers["Connection"] == "close"
        return answered.status, answer.read()


@pytest.mark.parametrize("chunked", [False, True])
@integration
async def test_too_large(serve, chunked):
    """A client that sends too much sees the answer, even if it does not look until it is done."""

    async def handler(request: Request) -> Response:
        return Response.text(f"{len(await request.read(None))}")

    service = await serve(handler, Limits(body=MIB, linger_timeout=TIMEOUT))
    head = POST_CHUNKED + b"%x\r\n" % SIZE if chunked else POST % (b"/", SIZE)
    assert await in_thread(too_large, service, head) == (413, b"")


@pytest.mark.parametrize("waits", [False, True])
@integration
async def test_unread(serve, waits):
    """So does a client whose body nobody reads, be it answered at once or after a while."""
    release: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        if waits:
            await release
        return Response.text("No, thank you.", 403)

    service = await serve(handler, Limits(linger_timeout=TIMEOUT))
    answered = in_thread(too_large, service, POST % (b"/", SIZE))
    if waits:
        await until(lambda: service.factory.connections and not service.is_reading())
        release.callback(None)
    assert await answered == (403, b"")


@integration
async def test_nonsense(serve):
    """A client that does not speak HTTP, but a lot, is told so."""
    service = await serve(path, Limits(linger_timeout=TIMEOUT))

    def client() -> int:
        with service.connect() as client, client.makefile("rb") as answer:
            client.sendall(b"\x16\x03\x01" + LARGE)
            return int(answer.readline().split(b" ")[1])

    assert 400 <= await in_thread(client) < 500


# Another protocol


class Upper(Protocol):
    """It sends back what it gets, in capitals."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())

    # IPushProducer: while the client does not read, we do not either

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """It is over."""


@integration
async def test_upgrade(serve):
    """After an upgrade, what comes is for the other protocol: also what was there already."""
    service = await serve(lambda request: Upgrade("upper", Upper()))
    text = LARGE.hex().encode()

    def client() -> None:
        with service.connect() as client, client.makefile("rb") as received:
            client.sendall(UPGRADE + b"hello, ")
            answer = read_answer(received)
            assert (answer.status, answer.headers["Upgrade"]) == (101, "upper")
            client.sendall(b"world")
            assert received.read(12) == b"HELLO, WORLD"
            for start in range(0, len(text), PIECE):
                piece = text[start : start + PIECE]
                client.sendall(piece)
                assert received.read(len(piece)) == piece.upper()

    await in_thread(client)
    await until(lambda: not service.factory.connections)
