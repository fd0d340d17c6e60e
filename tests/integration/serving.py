"""Servers on real sockets, in the reactor that runs the tests, and ways to reach them.

A `Service` is a handler that listens on one `Transport`. Clients that block run in threads;
none of their calls takes longer than `TIMEOUT` seconds, and neither does a test that is
decorated with `integration`.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from select import select
from typing import IO, Any, NamedTuple, Protocol, TypeVar

import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations
from multidict import CIMultiDict
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorFDSet,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from mynet.http import Handler, HTTPFactory, Limits
from tests.integration.certificates import Certificates

T = TypeVar("T")

DIRECT: dict[str, Any] = {} if version("websockets") < "15" else {"proxy": None}
"""For clients of `websockets`: not by a proxy, which older ones do not know of."""

Serve = Callable[..., Awaitable["Service"]]
"""The fixture `serve`: call it with a handler, and with limits if need be."""

TIMEOUT = 50.0
"""Seconds after which a test has failed. None takes long, but the machine may be busy."""

BACKLOG = 2048
"""More clients than any test has at once: none is refused because it comes too early."""

SIZE = 8 * 1024 * 1024
"""Of a large body: more than sockets and their buffers hold."""


def pattern(size: int, start: int = 0) -> bytes:
    """Bytes that are different everywhere, from a place in one endless row of them."""
    first = start // 32
    blocks = (hashlib.sha256(b"%d" % n).digest() for n in range(first, first + size // 32 + 2))
    skip = start - 32 * first
    return b"".join(blocks)[skip : skip + size]


LARGE = pattern(SIZE)

PIECE = 64 * 1024
"""How much clients send and receive at once."""


def reactor() -> Any:
    """The reactor, which is chosen only after this file is read."""
    from twisted.internet import reactor

    return reactor


def integration(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
    """Decorate a test that is a coroutine and waits for what is real."""

    @functools.wraps(test)
    async def limited(*args: Any, **named: Any) -> None:
        await Deferred.fromCoroutine(test(*args, **named)).addTimeout(TIMEOUT, reactor())

    marked: Callable[..., Any] = pytest_twisted.ensureDeferred(limited)
    return marked


async_yield_fixture = pytest_twisted.async_yield_fixture


def in_thread(call: Callable[..., T], *args: Any) -> Deferred[T]:
    """Call what may block."""
    return deferToThread(call, *args)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells of."""
    while not condition():
        await deferLater(reactor(), 0.002)


class Transport(Protocol):
    """A way to carry bytes, for servers and for clients."""

    scheme: str

    def server(self) -> IStreamServerEndpoint:
        """Where to listen."""

    def connect(self, port: IListeningPort) -> socket.socket:
        """A client's socket, which blocks."""

    def client(self, port: IListeningPort) -> IStreamClientEndpoint:
        """A client's endpoint."""

    def authority(self, port: IListeningPort) -> str:
        """Host and port, for URLs."""


def number_of(port: IListeningPort) -> int:
    """The number of a TCP port."""
    number: int = port.getHost().port  # type: ignore[attr-defined]
    return number


def endpoint(description: str) -> IStreamServerEndpoint:
    """Where to listen, as users say it."""
    made: IStreamServerEndpoint = serverFromString(reactor(), description)
    return made


class TCP:
    """TCP over loopback."""

    scheme = "http"

    def server(self) -> IStreamServerEndpoint:
        return endpoint(f"tcp:0:interface=127.0.0.1:backlog={BACKLOG}")

    def connect(self, port: IListeningPort) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", number_of(port)), TIMEOUT)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def client(self, port: IListeningPort) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(reactor(), "127.0.0.1", number_of(port))

    def authority(self, port: IListeningPort) -> str:
        return f"localhost:{number_of(port)}"


class UNIX:
    """UNIX sockets."""

    scheme = "http"

    def __init__(self, path: Path) -> None:
        self.path = path

    def server(self) -> IStreamServerEndpoint:
        return endpoint(f"unix:{self.path}:backlog={BACKLOG}")

    def connect(self, port: IListeningPort) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT)
        client.connect(str(self.path))
        return client

    def client(self, port: IListeningPort) -> IStreamClientEndpoint:
        return UNIXClientEndpoint(reactor(), str(self.path))

    def authority(self, port: IListeningPort) -> str:
        return "localhost"


class TLS(TCP):
    """TLS on top of TCP; only `certificates.authority` is trusted."""

    scheme = "https"

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates

    def server(self) -> IStreamServerEndpoint:
        key, certificate = self.certificates.server.key, self.certificates.server.certificate
        return endpoint(
            f"ssl:0:interface=127.0.0.1:backlog={BACKLOG}:privateKey={key}:certKey={certificate}"
        )

    def context(self) -> ssl.SSLContext:
        """For clients."""
        return ssl.create_default_context(cafile=self.certificates.authority)

    def connect(self, port: IListeningPort) -> socket.socket:
        return self.context().wrap_socket(super().connect(port), server_hostname="localhost")

    def client(self, port: IListeningPort) -> IStreamClientEndpoint:
        authority = Certificate.loadPEM(self.certificates.authority.read_bytes())
        options = optionsForClientTLS("localhost", trustRoot=authority)
        return wrapClientTLS(options, super().client(port))


class Service:
    """A handler that is served."""

    def __init__(self, transport: Transport, handler: Handler, limits: Limits | None) -> None:
        self.transport = transport
        self.factory = HTTPFactory(handler, limits)
        self._port: IListeningPort | None = None

    async def start(self) -> None:
        """Listen."""
        self._port = await self.transport.server().listen(self.factory)

    async def stop_listening(self) -> None:
        """Take no more connections."""
        if self._port is not None and (stopped := self._port.stopListening()) is not None:
            await stopped

    async def stop(self) -> None:
        """End it, at once."""
        await self.stop_listening()
        await self.factory.drain(0)

    @property
    def port(self) -> IListeningPort:
        """Where it listens."""
        assert self._port is not None
        return self._port

    def url(self, path: str) -> str:
        """A URL of the service; for UNIX sockets one without the path of the socket."""
        return f"{self.transport.scheme}://{self.transport.authority(self.port)}{path}"

    def connect(self) -> socket.socket:
        """A client's socket, which blocks. To be called in a thread."""
        return self.transport.connect(self.port)

    def client(self) -> IStreamClientEndpoint:
        """A client's endpoint."""
        return self.transport.client(self.port)

    def is_reading(self) -> bool:
        """Whether the server reads what its one client sends."""
        (connection,) = self.factory.connections
        below = getattr(connection.transport, "transport", connection.transport)
        return below in IReactorFDSet(reactor()).getReaders()


WANTS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that does not block raises where it would."""


def converse(client: socket.socket, data: bytes) -> bytes:
    """Send and receive at the same time, until the server has closed the connection.

    In one thread, because TLS sockets are not for two.
    """
    client.setblocking(False)
    received: list[bytes] = []
    place = 0
    while True:
        before = place, len(received)
        with suppress(*WANTS):
            received.append(client.recv(PIECE))
            if not received[-1]:
                return b"".join(received)
        if place < len(data):
            with suppress(*WANTS):
                place += client.send(data[place : place + PIECE])
        if before == (place, len(received)):
            ready = select([client], [client] if place < len(data) else [], [], TIMEOUT)
            assert any(ready), "the server does nothing any more"


class Answer(NamedTuple):
    """A response, as its client has it."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


def read_answer(file: IO[bytes], method: str = "GET") -> Answer:
    """Read one response from a socket's file, and no more than that."""
    status = int(file.readline().split(b" ")[1])
    headers = CIMultiDict(http.client.parse_headers(file).items())
    if method == "HEAD" or status in (204, 304) or status < 200:
        body = b""
    elif headers.get("Transfer-Encoding") == "chunked":
        body = b"".join(iter(functools.partial(read_chunk, file), b""))
    elif "Content-Length" in headers:
        body = file.read(int(headers["Content-Length"]))
    else:
        body = file.read()
    return Answer(status, headers, body)


def read_chunk(file: IO[bytes]) -> bytes:
    """One chunk; nothing at the end of the body, and then its trailers have been skipped."""
    size = int(file.readline(), 16)
    data = file.read(size)
    while file.readline() != b"\r\n" and not size:
        pass
    return data
