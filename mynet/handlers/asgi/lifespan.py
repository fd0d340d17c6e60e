"""ASGI's lifespan: an application is told that the server starts and stops, and may refuse to.

The application has one task for all of it. Whether it knows of lifespans is found out as other
servers do: one that raises before it has said that it has started does not. One that knows and
cannot start says so by `lifespan.startup.failed`.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, CancelledError, Future
from collections import deque
from enum import Enum, auto
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.asgi.contract import ContractError, event_type
from mynet.handlers.asgi.running import Tasks
from mynet.handlers.asgi.scope import ASGIApp, Event, lifespan_scope

Mode = Literal["auto", "on", "off"]
"""Whether an application has a lifespan: found out, or it must, or it is not asked."""

log = Logger()


class StartupFailed(Exception):  # noqa: N818  (it is told to people)
    """The application has said that it cannot start, and why."""


class State(Enum):
    """How far it is."""

    STARTING = auto()
    STARTED = auto()
    STOPPING = auto()
    OVER = auto()


class Lifespan:
    """One lifespan of an application, from a start to a stop."""

    def __init__(self, app: ASGIApp, state: dict[str, Any], mode: Mode) -> None:
        """Nothing happens yet.

        Args:
            app: The application.
            state: What it fills, for its requests.
            mode: Whether it must have a lifespan; not `off`.
        """
        self._app = app
        self._shared = state
        self._must = mode == "on"
        self._tasks = Tasks()
        self._state = State.STARTING
        self._events: deque[Event] = deque()
        self._receiver: Future[None] | None = None
        self._answer: Deferred[None] | None = None  # who waits for the next step

    def start(self, loop: AbstractEventLoop) -> Deferred[None]:
        """Have it start.

        Returns:
            A Deferred that fires when it has. It fails with `StartupFailed`, and where a lifespan
            is a must also with whatever it raises. Cancelling it cancels the application's task.
        """
        self._events.append({"type": "lifespan.startup"})
        answer = self._answer = Deferred(self._cancelled)
        self._tasks.start(self._run(loop), loop)
        return answer

    def stop(self) -> Deferred[None]:
        """Have it stop, if it has not ended before.

        Returns:
            A Deferred that fires when it has; that it could not is logged. Cancelling it cancels
            the application's task.
        """
        answer: Deferred[None] = Deferred(self._cancelled)
        if self._state is not State.STARTED:
            answer.callback(None)
            return answer
        self._state = State.STOPPING
        self._answer = answer
        self._put({"type": "lifespan.shutdown"})
        return answer

    def _put(self, event: Event) -> None:
        self._events.append(event)
        receiver, self._receiver = self._receiver, None
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    def _cancelled(self, _: object) -> None:
        self._answer = None
        self._tasks.cancel()

    def _tell(self, outcome: Failure | None = None) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if outcome is None:
            answer.callback(None)
        else:
            answer.errback(outcome)

    # The application

    async def _run(self, loop: AbstractEventLoop) -> None:
        async def receive() -> Event:
            while not self._events:
                self._receiver = loop.create_future()
                await self._receiver
            return self._events.popleft()

        try:
            await self._app(lifespan_scope(self._shared), receive, self._send)
        except CancelledError:
            self._end(None)
            raise
        except Exception:
            self._end(Failure())
        else:
            self._end(None)

    async def _send(self, event: Event) -> None:
        try:
            kind = event_type(event)
            phase = "shutdown" if self._state is State.STOPPING else "startup"
            if self._state not in (State.STARTING, State.STOPPING):
                raise ContractError(f"{kind} was sent, but nothing was expected")
            if kind == f"lifespan.{phase}.complete":
                self._completed()
            elif kind == f"lifespan.{phase}.failed":
                self._failed(str(event.get("message", "")))
            else:
                expected = f"lifespan.{phase}.complete or lifespan.{phase}.failed"
                raise ContractError(f"{kind} was sent, but expected was {expected}")
        except ContractError as error:
            log.error("{lifespan}: {error}", lifespan=self, error=error)
            raise

    def __repr__(self) -> str:
        return f"<lifespan of {self._app!r}>"

    def _completed(self) -> None:
        starting = self._state is State.STARTING
        self._state = State.STARTED if starting else State.OVER
        self._tell()

    def _failed(self, message: str) -> None:
        starting, self._state = self._state is State.STARTING, State.OVER
        if starting:
            self._tell(Failure(StartupFailed(message)))
        else:
            log.error("{lifespan}: it could not stop: {why}", lifespan=self, why=message)
            self._tell()

    def _end(self, failure: Failure | None) -> None:
        """The application has returned, or raised."""
        state, self._state = self._state, State.OVER
        if state is State.STARTING and failure is not None and self._must:
            self._tell(failure)
            return
        if state is State.STARTING and failure is not None:
            text = "{lifespan}: there is none ({error!r})"
            log.info(text, lifespan=self, error=failure.value)
        elif state is not State.OVER and failure is not None:
            log.failure("{lifespan} has failed", failure, lifespan=self)
        self._tell()
