"""What treq does in its own way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from io import BytesIO

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.web.client import FileBodyProducer, ResponseNeverReceived

from mynet.http import Request, Response
from tests.integration.clients import Treq
from tests.integration.serving import LARGE, integration, until

AT_ONCE = 8


@integration
async def test_json(serve):
    """JSON goes there and back."""

    async def handler(request: Request) -> Response:
        return Response.json({"got": await request.json(list[int])})

    service = await serve(handler)
    async with aclosing(Treq(service)) as client:
        response = await client.http.post(service.url("/"), json=[1, 2, 3])
        assert await response.json() == {"got": [1, 2, 3]}


@integration
async def test_form(serve):
    """So do a form's fields and files."""

    async def handler(request: Request) -> Response:
        form = await request.form()
        return Response.text(f"{form.text('title')} {len(form.file('photo').read())}")

    service = await serve(handler)
    async with aclosing(Treq(service)) as client:
        photo = FileBodyProducer(BytesIO(LARGE))
        files = {"photo": ("cat.jpg", "image/jpeg", photo)}
        response = await client.http.post(service.url("/"), data={"title": "Cat"}, files=files)
        assert await response.text() == f"Cat {len(LARGE)}"


@integration
async def test_stream(serve):
    """A large response is collected piece by piece."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    service = await serve(lambda request: Response(pieces()))
    async with aclosing(Treq(service)) as client:
        seen = hashlib.sha256()
        response = await client.http.get(service.url("/"), unbuffered=True)
        await response.collect(seen.update)
        assert seen.digest() == hashlib.sha256(LARGE).digest()


@integration
async def test_at_once(serve):
    """Requests at once, each on a connection of its own, do not wait for each other."""
    here = 0
    all_here: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        nonlocal here
        here += 1
        if here == AT_ONCE:
            all_here.callback(None)
        await all_here
        return Response(LARGE)

    service = await serve(handler)
    async with aclosing(Treq(service)) as client:
        answers = await gatherResults([client.request("GET", "/") for _ in range(AT_ONCE)])
        assert [answer.body == LARGE for answer in answers] == [True] * AT_ONCE
    assert service.factory.stats.accepted == AT_ONCE


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)
@integration
async def test_cancel(serve):
    """A request that its client cancels is cancelled in the server."""
    begun: Deferred[None] = Deferred()
    cancelled: Deferred[None] = Deferred()
    forever: Deferred[Response] = Deferred(lambda _: cancelled.callback(None))

    def handler(request: Request) -> Deferred[Response]:
        begun.callback(None)
        return forever

    service = await serve(handler)
    async with aclosing(Treq(service)) as client:
        asked = client.http.get(service.url("/"))
        await begun
        asked.cancel()
        with pytest.raises((CancelledError, ResponseNeverReceived)):
            await asked
        await cancelled
    await until(lambda: not service.factory.connections)
