"""A proxy in front of an upstream that misbehaves, on real sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from mynet.handlers.proxy import ClientLimits, ReverseProxy
from tests.integration.serving import (
    PIECE,
    TCP,
    TIMEOUT,
    Service,
    async_yield_fixture,
    in_thread,
    integration,
)

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello"
LAST = b"%b / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Behaviour = Callable[[socket.socket], None]


def read_head(client: socket.socket) -> bytes:
    """A request's head, to its end; empty if there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(PIECE)
        if not piece:
            return b""
        data += piece
    return data


def saying(*pieces: bytes) -> Behaviour:
    """Answer so to a request, and close."""

    def behave(client: socket.socket) -> None:
        read_head(client)
        for piece in pieces:
            client.sendall(piece)

    return behave


def close_at_once(client: socket.socket) -> None:
    """Accept, and close."""


def reset(client: socket.socket) -> None:
    """Read a request, and be gone."""
    read_head(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stay_silent(client: socket.socket) -> None:
    """Read a request, and never answer."""
    while client.recv(PIECE):
        pass


def endless_head(client: socket.socket) -> None:
    """Answer with fields for ever."""
    read_head(client)
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.sendall(b"A: b\r\n" * 1000)


def answer_twice(client: socket.socket) -> None:
    """Answer each request with two responses."""
    while read_head(client):
        client.sendall(HELLO * 2)


def answer_once(client: socket.socket) -> None:
    """Keep the connection, and close it when the next request comes."""
    read_head(client)
    client.sendall(HELLO)
    read_head(client)


class Upstream:
    """A server that treats each connection as it is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.behave: Behaviour = close_at_once
        self.accepted = 0
        Thread(target=self._serve, daemon=True).start()

    @property
    def place(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT)
        with client, suppress(OSError):
            self.behave(client)

    def close(self) -> None:
        """Accept no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    with suppress(OSError):
        upstream.close()


@async_yield_fixture
async def front(upstream: Upstream) -> AsyncIterator[Service]:
    """A proxy to that, with little patience."""
    limits = ClientLimits(response_timeout=1, body_timeout=1)
    proxy = ReverseProxy(upstream.place, limits=limits)
    service = Service(TCP(), proxy, None)
    await service.start()
    yield service
    await service.stop()
    await proxy.stop()


def ask(service: Service, method: bytes = b"GET") -> bytes:
    """All that is answered, to the end of the connection."""
    received = b""
    with service.connect() as client, suppress(ConnectionResetError):
        client.sendall(LAST % method)
        while piece := client.recv(PIECE):
            received += piece
    return received


BEFORE_THE_HEAD: dict[str, Behaviour] = {
    "closes at once": close_at_once,
    "resets": reset,
    "half a head": saying(b"HTTP/1.1 200 OK\r\nContent-"),
    "garbage": saying(b"\x00\xff garbage\r\n\r\n"),
    "SSH": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "both lengths": saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello"
    ),
    "endless head": endless_head,
    "less than it says": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHello"),
}


@pytest.mark.parametrize("behaviour", BEFORE_THE_HEAD)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@integration
async def test_no_answer(front, upstream, behaviour, method):
    """Whatever it does that is no answer is 502."""
    upstream.behave = BEFORE_THE_HEAD[behaviour]
    assert (await in_thread(ask, front, method)).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


@integration
async def test_nobody_there(front, upstream):
    """And so is nobody at all."""
    upstream.close()
    assert (await in_thread(ask, front)).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


@integration
async def test_silence(front, upstream):
    """One that never answers is 504."""
    upstream.behave = stay_silent
    assert (await in_thread(ask, front)).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"Content-Length: 1000000\r\n\r\n", b"x" * 100_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nHello\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nHello\r\n", b"nonsense\r\n"),
    ],
    ids=["length", "chunks", "bad chunks"],
)
@integration
async def test_cut_in_the_middle(front, upstream, pieces):
    """An answer that is cut off does not look complete."""
    upstream.behave = saying(b"HTTP/1.1 200 OK\r\n", *pieces)
    answered = await in_thread(ask, front)
    if answered.startswith(b"HTTP/1.1 502 "):  # all of it came at once
        return
    assert len(answered.partition(b"\r\n\r\n")[2]) < 1_000_000
    assert not answered.endswith(b"0\r\n\r\n")


@integration
async def test_two_answers(front, upstream):
    """One that says more than it was asked for is never believed about the next request."""
    upstream.behave = answer_twice
    for number in range(1, 4):
        assert (await in_thread(ask, front)).endswith(b"\r\n\r\nHello")
        assert upstream.accepted == number


@integration
async def test_keeps_connections_badly(front, upstream):
    """One that closes kept connections just when they are used costs no request of a GET."""
    upstream.behave = answer_once
    for _ in range(4):
        assert (await in_thread(ask, front)).endswith(b"\r\n\r\nHello")
