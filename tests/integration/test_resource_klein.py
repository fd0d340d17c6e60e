"""A klein application, served by mynet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from mynet.app import App
from mynet.handlers.resource import ResourceHandler
from tests.integration.apps.klein_site import KleinSite
from tests.integration.clients import Treq
from tests.integration.serving import (
    LARGE,
    Serve,
    async_yield_fixture,
    integration,
    reactor,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*_Unsafe:DeprecationWarning"),
    pytest.mark.parametrize("transport", ["tcp"], indirect=True),
]


@async_yield_fixture
async def client(serve: Serve, tmp_path: Path) -> AsyncIterator[Treq]:
    """A client of the application, which is mounted in an App."""
    (tmp_path / "large.bin").write_bytes(LARGE)
    app = App()
    app.mount("/", ResourceHandler(KleinSite(tmp_path, reactor()).app.resource()))
    service = await serve(app)
    async with aclosing(Treq(service)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, b"home"),
        ("/hello/you", 200, b"Hello, you!"),
        ("/hello/%C3%A9", 200, "Hello, é!".encode()),
        ("/items/none", 404, b"no none"),
        ("/nothing", 404, b"not here"),
        ("/later", 200, b"later"),
        ("/deferred", 200, b"in pieces"),
        ("/page", 200, b"<!DOCTYPE html>\n<h1>Hello, klein</h1>"),
        ("/static/large.bin", 200, LARGE),
        ("/sub/where", 200, b"/sub/there"),
    ],
)
@integration
async def test_routes(client, path, status, body):
    """Routes, subroutes, branches, coroutines, Deferreds, pages and error handlers work."""
    answer = await client.request("GET", path)
    assert (answer.status, answer.body) == (status, body)


@integration
async def test_items(client):
    """What is put is there, and HEAD tells of it."""
    assert (await client.request("PUT", "/items/a", b'{"b": 1}')).status == 201
    got = await client.request("GET", "/items/a")
    assert (got.headers["Content-Type"], got.body) == ("application/json", b'{"b": 1}')
    assert (await client.request("HEAD", "/items/a")).body == b""
    assert (await client.request("POST", "/items/a")).status == 405


@integration
async def test_redirect(client):
    """A redirect leads there."""
    answer = await client.request("GET", "/away")
    assert (answer.status, answer.headers["Location"]) == (302, "/hello/you")


@integration
async def test_broken(client, logged):
    """What fails is answered with 500, and the connection goes on."""
    assert (await client.request("GET", "/broken")).status == 500
    assert [failure.type for failure in logged] == [ZeroDivisionError]
    logged.clear()
    assert (await client.request("GET", "/")).body == b"home"
