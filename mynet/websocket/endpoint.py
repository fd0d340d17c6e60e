"""A coroutine function as a Handler: it is called with a `WebSocket` for each that is opened.

Its first steps are taken before the client is answered, and so it may refuse; with its first
message the WebSocket is accepted, if it was not before. What comes of it then is only how it ends:
by returning it closes with 1000, by an error with 1011.
"""

from __future__ import annotations

from asyncio import CancelledError as AsyncioCancelledError
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from inspect import iscoroutinefunction
from typing import Any, Unpack, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.http.coroutines import Signal, Task, begin
from mynet.http.errors import HTTPError
from mynet.http.message import Request, Response, Upgrade
from mynet.http.sending import discard
from mynet.websocket.closed import WebSocketClosed, WebSocketLost
from mynet.websocket.codes import ABNORMAL, INTERNAL_ERROR, NORMAL
from mynet.websocket.connection import State, WebSocketConnection
from mynet.websocket.opening import Choice, Opening
from mynet.websocket.policy import Policy, PolicyFields
from mynet.websocket.shared import Shared
from mynet.websocket.socket import Socket

Function = Callable[..., Coroutine[Any, Any, object]]

_ENDS = (WebSocketClosed, CancelledError, AsyncioCancelledError)
"""How a coroutine ends because its connection does."""

_PATIENCE = 1.0
"""How long a coroutine that was cancelled is left alone at least, before it is cancelled again."""

log = Logger()


class WebSocket(Socket):
    """What a handler of WebSockets is given: a client that wants one, then the connection.

    It is accepted by `accept`, or else by the first that is received or sent. To refuse it, return
    a Response or raise an HTTPError before.
    """

    __slots__ = (
        "_answer",
        "_is_over",
        "_opened",
        "_opening",
        "_shared",
        "_task",
        "_waiting",
        "request",
        "subprotocol",
        "subprotocols",
    )

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.request = opening.request
        """The request that asked for it."""
        self.subprotocols = opening.subprotocols
        """Those that the client offers, in its order."""
        self.subprotocol = opening.subprotocol
        """The one that is spoken, or will be unless `accept` is given another."""
        self._shared = opening.shared
        self._opening: Opening | None = opening  # until it is accepted
        self._answer: Deferred[Any] | None = Deferred(self._give_up)  # until it is given
        self._opened: Signal | None = None  # fired when it is, or never will be
        self._task: Task | None = None
        self._is_over = False
        self._waiting: IDelayedCall | None = None  # for the coroutine: to decide, or to end

    def __repr__(self) -> str:
        return f"<WebSocket of {self.request!r}>"

    @property
    def connection(self) -> WebSocketConnection:
        """The connection below; to ask for it accepts it."""
        return self._connection or self._accept()

    async def accept(
        self,
        subprotocol: str | Choice | None = Choice.OURS,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Accept it, and wait until it is open.

        Args:
            subprotocol: One that the client offered, or None; that of the policy unless given.
            headers: More fields of the response.

        Raises:
            ValueError: The client did not offer this subprotocol, or a field is one that the
                handshake sets.
            RuntimeError: It has been accepted already.
            WebSocketClosed: The client has gone.
        """
        if self._connection is not None:
            raise RuntimeError("this WebSocket has been accepted already")
        self._accept(subprotocol, headers)
        if self.connection.state is State.CONNECTING and self._inbox.closed is None:
            self._opened = Signal()
            await self._opened
        if self._inbox.closed is not None:
            raise self.connection.closed()

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """See `Socket.close`. Before it is accepted, this refuses it with 403."""
        if self._connection is None:
            raise HTTPError(403, reason)
        await super().close(code, reason)

    def _accept(
        self,
        subprotocol: str | Choice | None = Choice.OURS,
        headers: Iterable[tuple[str, str]] = (),
    ) -> WebSocketConnection:
        if self._answer is None or self._opening is None or self.request.finished:
            raise WebSocketLost(ABNORMAL, "it was not opened")
        upgrade = self._opening.accept(self, subprotocol, headers)
        self.subprotocol = self._opening.subprotocol
        self._opening = None
        connection = self._connection = cast(WebSocketConnection, upgrade.protocol)
        self._give_answer(upgrade)
        return connection

    # Its course

    def run(self, coroutine: Coroutine[Any, Any, object]) -> Deferred[Response]:
        """Run what a handler made of it, which is what answers the client."""
        answer = self._answer
        assert answer is not None
        clock = self.request.exchange.sweep.clock
        task = begin(coroutine, copy_context(), clock, self)
        if not self._is_over:
            self._task = task
            if self._answer is not None:
                timeout = self._shared.policy.handshake_timeout
                self._waiting = clock.callLater(timeout, self._take_too_long)
        return answer

    def _give_answer(self, answer: Response | Failure) -> None:
        """Answer the client: by a Deferred, which also takes errors."""
        self._stop_waiting()
        if not isinstance(answer, Upgrade):
            self._shared.stats.refused += 1
        waiting, self._answer = self._answer, None
        if waiting is not None:
            waiting.callback(answer)

    def _take_too_long(self) -> None:
        self._waiting = None
        try:
            self._give_answer(Failure(HTTPError(503, "This took too long.")))
        finally:
            self._cancel_task()
            self._linger()

    def _give_up(self, _: object) -> None:
        """Nobody waits for the answer any more: the client went, or was given another."""
        self._answer = None
        self._opening = None
        self._stop_waiting()
        self._shared.stats.refused += 1
        self._cancel_task()
        self._linger()

    def finished(self, result: object) -> None:
        """What was made of it is over, with this result or Failure."""
        self._is_over = True
        self._task = None
        if self._lingers:
            self._shared.stats.lingering -= 1
        self._stop_waiting()
        if isinstance(result, Response) and self._answer is None:
            self._discard(result)
        if isinstance(result, Failure):
            self._failed(result)
        elif self._connection is not None:
            self._connection.loseConnection(NORMAL)
        elif self._answer is None:
            pass
        elif isinstance(result, Response):
            self._give_answer(result)
        elif result is None:
            self._give_answer(Failure(HTTPError(403)))
        else:
            kind = type(result).__name__
            wrong = TypeError(f"a WebSocket cannot be refused with {kind}: return a Response")
            self._give_answer(Failure(wrong))

    def _failed(self, failure: Failure) -> None:
        error, connection = failure.value, self._connection
        if connection is None and self._answer is not None:
            self._give_answer(failure)
        elif isinstance(error, _ENDS) and not self._is_open:
            if connection is not None:
                connection.loseConnection(INTERNAL_ERROR)  # should it still be opened
        elif connection is not None:
            connection.failed(failure)
        else:
            log.failure("{socket} failed", failure, socket=self)
            self._shared.stats.failures += 1

    def _discard(self, response: Response) -> None:
        """It came too late; nobody gets it."""
        if self._connection is not None:
            text = "{socket} was accepted, and so cannot be refused with {response}"
            log.warn(text, socket=self, response=response)
        discard(response, copy_context(), self.request.exchange.sweep.clock)

    @property
    def _is_open(self) -> bool:
        return self._connection is not None and self._connection.state is State.OPEN

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # After the end

    @property
    def _lingers(self) -> bool:
        """Whether the coroutine goes on though it has no connection: not any more, or never."""
        return self._waiting is not None and self._answer is None

    def _linger(self) -> None:
        if self._task is not None:
            self._shared.stats.lingering += 1
            self._leave_later(self._shared.policy.leave_timeout)

    def _leave_later(self, timeout: float) -> None:
        clock = self.request.exchange.sweep.clock
        self._waiting = clock.callLater(timeout, self._leave)

    def _leave(self) -> None:
        """It goes on, and on: cancel it, and again if it will not have that."""
        self._leave_later(max(self._shared.policy.leave_timeout, _PATIENCE))
        log.warn("{socket} was over, and what handles it is cancelled", socket=self)
        self._cancel_task()

    # WebSocketProtocol

    def negotiationFinished(self) -> None:
        super().negotiationFinished()
        if self._opened is not None:
            self._opened.fire()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        if self._opened is not None:
            self._opened.fire()
        self._linger()


class WebSocketEndpoint:
    """A Handler that runs a coroutine function for each WebSocket."""

    def __init__(
        self,
        function: Function,
        *,
        with_parameters: bool = False,
        policy: Policy | None = None,
        **fields: Unpack[PolicyFields],
    ) -> None:
        """One endpoint.

        Args:
            function: Called with a `WebSocket`.
            with_parameters: Whether also with `request.path_params`, by name.
            policy: `Policy()` unless given.
            fields: What is different in that policy: `max_message_size=4096`.
        """
        if not iscoroutinefunction(function):
            raise TypeError(f"{function!r} is no coroutine function, as a WebSocket's must be")
        self._function = function
        self._with_parameters = with_parameters
        self.shared = Shared(policy, **fields)
        """The endpoint's policy and counts."""

    def __call__(self, request: Request) -> Deferred[Response]:
        socket = WebSocket(Opening(request, self.shared))
        parameters = request.path_params if self._with_parameters else {}
        return socket.run(self._function(socket, **parameters))
