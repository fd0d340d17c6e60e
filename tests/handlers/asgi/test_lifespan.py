"""ASGI's specification of lifespans, clause by clause; and what becomes of those that fail."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.asgi.contract import ContractError
from mynet.handlers.asgi.lifespan import StartupFailed
from tests.handlers.asgi.driving import in_a_loop
from tests.handlers.asgi.hosting import TURNS, App, Event, Receive, Send


class Boom(Exception):  # noqa: N818
    """What only an application raises."""


async def turn() -> None:
    """Let all happen that is due."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def done(deferred: Deferred[Any]) -> Any:
    """What comes of it."""
    return await deferred.asFuture(asyncio.get_running_loop())


class Lifespan:
    """An application with a lifespan, which does what it is told to."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.events: list[Event] = []
        self.may_start = asyncio.Event()
        self.may_stop = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.events.append(await receive())
        await self.may_start.wait()
        await send({"type": "lifespan.startup.complete"})
        self.events.append(await receive())
        await self.may_stop.wait()
        await send({"type": "lifespan.shutdown.complete"})


@in_a_loop
async def test_course():
    """It starts before requests are served, and stops after them; both are waited for."""
    app = Lifespan()
    handler = ASGIHandler(app)
    assert app.scopes == []
    started = handler.start()
    await turn()
    (scope,) = app.scopes
    assert scope["type"] == "lifespan"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
    assert scope["state"] == {}
    assert app.events == [{"type": "lifespan.startup"}]
    assert not started.called
    app.may_start.set()
    await done(started)
    await turn()
    assert len(app.events) == 1
    stopped = handler.stop()
    await turn()
    assert app.events[1:] == [{"type": "lifespan.shutdown"}]
    assert not stopped.called
    app.may_stop.set()
    await done(stopped)


@in_a_loop
async def test_starts_again():
    """A handler that was stopped may be started again; its application has a new state."""
    app = Lifespan()
    app.may_start.set()
    app.may_stop.set()
    handler = ASGIHandler(app)
    for _ in range(2):
        await done(handler.start())
        await done(handler.stop())
    first, second = app.scopes
    assert first["state"] is not second["state"]


@in_a_loop
async def test_startup_fails():
    """An application may say why it cannot start; the start fails with its message."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupFailed, match=r"^no database$"):
        await done(ASGIHandler(app).start())


@in_a_loop
async def test_startup_fails_without_a_message():
    """The message may be left out; and an application may raise when it has said so."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})
        raise Boom

    with pytest.raises(StartupFailed, match=r"^$"):
        await done(ASGIHandler(app, lifespan="on").start())


@pytest.mark.parametrize("receives", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_unknown_to_the_application(receives, waits):
    """An application that raises for the scope, or the first event, is served without."""

    async def app(scope, receive, send):
        if waits:
            await asyncio.sleep(0)
        if receives:
            await receive()
        assert scope["type"] == "http"

    @in_a_loop
    async def run():
        handler = ASGIHandler(app)
        await done(handler.start())
        await done(handler.stop())

    run()


@in_a_loop
async def test_must_be_known():
    """Where a lifespan is a must, the start fails with what the application raises."""

    async def app(scope, receive, send):
        raise Boom

    with pytest.raises(Boom):
        await done(ASGIHandler(app, lifespan="on").start())


@in_a_loop
async def test_returns_at_once():
    """An application that returns without a word has started."""

    async def app(scope, receive, send):
        pass

    handler = ASGIHandler(app, lifespan="on")
    await done(handler.start())
    await done(handler.stop())


@in_a_loop
async def test_off():
    """Where it is off the application is not asked."""
    app = Lifespan()
    handler = ASGIHandler(app, lifespan="off")
    await done(handler.start())
    await done(handler.stop())
    assert app.scopes == []


def starting(*events: Any) -> App:
    """An application that starts, and sends these when it is to stop."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for event in events:
            await send(event)

    return app


@in_a_loop
async def test_shutdown_fails(told):
    """That it could not stop is logged, with its message; the server stops."""
    handler = ASGIHandler(starting({"type": "lifespan.shutdown.failed", "message": "still busy"}))
    await done(handler.start())
    await done(handler.stop())
    (line,) = told
    assert line.endswith("it could not stop: still busy")


@in_a_loop
async def test_returns_instead_of_stopping():
    """One that just returns has stopped."""
    handler = ASGIHandler(starting())
    await done(handler.start())
    await done(handler.stop())


@in_a_loop
async def test_raises_when_it_is_to_stop(logged):
    """What is raised then is logged; the server stops."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise Boom

    handler = ASGIHandler(app)
    await done(handler.start())
    await done(handler.stop())
    logged.take(Boom)


@in_a_loop
async def test_dies_in_between(logged):
    """A lifespan that fails while the server runs is logged at once; the server goes on."""
    die = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await die.wait()
        raise Boom

    handler = ASGIHandler(app)
    await done(handler.start())
    die.set()
    await turn()
    logged.take(Boom)
    await done(handler.stop())


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ({"type": "lifespan.startup"}, "expected was lifespan.startup.complete or lifespan.startu"),
        ({"type": "lifespan.shutdown.complete"}, "lifespan.shutdown.complete was sent, but"),
        ({"type": "http.response.start"}, "http.response.start was sent, but expected was"),
        ("lifespan.startup.complete", "an event is a dict"),
    ],
)
def test_mistakes(told, event, rule):
    """A mistake raises out of send, and is told in one line that names the rule."""
    raised = []

    async def app(scope, receive, send):
        await receive()
        try:
            await send(event)
        except ContractError as error:
            raised.append(error)
        await send({"type": "lifespan.startup.complete"})

    @in_a_loop
    async def run():
        await done(ASGIHandler(app).start())

    run()
    (line,) = told
    assert rule in line
    assert line.endswith(str(raised[0]))


@in_a_loop
async def test_says_twice_that_it_has_started(told):
    """It is a mistake to say so twice."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        with pytest.raises(ContractError, match="nothing was expected"):
            await send({"type": "lifespan.startup.complete"})

    await done(ASGIHandler(app).start())
    assert len(told) == 1


@in_a_loop
async def test_start_is_cancelled():
    """A start that is cancelled cancels the application."""
    app = Lifespan()
    started = ASGIHandler(app).start()
    failed: list[Any] = []
    started.addErrback(failed.append)
    started.cancel()
    await turn()
    assert failed[0].check(CancelledError)


@in_a_loop
async def test_stop_is_cancelled():
    """So does a stop that is cancelled, as when it takes too long."""
    app = Lifespan()
    app.may_start.set()
    handler = ASGIHandler(app)
    await done(handler.start())
    failed: list[Any] = []
    stopped = handler.stop()
    stopped.addErrback(failed.append)
    await turn()
    stopped.cancel()
    await turn()
    assert failed[0].check(CancelledError)


@in_a_loop
async def test_requests_end_first():
    """What requests have left to do ends before the application is to stop."""
    order: list[str] = []
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            order.append("lifespan")
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        await go_on.wait()
        order.append("request")

    from mynet.testing import Client

    handler = ASGIHandler(app, reactor=Clock())
    await done(handler.start())
    await done(Client(handler).get("/"))
    stopped = handler.stop()
    await turn()
    assert order == []
    go_on.set()
    await done(stopped)
    assert order == ["request", "lifespan"]


@in_a_loop
async def test_requests_that_do_not_end(told):
    """What takes longer than stop_timeout is cancelled, and counted in the log."""
    ends: list[str] = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("ended")

    from mynet.testing import Client

    clock = Clock()
    handler = ASGIHandler(app, lifespan="off", stop_timeout=7, reactor=clock)
    for _ in range(2):
        await done(Client(handler).get("/"))
    stopped = handler.stop()
    clock.advance(6)
    await turn()
    assert ends == []
    clock.advance(1)
    await done(stopped)
    assert ends == ["ended", "ended"]
    (line,) = told
    assert line.startswith("2 tasks of ")


@in_a_loop
async def test_requests_that_will_not_end(told):
    """Nor does one that will not be cancelled keep the application from being told to stop."""
    go_on = asyncio.Event()
    stops: list[str] = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            stops.append((await receive())["type"])
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await go_on.wait()

    from mynet.testing import Client

    clock = Clock()
    handler = ASGIHandler(app, stop_timeout=7, reactor=clock)
    await done(handler.start())
    await done(Client(handler).get("/"))
    stopped = handler.stop()
    clock.advance(7)
    await turn()
    assert stops == []
    clock.advance(1)
    await done(stopped)
    assert stops == ["lifespan.shutdown"]
    assert [line.split(" of ")[0] for line in told] == ["1 tasks", "1 tasks"]
    go_on.set()
    await turn()
