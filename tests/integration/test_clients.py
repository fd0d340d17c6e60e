"""What every client must find, over every transport: nothing here is special to one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.internet.task import deferLater

from mynet.http import HTTPError, Request, Response
from tests.integration.clients import Aiohttp, Client, Curl, HTTPClientOfPython, Treq
from tests.integration.serving import LARGE, Serve, Service, async_yield_fixture, integration

PIECE = 50_000
PIECES = [LARGE[start : start + PIECE] for start in range(0, len(LARGE), PIECE)]


async def digest(request: Request) -> Response:
    """How large the body is, and its SHA-256."""
    seen = hashlib.sha256()
    size = 0
    async for chunk in request:
        seen.update(chunk)
        size += len(chunk)
    return Response.json({"size": size, "sha256": seen.hexdigest()})


async def echo(request: Request) -> Response:
    """The body, as it comes in."""
    # A client that wants leave to send its body does not get it once the response has begun.
    first = await anext(request.__aiter__(), b"")
    return Response(echoed(first, request))


async def echoed(first: bytes, request: Request) -> AsyncIterator[bytes]:
    yield first
    async for chunk in request:
        yield chunk


def pieces(request: Request) -> Response:
    """A large body of unknown length."""
    return Response(iter(PIECES))


def large(request: Request) -> Response:
    """A large body of known length."""
    return Response(LARGE)


async def later(request: Request) -> Response:
    """Some text, not at once."""
    await deferLater(reactor, 0)
    return Response.text(f"{request.method} {request.path} {request.query.get('q')}")


def raises(request: Request) -> Response:
    """A bug."""
    raise ZeroDivisionError


def site(request: Request) -> Response | Awaitable[Response]:
    """All of them, by the first part of the path."""
    handlers = (digest, echo, pieces, large, later, raises)
    for handler in handlers:
        if request.path.split("/")[1] == handler.__name__:
            return handler(request)
    raise HTTPError(404, "There is no such thing.")


@async_yield_fixture(params=["treq", "http.client", "aiohttp", "curl"])
async def client(request: pytest.FixtureRequest, serve: Serve) -> AsyncIterator[Client]:
    """Each client in turn, of the same service."""
    service = await serve(site)
    made = make_client(request, service)
    yield made
    await made.aclose()


def make_client(request: pytest.FixtureRequest, service: Service) -> Client:
    if request.param == "curl":
        return Curl(service, request.getfixturevalue("curl"))
    kinds: dict[str, Callable[[Service], Client]] = {
        "treq": Treq,
        "http.client": HTTPClientOfPython,
        "aiohttp": Aiohttp,
    }
    return kinds[request.param](service)


@integration
async def test_small(client):
    """A request without a body gets its answer, with all that was said of it."""
    answer = await client.request("GET", "/later/on?q=caf%C3%A9")
    assert answer.status == 200
    assert answer.body.decode() == "GET /later/on café"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Date"].endswith(" GMT")


@integration
async def test_small_body(client):
    """A small body comes back as it was sent."""
    answer = await client.request("PUT", "/echo", b"Hello, World!")
    assert (answer.status, answer.body) == (200, b"Hello, World!")


@pytest.mark.parametrize("body", [LARGE, PIECES], ids=["length", "chunked"])
@integration
async def test_large_upload(client, body):
    """A large body arrives whole, whether its length was declared or not."""
    answer = await client.request("POST", "/digest", body)
    expected = {"size": len(LARGE), "sha256": hashlib.sha256(LARGE).hexdigest()}
    assert json.loads(answer.body) == expected


@pytest.mark.parametrize("path", ["/large", "/pieces"], ids=["length", "chunked"])
@integration
async def test_large_download(client, path):
    """A large response arrives whole, whether its length is known or not."""
    answer = await client.request("GET", path)
    assert ("Content-Length" in answer.headers) == (path == "/large")
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(LARGE).digest()


@integration
async def test_both_ways(client):
    """A body that is sent back while it is still sent needs nobody to hold it whole."""
    if not client.is_duplex:
        answer = await client.request("POST", "/echo", PIECES[:1])
        assert answer.body == PIECES[0]
        return
    answer = await client.request("POST", "/echo", PIECES)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(LARGE).digest()


@integration
async def test_head(client):
    """HEAD tells what GET would, and brings no body."""
    answer = await client.request("HEAD", "/large")
    assert (answer.status, answer.body) == (200, b"")
    if not isinstance(client, Treq):  # which does not tell
        assert answer.headers["Content-Length"] == str(len(LARGE))


@integration
async def test_errors(client, logged):
    """After an error, be it the client's or ours, the next request is answered as ever."""
    answer = await client.request("GET", "/nothing")
    assert (answer.status, answer.body) == (404, b"404 Not Found\nThere is no such thing.\n")
    answer = await client.request("GET", "/raises")
    assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
    assert logged.pop().check(ZeroDivisionError)
    answer = await client.request("GET", "/later")
    assert answer.status == 200
    if client.keeps_alive:
        assert client.service.factory.stats.accepted == 1


@integration
async def test_many(client):
    """Requests one after another, with bodies and without, share a connection."""
    if not client.keeps_alive:
        answers = await DeferredList([client.request("GET", f"/later/{n}") for n in range(10)])
        assert [answer.status for _, answer in answers] == [200] * 10
        return
    for number in range(50):
        answer = await client.request("GET", f"/later/{number}")
        assert answer.body.startswith(b"GET /later/%d " % number)
        answer = await client.request("POST", "/echo", b"%d" % number)
        assert answer.body == b"%d" % number
        answer = await client.request("POST", "/echo", [b"%d" % number, b"."])
        assert answer.body == b"%d." % number
    assert client.service.factory.stats.accepted == 1


@integration
async def test_unread(client):
    """A body that the handler does not read, if it is small, is in nobody's way."""
    for _ in range(3):
        answer = await client.request("POST", "/later", b"unread")
        assert answer.body.startswith(b"POST /later")
    if client.keeps_alive:
        assert client.service.factory.stats.accepted == 1
