"""Clients that people use, each behind the same few calls.

None of them follows redirects, has a cache, or tries anything twice.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol

import aiohttp
import treq
from multidict import CIMultiDict
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IStreamClientEndpoint
from twisted.internet.task import cooperate
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from tests.integration.serving import (
    TIMEOUT,
    TLS,
    UNIX,
    Answer,
    Service,
    Transport,
    in_thread,
    reactor,
)

Body = bytes | list[bytes]
"""What a client sends: at once with its length, or piece by piece in chunks."""

NO_HEADERS: Mapping[str, str] = {}


class Client(Protocol):
    """A client of one service."""

    service: Service
    keeps_alive: bool
    """Whether its requests, one after another, share a connection."""
    is_duplex: bool
    """Whether it reads a response while it sends the request."""

    def request(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> Deferred[Answer]:
        """Send a request, and receive the whole response."""

    async def aclose(self) -> None:
        """Let go of its connections."""


# treq


class Treq:
    """The client of the Twisted world."""

    keeps_alive = True
    is_duplex = False

    def __init__(self, service: Service) -> None:
        self.service = service
        self._pool = HTTPConnectionPool(reactor())
        self._pool.retryAutomatically = False
        agent = Agent.usingEndpointFactory(reactor(), _To(service.client()), self._pool)
        self.http = HTTPClient(agent)
        """The client itself."""

    def request(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> Deferred[Answer]:
        return Deferred.fromCoroutine(self._request(method, path, body, headers))

    async def _request(
        self, method: str, path: str, body: Body, headers: Mapping[str, str]
    ) -> Answer:
        data = Pieces(body) if isinstance(body, list) else body
        response = await self.http.request(
            method,
            self.service.url(path),
            headers=Headers({name: [value] for name, value in headers.items()}),
            data=data or None,
            allow_redirects=False,
        )
        fields = CIMultiDict(
            (name.decode(), value.decode())
            for name, values in response.headers.getAllRawHeaders()
            for value in values
        )
        if response.length != UNKNOWN_LENGTH and method != "HEAD":  # it keeps this apart
            fields["Content-Length"] = str(response.length)
        return Answer(response.code, fields, await treq.content(response))

    async def aclose(self) -> None:
        await self._pool.closeCachedConnections()


@implementer(IAgentEndpointFactory)
class _To:
    """Wherever a URL points to, it is reached over one endpoint."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._endpoint


@implementer(IBodyProducer)
class Pieces:
    """A body of unknown length."""

    length = UNKNOWN_LENGTH

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._task = cooperate(map(consumer.write, self._pieces))
        done: Deferred[None] = self._task.whenDone().addCallback(lambda _: None)
        return done

    def pauseProducing(self) -> None:
        self._task.pause()

    def resumeProducing(self) -> None:
        self._task.resume()

    def stopProducing(self) -> None:
        self._task.stop()


# http.client


class HTTPClientOfPython:
    """The client of Python's own library."""

    keeps_alive = True
    is_duplex = False

    def __init__(self, service: Service) -> None:
        self.service = service
        self._connection = HTTPConnection(service.transport.authority(service.port))
        self._connection.auto_open = 0

    def request(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> Deferred[Answer]:
        return in_thread(self._request, method, path, body, dict(headers))

    def _request(self, method: str, path: str, body: Body, headers: dict[str, str]) -> Answer:
        if self._connection.sock is None:
            self._connection.sock = self.service.connect()
        self._connection.request(method, path, body or None, headers)
        response = self._connection.getresponse()
        return Answer(response.status, CIMultiDict(response.getheaders()), response.read())

    async def aclose(self) -> None:
        self._connection.close()


# aiohttp


class Aiohttp:
    """The client of the asyncio world; in a thread, since it needs a loop of its own."""

    keeps_alive = True
    is_duplex = True

    def __init__(self, service: Service) -> None:
        self.service = service
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None

    def request(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> Deferred[Answer]:
        return in_thread(self._runner.run, self._request(method, path, body, headers))

    async def _request(
        self, method: str, path: str, body: Body, headers: Mapping[str, str]
    ) -> Answer:
        if self._session is None:
            self._session = aiohttp_session(self.service)
        data = _one_by_one(body) if isinstance(body, list) else io.BytesIO(body) if body else None
        async with self._session.request(
            method, self.service.url(path), data=data, headers=headers, allow_redirects=False
        ) as response:
            return Answer(response.status, CIMultiDict(response.headers), await response.read())

    async def aclose(self) -> None:
        await in_thread(self._close)

    def _close(self) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()


async def _one_by_one(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def aiohttp_session(service: Service, limit: int = 100) -> aiohttp.ClientSession:
    """A session that reaches a service, over so many connections. To be called in a loop."""
    transport = service.transport
    connector: aiohttp.BaseConnector
    if isinstance(transport, UNIX):
        connector = aiohttp.UnixConnector(str(transport.path), limit=limit)
    elif isinstance(transport, TLS):
        connector = aiohttp.TCPConnector(ssl=transport.context(), limit=limit)
    else:
        connector = aiohttp.TCPConnector(limit=limit)
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT), auto_decompress=False
    )


# curl


class Curl:
    """The program, started anew for each request."""

    keeps_alive = False
    is_duplex = True

    def __init__(self, service: Service, program: str) -> None:
        self.service = service
        self._program = program
        self.reach = reach(service.transport)
        """The options by which it gets to the service."""

    def request(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> Deferred[Answer]:
        return in_thread(self._request, method, path, body, headers)

    def _request(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        options = ["--head"] if method == "HEAD" else ["--request", method]
        for name, value in headers.items():
            options += ["--header", f"{name}: {value}"]
        with _files(body) as (sent, head):
            if body:
                options += ["--upload-file", str(sent)]
            if isinstance(body, list):
                options += ["--header", "Transfer-Encoding: chunked"]
            output = self._run("--dump-header", str(head), *options, self.service.url(path))
            status, fields = _last_head(head.read_bytes().decode("latin-1"))
        return Answer(status, fields, b"" if method == "HEAD" else output.stdout)

    def run(self, *arguments: str) -> Deferred[subprocess.CompletedProcess[bytes]]:
        """Run it, as users do."""
        return in_thread(self._run, *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        run = subprocess.run(
            [self._program, "--disable", "--silent", "--show-error", *self.reach, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert run.returncode == 0, run.stderr.decode()
        return run

    async def aclose(self) -> None:
        """There is nothing left."""


def reach(transport: Transport) -> list[str]:
    """Options for curl."""
    if isinstance(transport, UNIX):
        return ["--unix-socket", str(transport.path)]
    if isinstance(transport, TLS):
        return ["--cacert", str(transport.certificates.authority)]
    return []


@contextmanager
def _files(body: Body) -> Iterator[tuple[Path, Path]]:
    """A file with a body, and one for a head."""
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder) / "sent"
        sent.write_bytes(b"".join(body) if isinstance(body, list) else body)
        yield sent, Path(folder) / "head"


def _last_head(heads: str) -> tuple[int, CIMultiDict[str]]:
    """Status and fields of what follows the interim responses."""
    head = heads.rstrip("\r\n").split("\r\n\r\n")[-1]
    status_line, *lines = head.split("\r\n")
    fields = CIMultiDict((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
    return int(status_line.split(" ")[1]), fields
