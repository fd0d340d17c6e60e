"""Coroutine functions that handle WebSockets: how they accept, refuse, fail, and end."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from mynet.http import HTTPError, Limits, Response
from mynet.testing import Client, Peer, Refused, Wire, result_of
from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost
from mynet.websocket.codes import WebSocketError
from mynet.websocket.endpoint import WebSocket, WebSocketEndpoint
from mynet.websocket.message import Message
from mynet.websocket.policy import Policy
from tests.conversation import GET, reply
from tests.websocket.line import Browser, masked

WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
TEXT = 1


async def echo(socket: WebSocket) -> None:
    async for message in socket:
        await socket.send(message)


class Handler:
    """A coroutine function that does what it is told, and notes how it ended."""

    def __init__(self, does: Any, **fields: Any) -> None:
        self.sockets: list[WebSocket] = []
        self.ends: list[str] = []
        self._does = does

        async def handle(socket: WebSocket) -> Any:
            self.sockets.append(socket)
            try:
                result = await does(socket)
            except BaseException as error:
                self.ends.append(type(error).__name__)
                raise
            self.ends.append("returned")
            return result

        self.endpoint = WebSocketEndpoint(handle, **fields)

    @property
    def stats(self) -> Any:
        return self.endpoint.shared.stats

    def connect(self, **options: Any) -> tuple[Client, Peer]:
        client = Client(self.endpoint)
        return client, result_of(client.websocket("/", **options))


def warnings_of(call: Any) -> list[LogEvent]:
    """The warnings that are logged while this is called."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.warn:
            events.append(event)

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    call()
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    return events


# Accepting


@WAYS
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_echo(size, compressed):
    """A handler has a client's messages, and answers them; its end closes with 1000."""
    handler = Handler(echo)
    browser = Browser(handler.endpoint, size=size, compressed=compressed)
    messages: list[str | bytes] = ["a", b"b", "c" * 1000, "c" * 1000, "\u20ac"]
    browser.sends(*messages)
    assert browser.got() == messages
    browser.closes(4000, "bye")
    assert browser.close == (4000, "")
    (socket,) = handler.sockets
    assert (socket.close_code, socket.close_reason) == (4000, "bye")
    assert handler.ends == ["returned"]
    assert handler.stats.closed == {4000: 1}


@WAYS
def test_messages_behind_the_handshake(size):
    """Messages that come with the handshake are received when it is accepted, however late."""
    decided: Deferred[None] = Deferred()

    async def late(socket: WebSocket) -> None:
        await decided
        await echo(socket)

    handler = Handler(late)
    browser = Browser(handler.endpoint, behind=masked(TEXT, b"a") + masked(TEXT, b"b"), size=size)
    assert browser.status is None
    decided.callback(None)
    assert browser.got() == ["a", "b"]


@pytest.mark.parametrize("first", ["send", "receive", "iterate", "ping", "deliver", "accept"])
def test_accepts_with_the_first_use(first):
    """What is first received, sent or asked for accepts it."""

    async def use(socket: WebSocket) -> None:
        if first == "send":
            await socket.send("hello")
        elif first == "deliver":
            socket.deliver(Message("hello"))
        elif first == "accept":
            await socket.accept()
        elif first == "ping":
            assert await socket.ping() == 0
        elif first == "receive":
            await socket.receive()
        else:
            async for _ in socket:
                break
        await socket.send("done")

    handler = Handler(use)
    _, peer = handler.connect()
    if first in ("receive", "iterate"):
        assert peer.close_code is None
        peer.send("a")
    assert [each for each in peer.take() if each != "hello"] == ["done"]
    assert peer.close_code == 1000
    assert handler.ends == ["returned"]


def test_says_and_returns():
    """A handler that has said all, and waits for nothing, is heard."""

    async def greet(socket: WebSocket) -> None:
        for number in range(100):
            await socket.send(f"{number}")

    browser = Browser(Handler(greet).endpoint)
    assert browser.got() == [f"{number}" for number in range(100)]
    assert browser.close == (1000, "")


def test_accept():
    """To accept may choose a subprotocol and add fields; then the connection is open."""
    seen: list[Any] = []

    async def accept(socket: WebSocket) -> None:
        seen.append((socket.subprotocols, socket.subprotocol))
        with pytest.raises(ValueError, match="did not offer the subprotocol 'd'"):
            await socket.accept("d")
        await socket.accept("b", [("X-A", "1")])
        seen.append(socket.subprotocol)
        with pytest.raises(RuntimeError, match="has been accepted already"):
            await socket.accept()
        await socket.send("open")

    handler = Handler(accept, subprotocols=["a"])
    _, peer = handler.connect(subprotocols=["a", "b"])
    assert (peer.subprotocol, peer.answer.headers["X-A"]) == ("b", "1")
    assert peer.take() == ["open"]
    assert seen == [(("a", "b"), "a"), "b"]


def test_accepts_without_a_subprotocol():
    """To accept with None speaks none, also where the policy has one that the client offers."""

    async def accept(socket: WebSocket) -> None:
        with pytest.raises(ValueError, match="Sec-WebSocket-Protocol is for the handshake to set"):
            await socket.accept(None, [("Sec-WebSocket-Protocol", "b")])
        assert socket.subprotocol == "a"
        await socket.accept(None)
        assert socket.subprotocol is None
        await socket.send("open")

    _, peer = Handler(accept, subprotocols=["a"]).connect(subprotocols=["a", "b"])
    assert peer.subprotocol is None
    assert peer.take() == ["open"]


def test_subprotocol_of_the_policy():
    """Unless another is chosen it is the policy's first that the client offers."""
    handler = Handler(echo, subprotocols=["a", "b"])
    assert handler.connect(subprotocols=["b", "a"])[1].subprotocol == "a"
    assert handler.connect(subprotocols=["c"])[1].subprotocol is None
    assert handler.sockets[1].subprotocol is None


def test_policy():
    """An endpoint has its own policy."""
    handler = Handler(echo, policy=Policy(max_frames=9), max_message_size=3)
    assert handler.endpoint.shared.policy == Policy(max_frames=9, max_message_size=3)
    _, peer = handler.connect()
    peer.send("four")
    assert peer.close_code == 1009
    assert handler.sockets[0].close_code == 1009
    with pytest.raises(TypeError, match="is no coroutine function"):
        WebSocketEndpoint(lambda socket: None)  # type: ignore[arg-type, return-value]


# Refusing


async def returns_response(socket: WebSocket) -> Response:
    return Response(b"later", 503, {"Retry-After": "5"})


async def raises_http_error(socket: WebSocket) -> None:
    raise HTTPError(404, "No such room.")


async def returns_nothing(socket: WebSocket) -> None:
    pass


async def closes(socket: WebSocket) -> None:
    await socket.close(4000, "Not you.")


REFUSALS = [
    (returns_response, 503, b"later"),
    (raises_http_error, 404, b"404 Not Found\nNo such room.\n"),
    (returns_nothing, 403, b"403 Forbidden\n"),
    (closes, 403, b"403 Forbidden\nNot you.\n"),
]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(("refuse", "status", "body"), REFUSALS)
def test_refuses(refuse, status, body, waits):
    """A handler that ends before it has accepted has refused, in any of these ways."""
    decided: Deferred[None] = Deferred()

    async def decide(socket: WebSocket) -> Any:
        if waits:
            await decided
        return await refuse(socket)

    handler = Handler(decide)
    opening = Client(handler.endpoint).websocket("/")
    if waits:
        assert not opening.called
        decided.callback(None)
    with pytest.raises(Refused) as caught:
        result_of(opening)
    assert (caught.value.answer.status, caught.value.answer.body) == (status, body)
    assert (handler.stats.refused, handler.stats.accepted, handler.stats.failures) == (1, 0, 0)


def test_refused_client_may_ask_again():
    """A client that was refused by HTTP may go on in HTTP, on the same connection."""
    handler = Handler(raises_http_error)
    browser = Browser(handler.endpoint)
    assert browser.status == 404
    browser.wire.take()
    browser.wire.send(GET)
    assert reply(browser.wire).status == 426


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("why", ["accepted", "gone"])
def test_refuses_too_late(why, fails, logged):
    """A Response that comes too late is sent to nobody: its body is closed, and a warning given."""
    decided: Deferred[None] = Deferred()
    closed: list[None] = []

    class Body:
        def __iter__(self) -> Any:
            raise AssertionError("nobody is to read this")

        def close(self) -> None:
            closed.append(None)
            if fails:
                raise ZeroDivisionError

    async def late(socket: WebSocket) -> Response:
        if why == "accepted":
            await socket.accept()
        with suppress(CancelledError):
            await decided
        return Response(Body(), 403)

    browser = Browser(Handler(late).endpoint)
    over = browser.hang_up if why == "gone" else partial(decided.callback, None)
    assert len(warnings_of(over)) == (why == "accepted")
    assert closed == [None]
    if why == "accepted":
        browser.turn()
        assert browser.close == (1000, "")
    if fails:
        logged.take(ZeroDivisionError)


def test_refuses_with_nonsense(logged):
    """What is no Response refuses nothing: it is an error, 500 and logged."""

    async def wrong(socket: WebSocket) -> int:
        return 5

    browser = Browser(Handler(wrong).endpoint)
    assert browser.status == 500
    (failure,) = logged.take(TypeError)
    assert "a WebSocket cannot be refused with int" in str(failure.value)


@pytest.mark.parametrize("error", [ZeroDivisionError(), WebSocketError(1008, "no")])
def test_fails_before_it_accepts(logged, error):
    """An error before it is accepted is that of an HTTP handler: 500, and logged once."""

    async def fail(socket: WebSocket) -> None:
        raise error

    browser = Browser(Handler(fail).endpoint)
    assert browser.status == 500
    logged.take(type(error))


def test_takes_too_long():
    """Who does not decide in time is cancelled, and its client is told 503; then it is too late."""

    async def wait(socket: WebSocket) -> None:
        try:
            await Deferred()
        except CancelledError:
            with pytest.raises(WebSocketLost, match="it was not opened"):
                await socket.send("late")
            with pytest.raises(WebSocketLost, match="it was not opened"):
                await socket.accept()
            raise

    handler = Handler(wait, handshake_timeout=10)
    browser = Browser(handler.endpoint)
    browser.wire.advance(9)
    assert browser.wire.received == b""
    browser.advance(1)
    assert browser.status == 503
    assert handler.ends == ["CancelledError"]
    assert handler.stats.refused == 1


def test_does_not_take_too_long():
    """Once it is accepted a handler may take its time."""

    async def wait(socket: WebSocket) -> None:
        await socket.accept()
        await Deferred()

    handler = Handler(wait, handshake_timeout=1)
    browser = Browser(handler.endpoint)
    browser.advance(30)
    assert browser.close is None
    assert handler.ends == []
    browser.hang_up()
    browser.wire.advance(100)
    assert handler.ends == ["CancelledError"]


# The client goes


def test_client_goes_before_it_is_accepted():
    """A handler whose client goes is cancelled; then it is too late to accept, or to send."""

    async def wait(socket: WebSocket) -> None:
        try:
            await Deferred()
        except CancelledError:
            for use in (socket.send("late"), socket.receive(), socket.accept()):
                with pytest.raises(WebSocketLost, match="it was not opened"):
                    await use

    handler = Handler(wait)
    browser = Browser(handler.endpoint)
    browser.hang_up()
    assert handler.ends == ["returned"]
    assert (handler.stats.accepted, handler.stats.refused) == (0, 1)
    assert browser.wire.clock.getDelayedCalls() == []


@pytest.mark.parametrize("why", ["gone", "late for HTTP", "late"])
def test_tidies_up_when_it_is_too_late(why):
    """A handler that is cancelled before it has accepted may take its time to tidy up."""
    tidied: Deferred[None] = Deferred()

    async def wait(socket: WebSocket) -> None:
        try:
            await Deferred()
        finally:
            await tidied

    handler = Handler(wait, handshake_timeout=5 if why == "late" else 1000, leave_timeout=60)
    browser = Browser(Wire(handler.endpoint, Limits(handler_timeout=10)))
    if why == "gone":
        browser.hang_up()
    else:
        browser.advance(20)
        assert browser.status == 503
        browser.hang_up()
    assert (handler.ends, handler.stats.lingering) == ([], 1)
    tidied.callback(None)
    assert (handler.ends, handler.stats.lingering) == (["CancelledError"], 0)
    assert (handler.stats.refused, handler.stats.failures) == (1, 0)
    assert browser.wire.clock.getDelayedCalls() == []


def test_client_goes_before_middleware_lets_it_be_accepted():
    """A client that went is not accepted either where middleware keeps that from the handler."""
    decided: Deferred[None] = Deferred()

    async def late(socket: WebSocket) -> None:
        await decided
        with pytest.raises(WebSocketLost, match="it was not opened"):
            await socket.accept()

    handler = Handler(late)

    def shielded(request: Any) -> Deferred[Response]:
        handler.endpoint(request).addErrback(lambda _: None)
        return Deferred()

    browser = Browser(shielded)
    browser.hang_up()
    decided.callback(None)
    assert handler.ends == ["returned"]
    assert (handler.stats.accepted, handler.stats.refused) == (0, 1)
    assert browser.wire.clock.getDelayedCalls() == []


def test_client_goes_after_it_is_accepted():
    """A handler learns that its client has gone where it waits for a message."""
    handler = Handler(echo)
    browser = Browser(handler.endpoint)
    browser.sends("a")
    browser.hang_up()
    assert handler.ends == ["returned"]
    assert handler.sockets[0].close_code == 1006
    assert browser.wire.clock.getDelayedCalls() == []


def test_accepts_what_is_never_opened():
    """Middleware may answer in place of what a handler accepted, which then learns of the end."""

    async def accept(socket: WebSocket) -> None:
        with pytest.raises(WebSocketLost):
            await socket.accept()

    handler = Handler(accept)

    async def teapot(request: Any) -> Response:
        await handler.endpoint(request)
        return Response(b"", 418)

    browser = Browser(teapot)
    assert browser.status == 418
    assert handler.ends == ["returned"]
    assert (handler.stats.accepted, handler.stats.refused, handler.stats.closed) == (0, 1, {})


# Ends, good and bad


def test_raises(logged):
    """A handler that raises closes with 1011, tells nothing more, and is logged once."""

    async def fail(socket: WebSocket) -> None:
        await socket.send("a")
        await socket.receive()
        raise ZeroDivisionError("a secret")

    handler = Handler(fail)
    browser = Browser(handler.endpoint)
    browser.sends("b")
    assert browser.got() == ["a"]
    assert browser.close == (1011, "")
    logged.take(ZeroDivisionError)
    assert handler.stats.failures == 1
    browser.hang_up()
    assert handler.stats.closed == {1011: 1}


def test_raises_at_once(logged):
    """So does one that raises before its acceptance could be told."""

    async def fail(socket: WebSocket) -> None:
        await socket.send("a")
        raise ZeroDivisionError

    browser = Browser(Handler(fail).endpoint)
    assert browser.status == 101
    assert browser.close == (1011, "")
    logged.take(ZeroDivisionError)


def test_raises_close():
    """A handler may close with any code by raising a WebSocketError."""

    async def fail(socket: WebSocket) -> None:
        await socket.receive()
        raise WebSocketError(1003, "texts only")

    handler = Handler(fail)
    _, peer = handler.connect()
    peer.send(b"a")
    assert (peer.close_code, peer.close_reason) == (1003, "texts only")
    assert handler.stats.failures == 0
    assert handler.stats.closed == {1003: 1}


def test_raises_what_cannot_be_told(logged):
    """A WebSocketError that no Close can tell is an error like any other."""

    async def fail(socket: WebSocket) -> None:
        await socket.receive()
        raise WebSocketError(1006, "")

    _, peer = Handler(fail).connect()
    peer.send("a")
    assert peer.close_code == 1011
    logged.take(WebSocketError)


def test_end_of_another(logged):
    """Who fails by the end of another's connection fails its own, which is not left open."""

    async def tell_the_first(socket: WebSocket) -> None:
        async for message in socket:
            await handler.sockets[0].send(message)

    handler = Handler(tell_the_first)
    client, first = handler.connect()
    second = result_of(client.websocket("/"))
    second.send("a")
    assert first.take() == ["a"]
    first.close()
    second.send("b")
    assert second.close_code == 1011
    logged.take(WebSocketDone)


def test_cancelled(logged):
    """A handler that is cancelled by something else has failed, too."""
    waits: Deferred[None] = Deferred()

    async def wait(socket: WebSocket) -> None:
        await socket.accept()
        await waits

    _, peer = Handler(wait).connect()
    waits.cancel()
    peer.take()
    assert peer.close_code == 1011
    logged.take(CancelledError)


@pytest.mark.parametrize("use", ["receive", "send", "ping"])
def test_end_is_no_failure(use):
    """A handler that is told of the end by an error, and lets it be, has not failed."""

    async def handle(socket: WebSocket) -> None:
        await socket.accept()
        await gone
        await (socket.send("a") if use == "send" else getattr(socket, use)())

    gone: Deferred[None] = Deferred()
    handler = Handler(handle)
    _, peer = handler.connect()
    peer.close()
    gone.callback(None)
    assert handler.ends == ["WebSocketDone"]
    assert handler.stats.failures == 0


def test_closes():
    """A handler may close and go on, as long as it takes."""
    after: list[int | None] = []

    async def handle(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4000, "enough")
        after.append(socket.close_code)
        await socket.close(4001)
        with pytest.raises(WebSocketClosed):
            await socket.send("late")

    handler = Handler(handle)
    _, peer = handler.connect()
    assert (peer.close_code, peer.close_reason) == (4000, "enough")
    assert after == [4000]
    assert handler.ends == ["returned"]


def test_goes_on_too_long():
    """A coroutine that goes on when its connection is over has a minute, then is cancelled."""

    async def handle(socket: WebSocket) -> None:
        await socket.receive()
        await Deferred()

    handler = Handler(handle, leave_timeout=60)
    client, peer = handler.connect()
    peer.send("a")
    peer.close()
    client.advance(59)
    assert handler.ends == []
    (event,) = warnings_of(lambda: client.advance(2))
    assert event["socket"] is handler.sockets[0]
    assert handler.ends == ["CancelledError"]
    assert client.clock.getDelayedCalls() == []


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(("timeout", "cancelled"), [(10, 3), (0, 30)])
def test_will_not_end(opened, timeout, cancelled):
    """One that swallows it is cancelled time and again, and counted for as long as it goes on."""
    swallowed: list[None] = []
    enough = False

    async def handle(socket: WebSocket) -> None:
        if opened:
            await socket.accept()
        while not enough:
            try:
                await Deferred()
            except CancelledError:
                swallowed.append(None)

    handler = Handler(handle, leave_timeout=timeout)
    browser = Browser(handler.endpoint)
    assert handler.stats.lingering == 0
    browser.hang_up()
    swallowed.clear()
    for _ in range(30):
        browser.wire.clock.advance(1)
    assert abs(len(swallowed) - cancelled) <= 1
    assert handler.stats.lingering == 1
    enough = True
    browser.wire.clock.advance(10)
    assert (handler.ends, handler.stats.lingering) == (["returned"], 0)
    assert browser.wire.clock.getDelayedCalls() == []


def test_goes_on_for_a_while():
    """One that ends within that time is left alone."""
    saved: Deferred[None] = Deferred()

    async def handle(socket: WebSocket) -> None:
        async for _ in socket:
            pass
        await saved

    handler = Handler(handle)
    client, peer = handler.connect()
    peer.close()
    client.advance(9)
    saved.callback(None)
    assert handler.ends == ["returned"]
    assert client.clock.getDelayedCalls() == []


def test_drain():
    """When the server stops clients get 1001, and handlers come to their ends."""
    handler = Handler(echo)
    wire = Wire(handler.endpoint)
    browser = Browser(wire)
    browser.sends("a")
    ends_then: list[str] = []
    drained = wire.factory.drain(30).addCallback(lambda _: ends_then.extend(handler.ends))
    browser.turn()
    assert drained.called
    assert browser.close == (1001, "the server stops")
    assert ends_then == handler.ends == ["returned"]
    assert not wire.transport.aborted


def test_drain_of_one_that_has_not_decided():
    """One that accepts when the server stops has its client told 503."""
    decided: Deferred[None] = Deferred()

    async def late(socket: WebSocket) -> None:
        await decided
        with pytest.raises(WebSocketLost):
            await socket.accept()

    handler = Handler(late)
    wire = Wire(handler.endpoint)
    browser = Browser(wire)
    drained = wire.factory.drain(30)
    decided.callback(None)
    browser.turn()
    assert browser.status == 503
    assert drained.called
    assert handler.ends == ["returned"]


# Back-pressure


def test_peer_waits_for_a_slow_handler():
    """A handler that does not receive makes its client wait, and gets all of it in the end."""
    going: list[Deferred[None]] = []

    async def slow(socket: WebSocket) -> None:
        await socket.accept()
        going.append(Deferred())
        await going[0]
        await echo(socket)

    handler = Handler(slow, receive_limit=10_000)
    browser = Browser(handler.endpoint)
    sent = [f"{number:1000}" for number in range(50)]
    browser.sends(*sent[:9])
    assert not browser.wire.transport.paused
    browser.sends(*sent[9:])
    assert browser.wire.transport.paused
    going[0].callback(None)
    assert browser.got() == sent
    assert not browser.wire.transport.paused


def test_handler_waits_for_a_slow_peer():
    """A handler that sends more than its client reads waits, and goes on when it does."""
    sent: list[int] = []

    async def talk(socket: WebSocket) -> None:
        for number in range(1000):
            await socket.send(f"{number:1000}")
            sent.append(number)

    handler = Handler(talk, send_limit=10_000)
    browser = Browser(Wire(handler.endpoint))
    assert len(browser.got()) == 1000  # it reads
    sent.clear()
    wire = Wire(handler.endpoint)
    wire.stop_reading()
    browser = Browser(wire)
    assert len(sent) < 90
    assert len(wire.transport.waiting) < 70_000
    wire.read()
    browser.turn()
    assert [int(text) for text in browser.take()] == [*range(1000)]
    assert browser.close == (1000, "")


def test_streams_to_many():
    """What is published to many reaches those who read, whatever others do."""
    handler = Handler(echo, slow_consumer="drop-oldest", send_limit=10_000)
    client = Client(handler.endpoint)
    fast, slow = (result_of(client.websocket("/")) for _ in range(2))
    slow.stop_reading()
    for number in range(200):
        message = Message(f"{number:1000}")
        for socket in handler.sockets:
            socket.deliver(message)
        assert fast.take() == [f"{number:1000}"]
    slow.read()
    numbers = [int(text) for text in slow.take()]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 199
    assert handler.stats.dropped == 200 - len(numbers) > 0


async def uses(socket: WebSocket) -> None:
    """All that could leave something behind."""
    async for message in socket:
        await socket.send(message)
    try:
        await socket.send("late")
    except WebSocketClosed:
        await socket.close()


@pytest.mark.parametrize("how", ["closes", "lost"])
def test_nothing_is_left(how):
    """When it is over it is gone, without a garbage collection: no cycles, no calls."""
    gc.collect()
    gc.disable()
    try:
        references: list[weakref.ref[Any]] = []

        async def handle(socket: WebSocket) -> None:
            references.extend((weakref.ref(socket), weakref.ref(socket.connection)))
            await uses(socket)

        endpoint = WebSocketEndpoint(handle)
        browser = Browser(endpoint, compressed=True)
        browser.sends("a" * 1000)
        assert [reference() is None for reference in references] == [False, False]
        if how == "closes":
            browser.closes()
        else:
            browser.hang_up()
        clock = browser.wire.clock
        browser.wire.transport.protocol = None  # as Twisted's own does
        del browser
        assert [reference() for reference in references] == [None, None]
        assert clock.getDelayedCalls() == []
    finally:
        gc.enable()


async def pieces() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


def test_refuses_with_a_stream():
    """A refusal may be any Response, also one that is streamed."""

    async def refuse(socket: WebSocket) -> Response:
        return Response(pieces(), 429)

    with pytest.raises(Refused, match="<Answer 429 b'ab'>"):
        Handler(refuse).connect()
