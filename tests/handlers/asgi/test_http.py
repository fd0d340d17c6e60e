"""What becomes of applications that break rules, fail, or go on without their client."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mynet import App
from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.asgi.contract import ContractError
from mynet.http import Limits, Response
from mynet.http.sending import close_body
from mynet.testing import Client, Wire
from tests.handlers.asgi.driving import in_a_loop
from tests.handlers.asgi.hosting import (
    DISCONNECT,
    GET,
    Event,
    Page,
    answer_of,
    body,
    ok,
    post,
    start,
)

FAILED = b"HTTP/1.1 500 "


# Mistakes before anything is sent


MISTAKES: list[tuple[list[Any], str]] = [
    ([body(b"x")], "http.response.body was sent, but expected was http.response.start"),
    ([start(), start()], "http.response.start was sent, but expected was http.response.body"),
    ([{"type": "http.respond"}], "http.respond was sent, but expected was http.response.start"),
    ([start(), {"type": "websocket.send"}], "websocket.send was sent, but"),
    (["http.response.start"], "an event is a dict with a type"),
    ([{}], "an event is a dict with a type"),
    ([{"type": 7}], "an event is a dict with a type"),
    ([start("200")], "the status of http.response.start is an int from 200 to 599, not '200'"),
    ([start(None)], "the status of http.response.start is an int from 200 to 599"),
    ([start(100)], "the status of http.response.start is an int from 200 to 599, not 100"),
    ([start(600)], "the status of http.response.start is an int from 200 to 599, not 600"),
    ([start(200, ("x-a", "1"))], "the headers of http.response.start are pairs of bytes"),
    ([start(200, (b"x-a", 1))], "the headers of http.response.start are pairs of bytes"),
    ([start(200, (b"x-a",))], "the headers of http.response.start are pairs of bytes"),
    ([start(200, (b"content-type", "text/plain"))], "the headers of http.response.start are"),
    ([start(200, (b"content-type", b"a\nb"))], "the headers of http.response.start: not a valid"),
    ([start(200, (b"x a", b"1"))], "the headers of http.response.start: not a valid header field"),
    ([start(200, (b"x-a", b"1\r\nx-b: 2"))], "the headers of http.response.start: not a valid"),
    ([start(200, (b"content-length", b"x"))], "not a valid Content-Length"),
    ([{**start(), "headers": None}], "the headers of http.response.start are pairs of bytes"),
    ([start(), body("text")], "the body of http.response.body is bytes, not str"),
    ([start(), body(None)], "the body of http.response.body is bytes, not NoneType"),
    ([start(200, (b"content-length", b"3")), body(b"four")], "Content-Length is 3, but"),
    ([start(), {"type": "http.response.pathsend", "path": "a"}], "the path of http.response.paths"),
    ([start(), {"type": "http.response.pathsend"}], "the path of http.response.pathsend is"),
    ([start(), {"type": "http.response.zerocopysend", "file": b""}], "has no descriptor"),
    ([start(), {"type": "http.response.zerocopysend", "file": 0, "offset": -1}], "ints from 0 on"),
    ([{"type": "http.response.early_hint", "links": ["</a>"]}], "the links of http.response.early"),
    ([{"type": "http.response.early_hint", "links": [b"\n"]}], "the links of http.response.early"),
    ([{"type": "http.response.early_hint", "links": 1}], "the links of http.response.early_hint"),
    ([start(), {"type": "http.response.trailers"}], "http.response.trailers was sent, but"),
]


@pytest.mark.parametrize(("events", "rule"), MISTAKES, ids=[rule for _, rule in MISTAKES])
def test_mistakes(told, events, rule):
    """A mistake raises out of send, is told in one line that names the rule, and is a 500."""
    raised = []

    async def app(scope, receive, send):
        for event in events:
            try:
                await send(event)
            except Exception as error:
                raised.append(error)
                raise

    @in_a_loop
    async def run():
        response = await Page(app).ask()
        assert response.startswith(FAILED)
        assert response.count(b"HTTP/1.1") == 1

    run()
    (error,) = raised
    assert type(error) is ContractError
    assert rule in str(error)
    (line,) = told
    assert line == f"<ASGI application at <Request GET />>: {error}"


@in_a_loop
async def test_mistake_that_is_mended(told):
    """An application that catches what send raises may still answer, say with an error page."""

    async def app(scope, receive, send):
        try:
            await send(start(200, ("x", "y")))
        except ContractError:
            await send(start(503))
            await send(body(b"sorry"))

    assert (await Page(app).ask()).endswith(b"sorry")
    assert len(told) == 1


@pytest.mark.parametrize(
    ("events", "expected"), [([], "http.response.start"), ([start()], "http.response.body")]
)
@pytest.mark.parametrize("waits", [False, True])
def test_returns_without_a_response(told, events, expected, waits):
    """An application that returns without a response is told of, and is a 500."""

    async def app(scope, receive, send):
        if waits:
            await asyncio.sleep(0)
        for event in events:
            await send(event)

    @in_a_loop
    async def run():
        assert (await Page(app).ask()).startswith(FAILED)

    run()
    (line,) = told
    assert line.endswith(f"it has returned, but expected was {expected}")


class Boom(Exception):  # noqa: N818
    """What only an application raises."""


@pytest.mark.parametrize("events", [[], [start()]])
@pytest.mark.parametrize("waits", [False, True])
def test_raises_before_it_responds(logged, events, waits):
    """What an application raises is logged once, with its traceback, and is a 500."""

    async def app(scope, receive, send):
        if waits:
            await asyncio.sleep(0)
        for event in events:
            await send(event)
        raise Boom

    @in_a_loop
    async def run():
        page = Page(app)
        assert (await page.ask()).startswith(FAILED)
        assert not page.wire.closed

    run()
    (failure,) = logged.take(Boom)
    assert "in app" in failure.getTraceback()


@in_a_loop
async def test_error_is_its_mounts(logged):
    """In an App, error handlers answer what a mounted application raises."""

    async def app(scope, receive, send):
        raise Boom

    site = App()
    site.mount("/app", ASGIHandler(app, lifespan="off"))

    @site.error_handler(Boom)
    def sorry(request: Any, error: Boom) -> str:
        return "sorry"

    answer = await Client(site).get("/app/").asFuture(asyncio.get_running_loop())
    assert (answer.status, answer.text) == (500, "sorry")
    logged.take(Boom)


# Mistakes in the middle of a response


def middle(*events: Any, error: type[BaseException] | None = None) -> Any:
    """An application that has sent some of its body when it sends these, raises, or returns."""

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"some", more_body=True))
        for event in events:
            await send(event)
        if error is not None:
            raise error

    return app


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (middle(error=Boom), Boom),
        (middle(), ContractError),
        (middle(start()), ContractError),
        (middle(body("text")), ContractError),
        (middle({"type": "http.response.trailers"}), ContractError),
        (middle(7), ContractError),
    ],
)
def test_failure_in_the_middle(logged, app, expected):
    """When some of a response has been sent it is cut off, so that it does not look complete."""

    @in_a_loop
    async def run():
        page = Page(app)
        response = await page.ask()
        assert response.endswith(b"4\r\nsome\r\n")
        assert page.wire.transport.aborted
        assert page.wire.closed

    run()
    logged.take(expected)


@pytest.mark.parametrize("rest", [b"", b"more than that"])
def test_length_that_is_not_kept(logged, rest):
    """A streamed body that is not as long as declared is cut off."""

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"8")))
        await send(body(b"some", more_body=True))
        await send(body(rest))

    @in_a_loop
    async def run():
        page = Page(app)
        assert (await page.ask()).endswith(b"\r\n\r\nsome")
        assert page.wire.transport.aborted

    run()
    (event,) = logged.events
    assert "Content-Length" in str(event["log_failure"].value)
    logged.events.clear()


@in_a_loop
async def test_failure_after_the_response(logged):
    """What is raised after a response is logged; the client has what it asked for."""

    async def app(scope, receive, send):
        await ok(scope, receive, send)
        raise Boom

    page = Page(app)
    assert (await page.ask()).endswith(b"ok")
    assert not page.wire.closed
    logged.take(Boom)


@in_a_loop
async def test_trailers_that_may_not_be(told):
    """A trailer that may not be one is a mistake, too."""

    async def app(scope, receive, send):
        await send(start(200, trailers=True))
        await send(body(b"some"))
        await send({"type": "http.response.trailers", "headers": [(b"content-length", b"1")]})

    page = Page(app)
    await page.ask()
    assert page.wire.transport.aborted
    assert told == ["<Request GET /> failed"]


# Clients that go


@in_a_loop
async def test_background_tasks():
    """What an application does after its response may take any time; its client waits not."""
    go_on = asyncio.Event()
    done = []

    async def app(scope, receive, send):
        await ok(scope, receive, send)
        await go_on.wait()
        done.append(True)

    page = Page(app)
    assert (await page.ask()).endswith(b"ok")
    assert (await page.ask()).endswith(b"ok")
    await page.hang_up()
    page.wire.advance(3600)
    assert done == []
    go_on.set()
    await page.settle()
    assert done == [True, True]
    assert page.handler.tasks.running == set()


@in_a_loop
async def test_application_that_goes_on_without_its_client(told):
    """One that does not end when its client has gone is cancelled after leave_timeout."""
    ends = []

    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    page = Page(app, leave_timeout=30)
    await page.ask()
    await page.hang_up()
    page.wire.advance(29)
    await page.settle()
    assert ends == []
    page.wire.advance(1)
    await page.settle()
    assert ends == ["cancelled"]
    assert page.handler.cancelled == 1
    assert page.wire.clock.getDelayedCalls() == []
    assert told == [
        "<ASGI application at <Request GET />> went on without its client, and is cancelled"
    ]


@in_a_loop
async def test_application_that_will_not_be_cancelled(told):
    """One that goes on all the same is cancelled again."""
    stubborn = 2

    async def app(scope, receive, send):
        nonlocal stubborn
        while stubborn:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stubborn -= 1

    page = Page(app, leave_timeout=5)
    await page.ask()
    await page.hang_up()
    for _ in range(10):
        page.wire.advance(1)
        await page.settle()
    assert page.handler.cancelled == 2
    assert page.handler.tasks.running == set()


@in_a_loop
async def test_application_that_ends_in_time():
    """One that ends by itself is not cancelled."""
    ends = []

    async def app(scope, receive, send):
        await receive()
        assert await receive() == DISCONNECT
        ends.append("ended")

    page = Page(app)
    await page.ask()
    await page.hang_up()
    assert ends == ["ended"]
    assert page.wire.clock.getDelayedCalls() == []


@in_a_loop
async def test_error_after_the_client_has_gone(logged):
    """What an application raises then is logged, unless it comes of the client's going."""

    async def app(scope, receive, send):
        await receive()
        await receive()
        raise Boom

    page = Page(app)
    await page.ask()
    await page.hang_up()
    logged.take(Boom)


@in_a_loop
async def test_error_that_comes_of_a_disconnect():
    """Frameworks make errors of their own of a disconnect: they are no errors of theirs."""

    async def app(scope, receive, send):
        await receive()
        await receive()
        try:
            await send(start())
        except OSError:
            raise Boom from None

    page = Page(app)
    await page.ask()
    await page.hang_up()


@in_a_loop
async def test_handler_timeout():
    """An application that never answers is answered for, and told that it has no client."""
    events: list[Event] = []

    async def app(scope, receive, send):
        await receive()
        events.append(await receive())
        with pytest.raises(OSError, match="answered by somebody else"):
            await send(start())

    page = Page(app, Limits(handler_timeout=5))
    await page.ask()
    page.wire.advance(6)
    await page.settle()
    assert page.wire.take().startswith(b"HTTP/1.1 503 ")
    assert events == [DISCONNECT]


@in_a_loop
async def test_middleware_gives_up():
    """So it is when middleware cancels what it waits for."""
    ends = []

    async def app(scope, receive, send):
        await receive()
        ends.append(await receive())

    handler = ASGIHandler(app, lifespan="off")
    wire = Wire(handler)
    exchange = Client(handler)
    result = exchange.get("/")
    await asyncio.sleep(0)
    result.addErrback(lambda _: None)
    result.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert ends == [DISCONNECT]
    assert not wire.closed


@in_a_loop
async def test_response_that_middleware_drops():
    """An application whose streamed response is replaced is told so."""
    raised = []

    async def app(scope, receive, send):
        await send(start())
        try:
            await send(body(b"x", more_body=True))
        except OSError:
            raised.append(True)

    handler = ASGIHandler(app, lifespan="off")

    def middleware(request):
        async def instead():
            response = await handler(request)
            await close_body(response.body)
            return Response.text("instead")

        return instead()

    wire = Wire(middleware)
    wire.send(GET)
    for _ in range(4):
        await asyncio.sleep(0)
    assert wire.take().endswith(b"instead")
    assert raised == [True]


# Clients that close their side


@in_a_loop
async def test_client_that_closes_its_side():
    """Who waits for its client to go is told at once when that closes, and may go on sending."""
    events: list[Event] = []

    async def app(scope, receive, send):
        await receive()
        await send(start())
        await send(body(b"one", more_body=True))
        events.append(await receive())
        await send(body(b"two", more_body=True))
        events.append(await receive())
        await send(body(b"three"))

    page = Page(app)
    await page.ask()
    assert events == []
    page.wire.half_close()
    await page.settle()
    assert events == [DISCONNECT, DISCONNECT]
    assert page.wire.take() == b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
    assert not page.wire.transport.aborted
    assert page.wire.closed


@pytest.mark.parametrize("streams", [False, True])
@in_a_loop
async def test_client_that_had_closed_its_side(streams):
    """Who asks later, and even without waiting, is told as well."""
    go_on = asyncio.Event()
    events: list[Event] = []

    async def app(scope, receive, send):
        if streams:
            await send(start())
            await send(body(b"some", more_body=True))
        await go_on.wait()
        events.append(await receive())
        task = asyncio.ensure_future(receive())
        asyncio.get_running_loop().call_soon(task.cancel)  # as anyio asks
        events.append(await task)
        if not streams:
            await send(start())
        await send(body(b"end"))

    page = Page(app)
    await page.ask(post(b"body"))
    page.wire.half_close()
    await page.settle()
    go_on.set()
    await page.settle()
    assert events == [{"type": "http.request", "body": b"body", "more_body": False}, DISCONNECT]
    assert b"end" in page.wire.take()
    assert not page.wire.transport.aborted


@pytest.mark.parametrize("error", [None, asyncio.CancelledError])
@pytest.mark.parametrize("streams", [False, True])
@in_a_loop
async def test_application_that_gives_up(told, streams, error):
    """One that ends because its client has closed makes no mistake; but nothing looks complete."""

    async def app(scope, receive, send):
        await receive()
        if streams:
            await send(start())
            await send(body(b"some", more_body=True))
        assert await receive() == DISCONNECT
        if error is not None:
            raise error

    page = Page(app)
    await page.ask()
    page.wire.half_close()
    await page.settle()
    assert page.wire.take() == b""
    assert page.wire.transport.aborted
    assert page.wire.transport.disconnected
    assert page.handler.tasks.running == set()
    assert page.wire.clock.getDelayedCalls() == []
    assert told == []


@in_a_loop
async def test_client_that_closes_its_side_within_its_body(told):
    """Where some of the body never comes the client is told so, if it still hears it."""

    async def app(scope, receive, send):
        events.append(await receive())
        events.append(await receive())

    events: list[Event] = []
    page = Page(app)
    await page.ask(post(b"some", 9))
    page.wire.half_close()
    await page.settle()
    assert page.wire.take().startswith(b"HTTP/1.1 400 ")
    assert events == [{"type": "http.request", "body": b"some", "more_body": True}, DISCONNECT]
    assert told == []


@in_a_loop
async def test_client_that_closes_its_side_before_a_body_that_nobody_gets(told):
    """The answer to HEAD is whole, whoever gives up on its body, and so are those behind it."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        await send(start(200, (b"x-method", scope["method"].encode())))
        if scope["method"] == "HEAD":
            await send(body(b"some", more_body=True))
            assert await receive() == DISCONNECT
        else:
            await send(body(b"end"))

    page = Page(app)
    await page.ask(GET.replace(b"GET", b"HEAD") + GET)
    page.wire.half_close()
    go_on.set()
    await page.settle()
    response = page.wire.take()
    assert b"x-method: HEAD" in response
    assert response.endswith(b"end")
    assert not page.wire.transport.aborted
    assert told == []


@pytest.mark.parametrize("streams", [False, True])
@in_a_loop
async def test_error_after_the_client_has_closed_its_side(logged, streams):
    """Any other error is one, and is logged once."""

    async def app(scope, receive, send):
        await receive()
        if streams:
            await send(start())
            await send(body(b"some", more_body=True))
        await receive()
        raise Boom

    page = Page(app)
    await page.ask()
    page.wire.half_close()
    await page.settle()
    assert page.wire.transport.aborted is streams
    logged.take(Boom)


# Bodies of requests


@in_a_loop
async def test_upload_to_who_does_not_read():
    """A client is held back when an application does not read what it sends."""
    go_on = asyncio.Event()
    size = 0

    async def app(scope, receive, send):
        nonlocal size
        await go_on.wait()
        more = True
        while more:
            event = await receive()
            size += len(event["body"])
            more = event["more_body"]
        await ok(scope, receive, send)

    page = Page(app)
    length = 1 << 20
    page.wire.send(post(b"", length))
    sent = 0
    while not page.wire.transport.paused:
        page.wire.send(b"x" * 16384)
        sent += 16384
    assert sent <= length // 2
    go_on.set()
    while sent < length:
        await page.settle()
        assert not page.wire.transport.paused
        page.wire.send(b"x" * 16384)
        sent += 16384
    await page.settle()
    assert size == length
    assert page.wire.take().endswith(b"ok")


@in_a_loop
async def test_expect_continue():
    """A client that waits for it is told to send its body when that is received, not before."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        assert (await receive())["body"] == b"body"
        await ok(scope, receive, send)

    page = Page(app)
    assert await page.ask(post(b"", 4, b"Expect: 100-continue\r\n")) == b""
    go_on.set()
    await page.settle()
    assert page.wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await page.ask(b"body")).endswith(b"ok")


@in_a_loop
async def test_body_that_breaks_rules():
    """A body that is malformed is the client's mistake, unless the application answers."""
    events = []

    async def app(scope, receive, send):
        while (event := await receive())["type"] == "http.request":
            pass
        events.append(event)

    page = Page(app)
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    await page.ask(head)
    assert (await page.ask(b"nonsense\r\n")).startswith(b"HTTP/1.1 400 ")
    assert events == [DISCONNECT]


@in_a_loop
async def test_receive_may_be_cancelled():
    """To ask by a receive that is cancelled whether there is something loses nothing."""
    events = []

    async def app(scope, receive, send):
        for _ in range(3):
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        events.append(await receive())
        await ok(scope, receive, send)

    page = Page(app)
    await page.ask(post(b"", 4))
    assert (await page.ask(b"body")).endswith(b"ok")
    assert events == [{"type": "http.request", "body": b"body", "more_body": False}]


@in_a_loop
async def test_several_wait():
    """Several tasks of an application may wait for its client to go."""
    events: list[Event] = []

    async def app(scope, receive, send):
        await receive()
        events.extend(await asyncio.gather(receive(), receive()))

    page = Page(app)
    await page.ask()
    await page.hang_up()
    assert events == [DISCONNECT, DISCONNECT]


@in_a_loop
async def test_several_send():
    """Several tasks of an application may send: no bytes are lost, and none come twice."""

    async def app(scope, receive, send):
        await send(start())
        pieces = [b"%d" % n * 9000 for n in range(10)]
        await asyncio.gather(*(send(body(piece, more_body=True)) for piece in pieces))
        await send(body())

    page = Page(app)
    page.wire.stop_reading()
    await page.ask()
    page.wire.read()
    for _ in range(20):
        await page.settle()
    response = page.wire.take()
    assert sorted(response.count(b"%d" % n * 9000) for n in range(10)) == [1] * 10
    assert response.endswith(b"0\r\n\r\n")


@in_a_loop
async def test_end_comes_after_what_was_sent_before():
    """A response whose last event overtakes events that wait is whole, and ends behind them."""

    async def app(scope, receive, send):
        await send(start())
        pieces = [b"%d" % n * 90_000 for n in range(3)]
        sending = [asyncio.ensure_future(send(body(piece, more_body=True))) for piece in pieces]
        await asyncio.sleep(0)
        await send(body())
        await asyncio.gather(*sending)

    page = Page(app)
    page.wire.stop_reading()
    await page.ask()
    page.wire.read()
    for _ in range(5):
        await page.settle()
    response = page.wire.take()
    assert [response.count(b"%d" % n * 90_000) for n in range(3)] == [1, 1, 1]
    assert response.endswith(b"0\r\n\r\n")


# Its surroundings


@in_a_loop
async def test_context():
    """An application has a context of its own, from its first step to its last."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def app(scope, receive, send):
        token = variable.set(1)
        await asyncio.sleep(0)
        assert variable.get() == 1
        variable.reset(token)
        await ok(scope, receive, send)

    assert (await answer_of(app)).text == "ok"
    assert variable.get(0) == 0


@in_a_loop
async def test_current_task():
    """The task in which an application runs is the same all the time, also before it waits."""

    async def app(scope, receive, send):
        task = asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        assert asyncio.current_task() is task
        await ok(scope, receive, send)

    assert (await answer_of(app)).text == "ok"


@in_a_loop
async def test_answers_before_anything_else():
    """An application that never waits has answered when the bytes of its request are read."""
    page = Page(ok)
    page.wire.send(GET)
    assert page.wire.take().endswith(b"ok")


@in_a_loop
async def test_deferred_is_awaited_by_middleware():
    """Where an application waits, what the handler returns is a Deferred."""

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await ok(scope, receive, send)

    handler = ASGIHandler(app, lifespan="off")
    kinds = []

    def middleware(request):
        result = handler(request)
        kinds.append(isinstance(result, Deferred))
        return result

    wire = Wire(middleware)
    wire.send(GET)
    await asyncio.sleep(0)
    assert wire.take().endswith(b"ok")
    assert kinds == [True]
