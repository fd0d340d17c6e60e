"""One request that an ASGI application answers.

A `Cycle` has the application's `receive` and `send`, and makes of what is sent what a handler
returns. An application takes its first steps while the handler is called; mostly it has sent all
of its response by then, and that is returned on the spot. Otherwise a Deferred is.

A response whose body comes in one event is one of bytes. Else its body is `Streamed`.

When the client goes before it has all of its response, the application is not cancelled: `receive`
tells it, and `send` raises. It has `leave_timeout` to end; then it is cancelled, again and again.
A client that only closes its side may have gone: `receive` tells that, too, but what is sent then
goes out as long as the connection is there. What an application does after its response, such as
Starlette's background tasks, may take any time.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from multidict import CIMultiDict
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.asgi.contract import (
    ClientDisconnected,
    ContractError,
    Head,
    event_type,
    hint_links,
    is_disconnect,
    response_body,
    response_head,
    trailer_fields,
)
from mynet.handlers.asgi.files import open_path, open_shared, pieces_of
from mynet.handlers.asgi.running import PATIENCE, Tasks, begin_task
from mynet.handlers.asgi.scope import ASGIApp, Event, Scope
from mynet.handlers.asgi.stream import Streamed
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.file import FileBody
from mynet.http.message import Body, Request, Response
from mynet.http.outgoing import BODILESS

log = Logger()

START, BODY, REQUEST = "http.response.start", "http.response.body", "http.request"
PATH, FILE = "http.response.pathsend", "http.response.zerocopysend"
TRAILERS, HINT = "http.response.trailers", "http.response.early_hint"


GONE = "the client has gone, or was answered by somebody else"


class State(Enum):
    """How far the response is."""

    NOTHING = auto()
    STARTED = auto()
    """There is a head, which is sent with the first of the body."""
    STREAMING = auto()
    DROPPING = auto()
    """The same, but the client is to get no body."""
    TRAILING = auto()
    """There is all of the body; trailers follow."""
    COMPLETE = auto()


# Asked for with every event
_NOTHING, _STARTED = State.NOTHING, State.STARTED
_STREAMING, _COMPLETE = State.STREAMING, State.COMPLETE

EXPECTED = {
    State.NOTHING: START,
    State.STARTED: BODY,
    State.STREAMING: f"{BODY} until one without more_body",
    State.DROPPING: f"{BODY} until one without more_body",
    State.TRAILING: TRAILERS,
}
"""What an application is to send."""


class Host(Protocol):
    """What a handler tells."""

    app: ASGIApp
    leave_timeout: float
    tasks: Tasks
    cancelled: int


class Cycle:
    """One request, as its application has it."""

    # What most requests never need is set when it is needed: these are what it is until then.
    _task: Task[None] | None = None
    # The request
    _unread = True
    _error: HTTPError | None = None  # of its body
    _gone = False
    _left = False  # it has closed its side at least
    _watches = False  # for that, and for the end of the exchange
    _receivers: Sequence[Future[None]] = ()
    _arriving: Deferred[None] | None = None  # some of the body, for them
    # The response
    _state = State.NOTHING
    _head: Head  # from STARTED on
    _response: Response | None = None  # where it is there before it is asked for,
    _broken: BaseException | None = None  # or why there is none;
    _answer: Deferred[Response] | None = None  # else who waits for it
    _stream: Streamed | None = None
    _trailers = False  # whether they are to come,
    _trailing: CIMultiDict[str] | None = None  # and where they go
    _leaving: IDelayedCall | None = None

    def __init__(self, host: Host, request: Request, loop: AbstractEventLoop) -> None:
        self._host = host
        self._request = request
        self._loop = loop

    def __repr__(self) -> str:
        return f"<ASGI application at {self._request!r}>"

    def run(self, scope: Scope) -> Response | Deferred[Response]:
        """Run the application: what a handler returns.

        Raises:
            Exception: What the application has raised without waiting before.
        """
        host = self._host
        task = begin_task(self._run(host.app, scope), self._loop)
        if not task.done():
            self._task = task
            host.tasks.hold(task)
        response = self._response
        if response is not None:
            self._response = None
            return response
        if self._broken is not None:
            raise self._broken
        self._answer = Deferred(self._abandoned)
        self._watch()
        return self._answer

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
            if self._state is not _COMPLETE:
                self._returned()
        except (Exception, CancelledError) as error:
            self._failed(error)
        if self._task is not None:
            self._ended()

    # What the application receives

    async def receive(self) -> Event:
        """For the application: some of the request, or that there is nobody to answer any more."""
        while not (self._gone or self._state is _COMPLETE or self._request.finished):
            if self._unread:
                event = self._next()
                if event is not None:
                    return event
            elif self._left or self._error is not None:
                break
            await self._arrival()
        return {"type": "http.disconnect"}

    def _next(self) -> Event | None:
        body = self._request.body
        if body is None:
            self._unread = False
            return {"type": REQUEST, "body": b"", "more_body": False}
        try:
            data = body.poll()
        except HTTPError as error:  # the client hears of it, if the application makes no answer
            self._error = error
        except (ClientGone, RuntimeError):
            self._gone = True
        else:
            if data is None:
                return None
            self._unread = bool(data) and not (body.ended and not body.buffered)
            return {"type": REQUEST, "body": data, "more_body": self._unread}
        self._unread = False
        return {"type": "http.disconnect"}

    async def _arrival(self) -> None:
        """Wait for some of the request, or the end."""
        self._watch()
        body = self._request.body
        if self._unread and body is not None and self._arriving is None:
            self._arriving = body.arrival()
            self._arriving.addCallbacks(self._arrived, lambda _: None)
        receiver: Future[None] = self._loop.create_future()
        self._receivers = [*self._receivers, receiver]
        try:
            await receiver
        except CancelledError:
            self._receivers = [each for each in self._receivers if each is not receiver]
            if not self._receivers and self._arriving is not None:
                arriving, self._arriving = self._arriving, None
                arriving.cancel()
            raise

    def _arrived(self, _: None) -> None:
        self._arriving = None
        self._wake()

    def _wake(self) -> None:
        receivers, self._receivers = self._receivers, ()
        for receiver in receivers:
            if not receiver.done():
                receiver.set_result(None)

    # What the application sends

    async def send(self, event: Event) -> None:
        """For the application; it waits while the client takes less than it is sent.

        Raises:
            ClientDisconnected: There is nobody to send to any more.
            ContractError: ASGI does not allow this event, or not now; which is logged.
        """
        try:
            state = self._state
            try:
                kind = event["type"]
            except (TypeError, KeyError, IndexError):
                kind = event_type(event)  # which tells what is wrong
            if state is _NOTHING and kind == START:
                if self._gone:
                    raise ClientDisconnected(GONE)
                self._head = response_head(event)
                self._trailers = "trailers" in event and bool(event["trailers"])
                self._state = _STARTED
            elif state is _STREAMING and kind == BODY:
                await self._push(event)
            elif state is not _STARTED or kind != BODY or not self._respond_at_once(event):
                await self._perform(kind, event)
        except ContractError as error:
            if self._is_streaming:
                self._break_off(error)
            else:
                log.error("{cycle}: {error}", cycle=self, error=error)
            raise

    def _respond_at_once(self, event: Event) -> bool:
        """Answer with a body that is whole, unless it is not, or more is to follow."""
        if self._trailers or self._gone or (event.get("more_body")):
            return False
        body = event.get("body", b"")
        if type(body) is not bytes:
            body, _ = response_body(event)
        status, fields, content_type, length, checked = self._head
        as_declared = length is None or length == len(body)
        if not (as_declared or self._is_bodiless):
            raise ContractError(f"Content-Length is {length}, but {BODY} has {len(body)} bytes")
        self._state = _COMPLETE
        if checked is None and as_declared:
            response = Response(body, status, None, content_type)
        else:
            response = Response.raw(body, status, fields, checked)
        if self._answer is None:  # as for most
            self._response = response
        else:
            self._respond(response)
        return True

    async def _perform(self, kind: str, event: Event) -> None:
        """Do what is not done for every response."""
        state = self._state
        if state is _COMPLETE:
            log.warn("{cycle}: {kind} came after the end, and is ignored", cycle=self, kind=kind)
        elif self._gone:
            raise ClientDisconnected(GONE)
        elif kind == HINT:
            self._hint(event)
        elif kind == BODY and state is _STARTED:
            self._begin_stream()
            await self._push(event)
        elif kind in (BODY, FILE) and state is State.DROPPING:
            await self._drop(event)
        elif kind == PATH and state is _STARTED:
            await self._send_file(open_path(event), False)
        elif kind == FILE and state in (_STARTED, _STREAMING):
            await self._send_file(open_shared(event), bool(event.get("more_body", False)))
        elif kind == TRAILERS and state is State.TRAILING:
            self._trail(event)
        else:
            kind = event_type(event)
            raise ContractError(f"{kind} was sent, but expected was {EXPECTED[state]}")

    def _hint(self, event: Event) -> None:
        fields = hint_links(event)
        if not self._request.finished:
            self._request.exchange.send_informational(103, fields)

    # A response in pieces

    def _begin_stream(self) -> None:
        """Answer with a body that is still to come; nobody gets it where there may be none."""
        self._stream = Streamed()
        response = self._response_of(self._stream)
        if self._is_bodiless:
            self._state = State.DROPPING
            self._stream.end()
        else:
            self._state = _STREAMING
            if self._trailers and _takes_trailers(self._request):
                self._trailing = response.trailers
        self._watch()
        self._respond(response)

    def _response_of(self, body: Body) -> Response:
        status, fields, content_type, length, checked = self._head
        if checked is None and length is None:
            return Response(body, status, None, content_type)
        return Response.raw(body, status, fields, checked)

    @property
    def _is_bodiless(self) -> bool:
        return self._head[0] in BODILESS or self._request.method == "HEAD"

    async def _push(self, event: Event) -> None:
        body = event.get("body", b"")
        if type(body) is not bytes:
            body, _ = response_body(event)
        if self._state is State.DROPPING:
            await self._drop(event)
            return
        if body:
            await self._write(body)
        if not event.get("more_body", False):
            self._end_body()

    async def _write(self, data: bytes) -> None:
        assert self._stream is not None
        try:
            await self._stream.write(data)
        except ValueError as error:
            raise ContractError(f"{BODY}: {error}") from None

    async def _drop(self, event: Event) -> None:
        await asyncio.sleep(0)  # it does not wait for the client: it must not keep others waiting
        if not event.get("more_body", False):
            self._end_body()

    async def _send_file(self, file: FileBody, more: bool) -> None:
        """Send a file: by itself if it is all of the body, else piece by piece."""
        if self._state is _STARTED and not more and not self._trailers:
            self._state = _COMPLETE
            self._respond(self._response_of(file))
            return
        try:
            if self._state is _STARTED:
                self._begin_stream()
            if self._state is _STREAMING:
                async for piece in pieces_of(file, self._loop):
                    await self._write(piece)
        finally:
            file.close()
        if not more:
            self._end_body()

    def _end_body(self) -> None:
        if self._trailers:
            self._state = State.TRAILING
        else:
            self._end()

    def _trail(self, event: Event) -> None:
        fields, more = trailer_fields(event)
        if self._trailing is not None:
            self._trailing.extend(fields)
        if not more:
            self._end()

    def _end(self) -> None:
        self._state = _COMPLETE
        if self._stream is not None:
            self._stream.end()
        self._wake()

    # Its course

    def _respond(self, response: Response) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            self._response = response
        else:
            answer.callback(response)

    def _returned(self) -> None:
        """It has said less than all."""
        if self._may_give_up:
            self._give_up()
        elif not (self._gone or self._request.finished):
            error = ContractError(f"it has returned, but expected was {EXPECTED[self._state]}")
            if not (self._is_streaming or self._error is not None):
                log.error("{cycle}: {error}", cycle=self, error=error)
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """It has raised, or broken a rule; the client gets 500, or a connection that is aborted."""
        expected = isinstance(error, ContractError | CancelledError) or is_disconnect(error)
        if self._gone or self._state is _COMPLETE or self._state is State.DROPPING:
            if not expected:
                log.failure("{cycle} failed when nobody waited for it", Failure(error), cycle=self)
        elif self._may_give_up and expected and not isinstance(error, ContractError):
            self._give_up()
        elif self._is_streaming:
            self._break_off(error)
        elif self._error is not None:
            self._refuse(self._error)
        elif isinstance(error, ContractError):
            self._refuse(HTTPError(500))
        elif isinstance(error, CancelledError):
            self._refuse(RuntimeError("the application was cancelled"))
        else:
            self._refuse(error)

    @property
    def _is_streaming(self) -> bool:
        return self._state is _STREAMING or self._state is State.TRAILING

    def _refuse(self, error: BaseException) -> None:
        self._state = _COMPLETE
        answer, self._answer = self._answer, None
        if answer is None:
            self._broken = error
        else:
            answer.errback(Failure(error))

    @property
    def _may_give_up(self) -> bool:
        """Whether there is a reason to end before the response does: a client that left."""
        waits = not (self._gone or self._state is State.DROPPING)
        return self._left and waits and (self._error is None or self._is_streaming)

    def _give_up(self) -> None:
        """It has ended because its client left: that is so then."""
        self._gone = True
        self._request.exchange.abort()

    def _break_off(self, error: BaseException) -> None:
        """What has been sent must not look complete. Whoever sends it logs why."""
        self._gone = True
        if self._stream is not None:
            self._stream.fail(Failure(error))
        self._wake()

    # Its end

    def _watch(self) -> None:
        """Be told when the client leaves, and when the exchange is over."""
        if not self._watches:
            self._watches = True
            self._request.on_finish(self._over)
            self._request.disconnected().addCallback(self._leaves)

    def _leaves(self, _: None) -> None:
        self._left = True
        self._wake()

    def _over(self) -> None:
        if self._state is not _COMPLETE:
            self._lose()
        self._wake()

    def _abandoned(self, _: object) -> None:
        """Who waited for the response does not any more: the client went, or was answered."""
        self._answer = None
        self._lose()
        self._wake()

    def _lose(self) -> None:
        self._gone = self._gone or self._state is not State.DROPPING
        if self._stream is not None:
            self._stream.close()
        if self._task is not None and self._leaving is None:
            self._leave_later(self._host.leave_timeout)

    def _leave_later(self, timeout: float) -> None:
        clock = self._request.exchange.sweep.clock
        self._leaving = clock.callLater(timeout, self._leave)

    def _leave(self) -> None:
        """It goes on, and on: cancel it, and again if it will not have that."""
        self._leave_later(max(self._host.leave_timeout, PATIENCE))
        self._host.cancelled += 1
        log.warn("{cycle} went on without its client, and is cancelled", cycle=self)
        if self._task is not None:
            self._task.cancel()

    def _ended(self) -> None:
        self._task = None
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.cancel()


def _takes_trailers(request: Request) -> bool:
    return any(
        name == b"te" and b"trailers" in value.lower() for name, value in request.raw_headers
    )
