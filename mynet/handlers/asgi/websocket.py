"""ASGI's WebSockets: an application decides about a handshake, then talks on the connection.

A `Session` is both sides of that: for the connection below a `WebSocketProtocol`, for the
application its `receive` and `send`. Sending costs no Deferred while the client takes what it is
sent; receiving costs a future only where nothing has come yet.
"""

from __future__ import annotations

from asyncio import CancelledError, Future, Task, get_running_loop
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.asgi.contract import (
    ClientDisconnected,
    ContractError,
    event_type,
    header_pairs,
    is_disconnect,
    response_body,
    response_start,
)
from mynet.handlers.asgi.inbox import Inbox
from mynet.handlers.asgi.running import PATIENCE, Tasks
from mynet.handlers.asgi.scope import ASGIApp, Event, Scope, websocket_scope
from mynet.handlers.asgi.scope import Host as ScopeHost
from mynet.handlers.asgi.stream import Streamed
from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.message import Request, Response
from mynet.http.reading import decode_fields
from mynet.http.writing import field_lines
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.codes import ABNORMAL, INTERNAL_ERROR, NORMAL
from mynet.websocket.connection import State as ConnectionState
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from mynet.websocket.opening import Opening
from mynet.websocket.shared import Shared

log = Logger()


class Host(ScopeHost, Protocol):
    """Who has the application."""

    app: ASGIApp
    shared: Shared
    tasks: Tasks


class State(Enum):
    """The course of a session."""

    UNDECIDED = auto()
    """The handshake waits for the application."""
    OPEN = auto()
    """It was accepted."""
    RESPONDING = auto()
    """It is refused by a response, of which not all is there."""
    REFUSED = auto()
    """The application has said all that it may."""
    OVER = auto()
    """The client has gone, or the connection is closed."""


_OPEN = State.OPEN  # asked for with every message

_EXPECTED = {
    State.UNDECIDED: "websocket.accept, websocket.close or websocket.http.response.start",
    State.OPEN: "websocket.send or websocket.close",
    State.RESPONDING: "websocket.http.response.body",
    State.REFUSED: "nothing, because the WebSocket has been refused",
}
"""What an application may send."""


class Session(WebSocketProtocol):
    """One handshake, and the connection that may come of it."""

    controls_reading = True

    __slots__ = (
        "_answer",
        "_connection",
        "_denial",
        "_has_ended",
        "_inbox",
        "_lingers",
        "_opened",
        "_opening",
        "_shared",
        "_state",
        "_stream",
        "_task",
        "_timer",
        "receive",
        "request",
    )

    def __init__(self, opening: Opening) -> None:
        self.request = opening.request
        """The request that asked for it."""
        self._shared = opening.shared
        self._opening = opening
        self._answer: Deferred[Response] | None = Deferred(self._give_up)  # until it is given
        self._state = State.UNDECIDED
        self._connection: WebSocketConnection | None = None
        self._opened: Future[None] | None = None  # for who waits until it is
        self._denial: tuple[int, RawHeaders] | None = None
        self._stream: Streamed | None = None  # of that
        self._inbox = Inbox()
        self._inbox.put({"type": "websocket.connect"}, 0)
        self.receive = self._inbox.receive
        """For the application."""
        self._task: Task[None] | None = None
        self._has_ended = False  # the application
        self._lingers = False  # the application, though this is over
        self._timer: IDelayedCall | None = None  # for the application: to decide, or to end

    def __repr__(self) -> str:
        return f"<WebSocket of {self.request!r}>"

    # What the application sends

    async def send(self, event: Event) -> None:
        """For the application; any number of its tasks may send.

        While the client takes less than it is sent this waits, if that is the policy.

        Raises:
            ClientDisconnected: The connection is closed, or about to be.
            ContractError: ASGI does not allow this event, or not now. It has been logged, and the
                client answered with 500, or the connection closed with 1011.
        """
        try:
            if self._state is _OPEN and event_type(event) == "websocket.send":
                waiting = self._send(event)
                if waiting is not None:
                    await waiting.asFuture(get_running_loop())
            else:
                await self._perform(event)
        except WebSocketClosed as closed:
            raise ClientDisconnected(f"the WebSocket is closed: {closed}") from None
        except ContractError:
            self._failed(Failure())
            raise

    def _send(self, event: Event) -> Deferred[None] | None:
        assert self._connection is not None
        text, data = event.get("text"), event.get("bytes")
        if data is None and isinstance(text, str):
            try:
                return self._connection.send(text)
            except UnicodeEncodeError:
                raise ContractError("websocket.send: UTF-8 has no surrogates") from None
        if text is None and isinstance(data, bytes | bytearray | memoryview):
            return self._connection.send(bytes(data))
        raise ContractError("websocket.send must have a text, which is a str, or else bytes")

    async def _perform(self, event: Event) -> None:
        kind, state = event_type(event), self._state
        if state is State.OVER:
            raise ClientDisconnected("the WebSocket is closed")
        if state is State.UNDECIDED and kind == "websocket.accept":
            await self._accept(event)
        elif state is State.UNDECIDED and kind == "websocket.close":
            self._refuse(Failure(HTTPError(403)), State.REFUSED)
        elif state is State.UNDECIDED and kind == "websocket.http.response.start":
            self._denial = response_start(event)
            self._state = State.RESPONDING
        elif state is State.RESPONDING and kind == "websocket.http.response.body":
            await self._deny(event)
        elif state is State.OPEN and kind == "websocket.close":
            self._close(event)
        else:
            raise ContractError(f"{kind!r} was sent, but expected was {_EXPECTED[state]}")

    async def _accept(self, event: Event) -> None:
        pairs = header_pairs("websocket.accept", event.get("headers") or ())
        try:
            field_lines(pairs)
            headers = decode_fields(pairs)
            upgrade = self._opening.accept(self, event.get("subprotocol"), headers)
        except (TypeError, ValueError) as error:
            raise ContractError(f"websocket.accept cannot be sent: {error}") from None
        connection = self._connection = cast(WebSocketConnection, upgrade.protocol)
        self._state = State.OPEN
        self._give_answer(upgrade)
        if self._state is State.OPEN and connection.state is ConnectionState.CONNECTING:
            self._opened = get_running_loop().create_future()
            await self._opened
        if connection.state is ConnectionState.LOST:
            raise ClientDisconnected("the client has gone")

    def _close(self, event: Event) -> None:
        assert self._connection is not None
        code, reason = event.get("code"), event.get("reason")
        try:
            self._connection.loseConnection(NORMAL if code is None else code, reason or "")
        except (AttributeError, TypeError, ValueError) as error:
            raise ContractError(f"websocket.close cannot be sent: {error}") from None
        self._state = State.OVER

    # How it refuses

    def _refuse(self, answer: Response | Failure, state: State = State.OVER) -> None:
        """With this answer all is said, by the application or instead of it."""
        self._state = state
        self._give_answer(answer)
        self._end(ABNORMAL)

    async def _deny(self, event: Event) -> None:
        """Send some of the response; the head goes with the first of its body."""
        assert self._denial is not None
        data, more = response_body(event)
        stream = self._stream
        if stream is None and not more:
            self._refuse(Response.raw(data, *self._denial), State.REFUSED)
            return
        if stream is None:
            stream = self._stream = Streamed()
            self._give_answer(Response.raw(stream, *self._denial))
            self.request.on_finish(self._response_over)
        try:
            await stream.write(data)
        except ValueError as error:
            raise ContractError(f"websocket.http.response.body: {error}") from None
        if not more:
            self._state = State.REFUSED
            stream.end()

    def _response_over(self) -> None:
        if self._state is State.RESPONDING:
            self._state = State.OVER
        self._end(ABNORMAL)

    def _give_answer(self, answer: Response | Failure) -> None:
        """Answer the client: by a Deferred, which also takes errors."""
        self._stop_waiting()
        if self._connection is None:
            self._shared.stats.refused += 1
        waiting, self._answer = self._answer, None
        if waiting is not None:
            waiting.callback(cast(Response, answer))

    def _take_too_long(self) -> None:
        self._timer = None
        self._refuse(Failure(HTTPError(503, "This took too long.")))

    def _give_up(self, _: object) -> None:
        """Nobody waits for the answer any more: the client went, or was given another."""
        self._answer = None
        self._stop_waiting()
        self._shared.stats.refused += 1
        self._state = State.OVER
        self._end(ABNORMAL)

    # The application's course

    def run(self, app: ASGIApp, scope: Scope, tasks: Tasks) -> Deferred[Response]:
        """Run an application, which is to answer the client."""
        answer = self._answer
        assert answer is not None
        self._task = tasks.start_soon(self._run(app, scope))
        self._task.add_done_callback(self._ended)
        self._call_later(self._shared.policy.handshake_timeout, self._take_too_long)
        return answer

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
            self._returned()
        except ContractError:  # which is known already, here or where it was sent to
            self._break_off(Failure())
        except CancelledError:
            self._break_off(Failure())
            raise
        except Exception as error:
            if is_disconnect(error):
                self._break_off(Failure())
            else:
                self._failed(Failure())

    def _returned(self) -> None:
        if self._state is State.UNDECIDED or self._state is State.RESPONDING:
            wrong = ContractError(f"it returned, but expected was {_EXPECTED[self._state]}")
            self._failed(Failure(wrong))
        elif self._connection is not None:
            self._connection.loseConnection(NORMAL)

    def _failed(self, failure: Failure) -> None:
        """The application has made a mistake, or raised an error: it is logged once."""
        if self._state is State.RESPONDING and self._stream is not None:
            pass  # whoever sends the response does that
        elif failure.check(ContractError):
            log.error("{session}: {error}", session=self, error=failure.value)
        else:
            log.failure("the application failed at {session}", failure, session=self)
        self._break_off(failure)

    def _break_off(self, failure: Failure) -> None:
        """The client gets no more; unless it had all."""
        if self._answer is not None:
            self._refuse(Failure(HTTPError(500)))
        elif self._state is State.RESPONDING and self._stream is not None:
            self._state = State.OVER
            self._stream.fail(failure)
        elif self._state is State.OPEN and self._connection is not None:
            self._state = State.OVER
            self._shared.stats.failures += 1
            self._connection.fail(INTERNAL_ERROR, "")

    def _ended(self, _: Task[None]) -> None:
        self._has_ended = True
        self._task = None
        self._stop_waiting()
        if self._answer is not None:  # it was cancelled before it began
            self._refuse(Failure(HTTPError(500)))
        if self._lingers:
            self._lingers = False
            self._shared.stats.lingering -= 1

    # After the end

    def _end(self, code: int, reason: str = "") -> None:
        """There is nobody to talk to: the application learns of it where it receives or sends."""
        self._inbox.end({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._go_on()
        if not self._has_ended and not self._lingers:
            self._lingers = True
            self._shared.stats.lingering += 1
            self._call_later(self._shared.policy.leave_timeout, self._leave)

    def _leave(self) -> None:
        """It goes on, and on: cancel it, and again if it will not have that."""
        self._call_later(max(self._shared.policy.leave_timeout, PATIENCE), self._leave)
        log.warn("{session} was over, and its application is cancelled", session=self)
        if self._task is not None:
            self._task.cancel()

    def _call_later(self, delay: float, call: Callable[[], None]) -> None:
        self._timer = self.request.exchange.sweep.clock.callLater(delay, call)

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._inbox.connection = self._connection

    def negotiationFinished(self) -> None:
        self._go_on()

    def textMessageReceived(self, message: str) -> None:
        self._inbox.put({"type": "websocket.receive", "text": message}, len(message))

    def bytesMessageReceived(self, data: bytes) -> None:
        self._inbox.put({"type": "websocket.receive", "bytes": data}, len(data))

    def connectionLost(self, reason: Failure) -> None:
        closed = cast(WebSocketClosed, reason.value)
        self._state = State.OVER
        self._end(closed.code, closed.reason)

    def _go_on(self) -> None:
        """Who waits until it is open need not any more."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)


def open_websocket(host: Host, request: Request) -> Deferred[Response]:
    """Have an application decide about a request for a WebSocket.

    Raises:
        HTTPError: It is no handshake, or of a page from elsewhere.
    """
    opening = Opening(request, host.shared)
    fields = websocket_scope(request, opening.subprotocols, host)
    return Session(opening).run(host.app, fields, host.tasks)
