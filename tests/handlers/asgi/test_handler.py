"""What a handler of ASGI needs, and says if it does not have it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twisted.internet.task import Clock

from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.asgi.running import NoLoop
from mynet.testing import Wire, result_of
from tests.handlers.asgi.driving import in_a_loop
from tests.handlers.asgi.hosting import GET, Asked, ok
from tests.handlers.asgi.looping import a_loop

NEEDS = "^ASGI needs a reactor with an asyncio loop: mynet's own .uv., or --reactor=asyncio$"


@pytest.fixture
def _no_loop():
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)


@pytest.mark.usefixtures("_no_loop")
def test_start_without_a_loop():
    """On a reactor without an asyncio loop the start fails, and says what is needed."""
    clock = Clock()
    started = ASGIHandler(ok, reactor=clock).start()
    clock.advance(0)
    with pytest.raises(NoLoop, match=NEEDS):
        result_of(started)


@pytest.mark.usefixtures("_no_loop")
def test_request_without_a_loop(logged):
    """A request that comes all the same is a 500, and the log says why."""
    wire = Wire(ASGIHandler(ok))
    wire.send(GET)
    assert wire.received.startswith(b"HTTP/1.1 500 ")
    logged.take(NoLoop)


def test_start_before_the_reactor_runs():
    """A start that comes just before the loop runs waits for that."""
    with a_loop() as loop:
        clock = Clock()
        started = ASGIHandler(ok, lifespan="off", reactor=clock).start()
        assert not started.called
        loop.call_soon(clock.advance, 0)
        loop.call_soon(loop.stop)
        loop.run_forever()
        result_of(started)


def test_constructing_has_no_effects():
    """A handler may be made before there is any reactor or loop."""
    app = Asked()
    ASGIHandler(app)
    assert app.scopes == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lifespan": "maybe"}, ValueError),
        ({"max_message_size": -1}, ValueError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], error: type[Exception]):
    """What is wrong with options is said at once."""
    with pytest.raises(error):
        ASGIHandler(ok, **options)


def test_what_is_no_application():
    """What cannot be called is none."""
    with pytest.raises(TypeError, match="called with scope, receive, send"):
        ASGIHandler("site:app")  # type: ignore[arg-type]


@in_a_loop
async def test_clients_of_one_handler():
    """Requests whose header sections are the same, or not, are not mixed up."""
    app = Asked()
    handler = ASGIHandler(app, lifespan="off")
    for name in (b"a", b"b", b"b", b"a"):
        Wire(handler).send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % name)
    hosts = [dict(scope["headers"])[b"host"] for scope in app.scopes]
    assert hosts == [b"a", b"b", b"b", b"a"]
