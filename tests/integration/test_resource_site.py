"""A site of twisted.web with sessions and files, on real sockets, for real clients."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.python.threadpool import ThreadPool
from twisted.web.client import FileBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.wsgi import WSGIResource

from mynet.app import App
from mynet.handlers.resource import ResourceHandler
from mynet.http import Limits, Request, Response
from tests.integration.apps.twisted_site import Leaf, ReverseProxyResource, site
from tests.integration.clients import Curl, Treq
from tests.integration.serving import (
    LARGE,
    SIZE,
    Serve,
    Service,
    async_yield_fixture,
    in_thread,
    integration,
    number_of,
    reactor,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*_Unsafe:DeprecationWarning")

DIGEST = hashlib.sha256(LARGE).hexdigest().encode()

TLS_ONLY = pytest.mark.parametrize("transport", ["tls"], indirect=True)
TCP_ONLY = pytest.mark.parametrize("transport", ["tcp"], indirect=True)


@async_yield_fixture
async def service(serve: Serve, tmp_path: Path) -> AsyncIterator[Service]:
    """The site, mounted in an App, beside something else."""
    (tmp_path / "large.bin").write_bytes(LARGE)
    app = App()
    app.get("/native")(lambda request: Response.text("native"))
    app.mount("/", ResourceHandler(site(tmp_path, reactor())))
    yield await serve(app)


@integration
async def test_treq(service):
    """Sessions, forms, files both ways and what comes later work over every transport."""
    async with aclosing(Treq(service)) as client:
        first = await client.request("GET", "/session")
        cookie = {"Cookie": first.headers["Set-Cookie"].split(";")[0]}
        assert first.body == b"visit 1"
        assert (await client.request("GET", "/session", headers=cookie)).body == b"visit 2"
        left = await client.request("POST", "/session", headers=cookie)
        assert (left.status, left.headers["Location"]) == (302, "/session")
        assert (await client.request("GET", "/session", headers=cookie)).body == b"visit 1"
        assert (await client.request("GET", "/files/large.bin")).body == LARGE
        part = {"Range": f"bytes={SIZE - 10}-"}
        ranged = await client.request("GET", "/files/large.bin", headers=part)
        assert (ranged.status, ranged.body) == (206, LARGE[-10:])
        assert (await client.request("PUT", "/digest", LARGE)).body == DIGEST
        assert (await client.request("PUT", "/digest", [LARGE[:99], LARGE[99:]])).body == DIGEST
        assert (await client.request("GET", "/later")).body == b"piece 1\npiece 2\npiece 3\n"
        assert (await client.request("GET", "/native")).body == b"native"


@integration
async def test_upload(service):
    """A form with a large file arrives."""
    async with aclosing(Treq(service)) as client:
        files = {"file": ("cat.jpg", "image/jpeg", FileBodyProducer(BytesIO(LARGE)))}
        response = await client.http.post(service.url("/digest"), files=files)
        assert await response.content() == DIGEST


@integration
async def test_too_large(service):
    """A body beyond the limit is refused while it is sent."""
    async with aclosing(Treq(service)) as client:
        answer = await client.request("PUT", "/digest", LARGE * 2 + b"!")
        assert answer.status == 413


@integration
async def test_curl(serve, tmp_path, curl):
    """curl gets a file, and the part of it that it lacks."""
    (tmp_path / "large.bin").write_bytes(LARGE)
    service = await serve(ResourceHandler(site(tmp_path, reactor())))
    async with aclosing(Curl(service, curl)) as client:
        assert (await client.request("GET", "/files/large.bin")).body == LARGE
        rest = await client.request("GET", "/files/large.bin", headers={"Range": "bytes=4000000-"})
        assert (rest.status, rest.body) == (206, LARGE[4000000:])
        assert (await client.request("PUT", "/digest", LARGE)).body == DIGEST


class Connection(Leaf):
    """Tells about its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.ends: list[Any] = []

    def render_GET(self, request: Any) -> int:
        self.requests.append(request)
        request.notifyFinish().addBoth(self.ends.append)
        return NOT_DONE_YET


@TLS_ONLY
@integration
async def test_tls(serve):
    """A resource knows that it is reached over TLS."""

    def render(request: Any) -> bytes:
        secure = ISSLTransport.providedBy(request.transport)
        certificate = request.transport.getPeerCertificate()
        return repr((request.isSecure(), secure, certificate, request.prePathURL())).encode()

    leaf: Any = Leaf()
    leaf.render_GET = render
    service = await serve(ResourceHandler(leaf))
    async with aclosing(Treq(service)) as client:
        answer = await client.request("GET", "/")
        url = b"https://localhost:%d/" % number_of(service.port)
        assert answer.body == repr((True, True, None, url)).encode()


@TCP_ONLY
@pytest.mark.parametrize("begun", [True, False])
@integration
async def test_client_resets(serve, begun):
    """A resource that waits is told at once that its client has reset the connection."""
    resource = Connection()
    service = await serve(ResourceHandler(resource))
    client = await in_thread(service.connect)
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: resource.requests)
    if begun:
        resource.requests[0].write(b"hello")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await until(lambda: resource.ends)
    assert [end.type for end in resource.ends] == [ConnectionDone]


@TCP_ONLY
@integration
async def test_client_closes(serve):
    """Of one that closes it well it is told when the client is not waited for any longer."""
    resource = Connection()
    service = await serve(ResourceHandler(resource), Limits(half_closed_timeout=0))
    client = await in_thread(service.connect)
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: resource.requests)
    client.close()
    await until(lambda: resource.ends)
    assert [end.type for end in resource.ends] == [ConnectionDone]


@async_yield_fixture
async def pool() -> AsyncIterator[ThreadPool]:
    """Threads for twisted.web's WSGI."""
    threads = ThreadPool(0, 2)
    threads.start()
    yield threads
    threads.stop()


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)  # it wants addresses of IP
@integration
async def test_wsgi(serve, pool):
    """twisted.web's own host of WSGI works in it."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        told = environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["wsgi.url_scheme"]
        return [repr(told).encode(), b" ", hashlib.sha256(body).hexdigest().encode()]

    root = Resource()
    root.putChild(b"app", WSGIResource(reactor(), pool, application))
    service = await serve(ResourceHandler(root))
    async with aclosing(Treq(service)) as client:
        answer = await client.request("POST", "/app/a%20b?c", LARGE)
        told = repr(("/app", "/a b", service.transport.scheme)).encode()
        assert answer.body == told + b" " + DIGEST


@TCP_ONLY
@integration
async def test_proxy(serve):
    """So does its reverse proxy."""

    async def handler(request: Request) -> Response:
        return Response.text(f"{request.target.decode()} {await request.read()!r}")

    behind = await serve(handler)
    port = number_of(behind.port)
    service = await serve(ResourceHandler(ReverseProxyResource("127.0.0.1", port, b"")))
    async with aclosing(Treq(service)) as client:
        answer = await client.request("POST", "/a/b?c", b"hello")
        assert answer.body == b"/a/b?c b'hello'"


@TCP_ONLY
@integration
async def test_slow_client(serve):
    """A resource that pushes a lot is held back by a client that does not read."""
    produced = 0
    over: Deferred[None] = Deferred()

    class Endless:
        def __init__(self, request: Any) -> None:
            self.request = request
            self.paused = False

        def go(self) -> None:
            nonlocal produced
            while not self.paused:
                produced += 1
                self.request.write(LARGE[:65536])

        def pauseProducing(self) -> None:
            self.paused = True

        def resumeProducing(self) -> None:
            self.paused = False
            reactor().callLater(0, self.go)

        def stopProducing(self) -> None:
            self.paused = True
            over.callback(None)

    def render(request: Any) -> int:
        producer = Endless(request)
        request.registerProducer(producer, True)
        producer.go()
        return NOT_DONE_YET

    leaf: Any = Leaf()
    leaf.render_GET = render
    service = await serve(ResourceHandler(leaf))
    client = await in_thread(service.connect)
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    seen = -1
    while seen != produced or produced == 0:
        seen = produced
        await in_thread(lambda: None)
        await until(lambda: True)
    assert produced < 1000
    await in_thread(client.recv, 100_000)
    client.close()
    await over
