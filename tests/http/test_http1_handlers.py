"""Handlers: what they may return, how they fail, when they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from contextvars import ContextVar, Token
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.logger import capturedLogs, formatEvent

from mynet.http.errors import ClientGone, HTTPError
from mynet.http.factory import HTTPFactory
from mynet.http.message import Request, Response
from mynet.http.shared import Access
from mynet.testing import Wire, result_of
from tests.conversation import GET, Waiting, head, post, replies, reply

VALUE: ContextVar[str] = ContextVar("VALUE", default="none")


# What a handler may return


class Promise:
    """An awaitable that is none of the known ones."""

    def __await__(self) -> Generator[Any, Any, Response]:
        yield from succeed(None).__await__()
        return Response(b"hello")


def plain(request: Request) -> Response:
    return Response(b"hello")


async def coroutine(request: Request) -> Response:
    return Response(b"hello")


@inlineCallbacks
def inline(request: Request) -> Generator[Deferred[None], None, Response]:
    yield succeed(None)
    return Response(b"hello")


class Called:
    """An object that is a handler."""

    async def __call__(self, request: Request) -> Response:
        return Response(b"hello")


HANDLERS: dict[str, Any] = {
    "a Response": plain,
    "a coroutine": coroutine,
    "a coroutine of an object": Called(),
    "a Deferred": lambda request: succeed(Response(b"hello")),
    "a Deferred of Twisted's coroutines": inline,
    "another awaitable": lambda request: Promise(),
}


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_handlers(handler):
    """A handler returns a response, or whatever can be awaited for one."""
    wire = Wire(handler)
    wire.send(GET + GET)
    assert [each.body for each in replies(wire, "GET", "GET")] == [b"hello", b"hello"]


def test_handler_that_waits():
    """One that waits is answered when it returns, by whatever it waited for."""
    deferreds: list[Deferred[str]] = []

    async def handler(request: Request) -> Response:
        deferreds.append(Deferred())
        return Response.text(await deferreds[-1] + await succeed("!"))

    wire = Wire(handler)
    wire.send(GET)
    assert wire.received == b""
    deferreds[0].callback("hello")
    assert reply(wire).text == "hello!"


def test_handler_that_lets_others_go_first():
    """`asyncio.sleep(0)` lets whatever else is due go first, on any reactor."""
    order: list[str] = []

    async def handler(request: Request) -> Response:
        await asyncio.sleep(0)
        order.append("handler")
        return Response()

    wire = Wire(handler)
    wire.clock.callLater(0, order.append, "other")
    wire.send(GET)
    wire.advance(0)
    assert reply(wire).status == 200
    assert order == ["other", "handler"]


@pytest.mark.parametrize("value", ["text", None, b"bytes", 5, {"a": 1}, Response], ids=repr)
@pytest.mark.parametrize("kind", ["plain", "deferred", "coroutine"])
def test_handler_that_returns_something_else(value, kind, logged):
    """What is no response is a mistake of the application's: 500, and the log tells of it."""

    async def later(request: Request) -> Any:
        return value

    handlers: dict[str, Any] = {
        "plain": lambda request: value,
        "deferred": lambda request: succeed(value),
        "coroutine": later,
    }
    wire = Wire(handlers[kind])
    wire.send(GET)
    assert reply(wire).status == 500
    assert not wire.closed
    (failure,) = logged.take(TypeError)
    name = "type" if value is Response else type(value).__name__
    assert name in str(failure.value)


def test_handler_that_awaits_what_cannot_be(logged):
    """So is awaiting what belongs to another world."""

    class Foreign:
        def __await__(self) -> Generator[Any, None, None]:
            yield "a message to some other loop"

    async def handler(request: Request) -> Response:
        await Foreign()
        return Response()

    wire = Wire(handler)
    wire.send(GET)
    assert reply(wire).status == 500
    logged.take(TypeError)


# How it fails


def raises(request: Request) -> Response:
    raise ValueError("a secret")


async def raises_at_once(request: Request) -> Response:
    raise ValueError("a secret")


async def raises_later(request: Request) -> Response:
    await asyncio.sleep(0)
    raise ValueError("a secret")


FAILING: dict[str, Any] = {
    "at once": raises,
    "in a coroutine": raises_at_once,
    "after an await": raises_later,
    "a Deferred": lambda request: fail(ValueError("a secret")),
}


@pytest.mark.parametrize("handler", FAILING.values(), ids=FAILING)
def test_handler_that_raises(handler, logged):
    """It is answered 500 without a word of what it was; the log has it, once; all goes on."""
    wire = Wire(handler)
    for _ in range(2):
        wire.send(GET)
        wire.advance(0)
        answer = reply(wire)
        assert (answer.status, answer.closes) == (500, False)
        assert b"secret" not in answer.body
        (failure,) = logged.take(ValueError)
        assert "a secret" in failure.getTraceback()
        if handler is not FAILING["a Deferred"]:
            assert "test_http1_handlers.py" in failure.getTraceback()


def test_handler_that_raises_what_is_no_exception(logged):
    """Cancellations that nobody asked for are errors like any other."""

    async def later(request: Request) -> Response:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def at_once(request: Request) -> Response:
        raise asyncio.CancelledError

    for handler, error in (
        (at_once, CancelledError),
        (later, asyncio.CancelledError),
        (lambda request: fail(CancelledError()), CancelledError),
    ):
        wire = Wire(handler)
        wire.send(GET)
        wire.advance(0)
        assert reply(wire).status == 500
        logged.take(error)


async def not_found(request: Request) -> Response:
    await asyncio.sleep(0)
    raise HTTPError(404, "There is no such thing.", {"X-A": "b"})


def deny(request: Request) -> Response:
    raise HTTPError(404, "There is no such thing.", {"X-A": "b"})


@pytest.mark.parametrize("handler", [not_found, deny])
def test_handler_that_raises_an_answer(handler):
    """An HTTPError is an answer, and is not logged."""
    wire = Wire(handler)
    wire.send(GET)
    wire.advance(0)
    answer = reply(wire)
    assert (answer.status, answer.closes) == (404, False)
    assert answer.text == "404 Not Found\nThere is no such thing.\n"
    assert answer.headers["X-A"] == "b"


def test_handler_that_raises_the_last_answer():
    """One that closes the connection does."""

    def handler(request: Request) -> Response:
        raise HTTPError(400, close=True)

    wire = Wire(handler)
    wire.send(GET + GET)
    assert reply(wire).closes
    assert wire.closed


def test_handler_that_raises_an_answer_that_breaks_out(logged):
    """Nothing can break out of an error's fields either."""

    def handler(request: Request) -> Response:
        raise HTTPError(400, headers={"A": "b\r\nc: d"})

    wire = Wire(handler)
    wire.send(GET)
    assert reply(wire).status == 500
    logged.take(ValueError)


def test_error_with_a_body_behind():
    """After an error the body is thrown away as after any answer."""
    wire = Wire(deny)
    wire.send(post(b"Content-Length: 5"))
    assert not reply(wire).closes
    wire.send(b"hello" + GET)
    assert reply(wire).status == 404


# How it fails after its response began


def broken(error: Exception) -> Iterator[bytes]:
    yield b"hello"
    raise error


async def broken_slowly(error: Exception) -> AsyncIterator[bytes]:
    yield b"hello"
    raise error


@pytest.mark.parametrize("data", [GET, head(line=b"GET / HTTP/1.0")], ids=["1.1", "1.0"])
@pytest.mark.parametrize("length", [None, "10"])
@pytest.mark.parametrize("stream", [broken, broken_slowly])
@pytest.mark.parametrize("error", [ValueError, lambda: HTTPError(404)], ids=["error", "answer"])
def test_body_that_fails(error, stream, length, data, logged):
    """A response that breaks off never looks complete: the connection is cut, in every frame.

    That is logged once: a bug with its traceback, what is none in one line.
    """
    fields = {"Content-Length": length} if length else None
    wire = Wire(lambda request: Response(stream(error()), headers=fields))
    with capturedLogs() as events:
        wire.send(data + GET)
    assert wire.received.count(b"HTTP/1.1") == 1
    assert wire.received.count(b"hello") == 1
    assert b"hello\r\n0\r\n" not in wire.received
    assert wire.transport.aborted
    assert wire.transport.disconnected
    is_bug = error is ValueError
    told = "failed" if is_bug else "is cut off: 404 Not Found"
    assert [formatEvent(event) for event in events] == [f"<Request GET /> {told}"]
    logged.take(*[ValueError] if is_bug else [])


@pytest.mark.parametrize("data", [GET, post(b"Content-Length: 5")])
def test_handler_that_cuts_off(data):
    """A handler may cut its client off instead of an answer, wherever in the exchange it is."""
    cancelled: list[Deferred[Response]] = []

    def handler(request: Request) -> Deferred[Response]:
        request.exchange.abort()
        return Deferred(cancelled.append)

    wire = Wire(handler)
    wire.send(data)
    wire.advance(1)
    assert wire.received == b""
    assert wire.transport.aborted
    assert len(cancelled) == 1


@pytest.mark.parametrize("pieces", [[], [b"hell"], [b"hello", b"!"], [b"hello!"]])
def test_body_that_breaks_its_promise(pieces, logged):
    """A body that is not as long as was said is broken off, and never too long."""
    wire = Wire(lambda request: Response(iter(pieces), headers={"Content-Length": "5"}))
    wire.send(GET)
    (answer,) = replies(wire)
    assert wire.transport.aborted
    assert len(answer.body) <= 5
    logged.take(ValueError)


def test_body_of_no_length_is_a_promise_too(logged):
    """Also where none was to come."""
    wire = Wire(lambda request: Response(iter([b"hello"]), headers={"Content-Length": "0"}))
    wire.send(GET)
    assert b"hello" not in wire.received
    assert wire.transport.aborted
    logged.take(ValueError)


# The client goes


def test_client_goes():
    """What a handler waits for is cancelled when its client goes, and nothing is logged."""
    events: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await Deferred(lambda _: events.append("cancelled"))
        finally:
            events.append("ended")
        return Response()

    wire = Wire(handler)
    wire.send(GET)
    wire.hang_up()
    assert events == ["cancelled", "ended"]


def test_client_goes_before_a_handler_that_goes_on(logged):
    """A handler that catches its cancellation goes on; its answer has nowhere to go."""
    held: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        try:
            await Deferred()
        except CancelledError:
            await request.disconnected()
            await held
        return Response(b"hello")

    wire = Wire(handler)
    wire.send(GET)
    wire.hang_up()
    held.callback(None)
    assert wire.received == b""


def test_client_goes_before_a_deferred_that_goes_on():
    """An answer that comes all the same is let go of, with what it holds."""
    file = BytesIO(b"hello")
    wire = Wire(lambda request: Deferred(lambda deferred: deferred.callback(Response(file))))
    wire.send(GET)
    wire.hang_up()
    assert file.closed
    assert wire.received == b""


def test_client_goes_before_a_handler_that_fails_then(logged):
    """A handler that fails in cleaning up is logged."""

    async def handler(request: Request) -> Response:
        try:
            await Deferred()
        finally:
            raise ValueError("broken")

    wire = Wire(handler)
    wire.send(GET)
    wire.hang_up()
    logged.take(ValueError)


@pytest.mark.parametrize("data", [GET, post(b"Content-Length: 5")])
def test_client_goes_while_it_is_answered(data):
    """A body that streams is closed where it stands."""
    events: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await Deferred(lambda _: events.append("cancelled"))
        finally:
            events.append("closed")

    wire = Wire(lambda request: Response(body()))
    wire.send(data)
    wire.hang_up()
    assert events == ["cancelled", "closed"]


def test_notice_when_the_client_goes():
    """Who asks for it is told that the client has gone; not when it was answered."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(GET + GET)
    gone = [handler.requests[0].disconnected(), handler.requests[0].disconnected()]
    handler.answers[0].callback(Response())
    gone.append(handler.requests[1].disconnected())
    wire.hang_up()
    assert [each.called for each in gone] == [False, False, True]
    assert result_of(gone[2]) is None
    assert result_of(handler.requests[1].disconnected()) is None


def test_client_goes_while_its_body_is_read():
    """A reader gets ClientGone, which is not logged when the handler lets it pass."""

    async def handler(request: Request) -> Response:
        with pytest.raises(ClientGone):
            await request.read()
        raise ClientGone

    wire = Wire(handler)
    wire.send(post(b"Content-Length: 5"))
    wire.hang_up()


def test_what_ends_with_a_request():
    """`on_finish` is called when all is over: answered, failed or gone; last first."""
    events: list[int] = []

    def handler(request: Request) -> Awaitable[Response] | Response:
        request.on_finish(lambda: events.append(1))
        request.on_finish(lambda: events.append(2))
        return Response() if request.raw_path == b"/" else Deferred()

    wire = Wire(handler)
    wire.send(GET)
    assert events == [2, 1]
    wire.send(head(line=b"GET /wait HTTP/1.1"))
    assert events == [2, 1]
    wire.hang_up()
    assert events == [2, 1, 2, 1]


def test_what_fails_in_the_end(logged):
    """An error in what ends with a request is logged, and disturbs nothing."""
    events: list[str] = []

    def handler(request: Request) -> Response:
        request.on_finish(lambda: events.append("first"))
        request.on_finish(lambda: [][0])
        return Response()

    wire = Wire(handler)
    wire.send(GET + head(b"Connection: close"))
    first, second = replies(wire, "GET", "GET")
    assert (first.status, second.status) == (200, 200)
    assert wire.transport.disconnected
    assert events == ["first", "first"]
    logged.take(IndexError, IndexError)


def test_log_that_fails(logged):
    """An access log that fails does not take its connections with it."""

    def write(access: Access) -> None:
        raise OSError("no space left")

    wire = Wire(HTTPFactory(plain, access_log=write))
    wire.send(GET + head(b"Connection: close"))
    assert [each.status for each in replies(wire, "GET", "GET")] == [200, 200]
    assert wire.transport.disconnected
    logged.take(OSError, OSError)


# Context variables


def test_context_of_each_request():
    """Each request has a context of its own, from its beginning to the end of its body."""
    seen: list[str] = []
    held: list[Deferred[None]] = []

    async def body() -> AsyncIterator[bytes]:
        seen.append(VALUE.get())
        yield VALUE.get().encode()

    async def handler(request: Request) -> Response:
        seen.append(VALUE.get())
        VALUE.set(request.path)
        held.append(Deferred())
        await held[-1]
        seen.append(VALUE.get())
        return Response(body())

    one, two = Wire(handler), Wire(handler)
    one.send(head(line=b"GET /one HTTP/1.1"))
    two.send(head(line=b"GET /two HTTP/1.1"))
    held[0].callback(None)
    held[1].callback(None)
    assert (reply(one).text, reply(two).text) == ("/one", "/two")
    assert seen == ["none", "none", "/one", "/one", "/two", "/two"]
    one.send(head(line=b"GET /three HTTP/1.1"))
    assert seen[-1] == "none"
    assert VALUE.get() == "none"
    one.hang_up()


def test_context_is_one():
    """A token may be given back after an await, as tracing libraries do."""
    tokens: list[Token[str]] = []

    async def handler(request: Request) -> Response:
        token = VALUE.set("mine")
        await asyncio.sleep(0)
        tokens.append(token)
        VALUE.reset(token)
        return Response.text(VALUE.get())

    wire = Wire(handler)
    wire.send(GET)
    wire.advance(0)
    assert reply(wire).text == "none"


def test_context_of_the_factory():
    """A factory's requests see what was set where it was made, and not what came later."""
    token = VALUE.set("factory")
    factory = HTTPFactory(lambda request: Response.text(VALUE.get()))
    VALUE.reset(token)
    wire = Wire(factory)
    wire.send(GET)
    assert reply(wire).text == "factory"
