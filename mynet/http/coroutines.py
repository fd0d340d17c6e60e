"""Coroutines of handlers, run by Twisted's Deferreds, at no cost while they need not wait.

Most handlers never wait: `start` finishes them on the spot. For one that waits it gives
a Deferred. Coroutines may await Deferreds everywhere, and asyncio's futures where
the reactor runs an asyncio loop.
"""

from __future__ import annotations

import types
from asyncio import AbstractEventLoop, get_running_loop
from asyncio import CancelledError as AsyncioCancelled
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

log = Logger()


def start(
    coroutine: Coroutine[Any, Any, T], context: Context, clock: IReactorTime
) -> T | Deferred[T]:
    """Run a coroutine until it first waits.

    Args:
        coroutine: One that has not been started.
        context: Where its context variables are, from beginning to end.
        clock: For `asyncio.sleep(0)`, which means: after whatever else is due.

    Returns:
        Its result if it never waits; else a Deferred of it. Cancelling that cancels
        what the coroutine waits for.

    Raises:
        BaseException: What the coroutine raises before it first waits; Twisted's
            `CancelledError`, which is an Exception, in place of asyncio's.
    """
    try:
        awaited = context.run(coroutine.send, None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    except AsyncioCancelled as error:
        raise CancelledError from error
    result_to_come: _Result[T] = _Result()
    task = result_to_come.task = Task(coroutine, context, clock, result_to_come)
    task.wait_for(awaited)
    return result_to_come


def begin(
    coroutine: Coroutine[Any, Any, Any], context: Context, clock: IReactorTime, watcher: Watcher
) -> Task:
    """Run a coroutine for who need not have a Deferred of it, but has a method for its result.

    Args:
        coroutine: One that has not been started.
        context: As for `start`.
        clock: As for `start`.
        watcher: Who is told its result; before this returns, if it never waits.
    """
    task = Task(coroutine, context, clock, watcher)
    task(None)
    return task


@types.coroutine
def go_on(begun: Coroutine[Any, Any, T], awaited: object) -> Generator[Any, Any, T]:
    """What is left of a coroutine that was begun, and waits: to be awaited in its place.

    Args:
        begun: The coroutine.
        awaited: What its first step has yielded.
    """
    try:
        while True:
            thrown = value = None
            try:
                value = yield awaited
            except GeneratorExit:
                begun.close()
                raise
            except BaseException as error:
                thrown = error
            awaited = begun.send(value) if thrown is None else begun.throw(thrown)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def wait_for(awaitable: Awaitable[T]) -> T:
    """A coroutine of any awaitable."""
    return await awaitable


class Signal:
    """What one coroutine waits for until somebody fires it, time and again, at next to no cost.

    It may be awaited by a handler's coroutine, which goes on while it is fired, by asyncio's
    tasks, and by whatever else Twisted runs. Cancelled, it raises their kind of CancelledError.

    An awaitable of another kind may have one, and yield it: see `mynet.websocket.inbox`.
    """

    __slots__ = ("_asyncio_future_blocking", "_waiter", "is_cancelled")

    def __init__(self) -> None:
        self.is_cancelled = False
        """Whether who goes on does so with a CancelledError, unless it is a task of asyncio's."""
        self._asyncio_future_blocking = True
        self._waiter: Callable[[Any], object] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        if self._waiter is not None:
            raise RuntimeError(f"somebody waits for {self!r} already")
        self._asyncio_future_blocking = True
        if (yield self) is self:
            yield self.as_deferred()
        if self.is_cancelled:
            self.is_cancelled = False
            raise CancelledError

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self._waiter is not None

    def as_deferred(self) -> Deferred[Any]:
        """For Twisted, which hands back at once what is no Deferred; then give it this."""
        waiting: Deferred[Any] = Deferred(self._forget)
        self._waiter = waiting.callback
        return waiting

    def fire(self) -> None:
        """Let whoever waits go on."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter(None)

    def _forget(self, _: object) -> None:
        self._waiter = None

    # What asyncio's tasks, and ours, ask of a future

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Call this when it is fired; in asyncio's next turn, where asyncio asks."""
        if context is None:
            self._waiter = callback
        else:
            self._waiter = partial(_call_soon, get_running_loop(), callback, context)

    def get_loop(self) -> AbstractEventLoop:
        """The loop that runs."""
        return get_running_loop()

    def cancel(self, msg: object = None) -> bool:
        """Let whoever waits go on with an error; False if it was fired already."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return False
        self.is_cancelled = True  # for ours, which goes on at once
        waiter(_CANCELLED)
        self.is_cancelled = False
        return True


class _Fired:
    """What asyncio's tasks go on with when a Signal was fired."""

    def result(self) -> None: ...


class _CancelledSignal:
    """What asyncio's tasks go on with when it was cancelled: the next may wait for it by then."""

    def result(self) -> None:
        raise AsyncioCancelled


_FIRED = _Fired()
_CANCELLED = _CancelledSignal()


def _call_soon(
    loop: Any, callback: Callable[[Any], object], context: Context, what: object
) -> None:
    """For asyncio's tasks: have their callback called in the loop's next turn."""
    loop.call_soon(callback, what or _FIRED, context=context)


class _NextTurn:
    """What a coroutine that yields nothing waits for."""

    def __init__(self, task: Task, clock: IReactorTime) -> None:
        self._task = task
        self._call = clock.callLater(0, task, None)

    def cancel(self) -> None:
        """Go on at once, with an error."""
        self._call.cancel()
        self._task(Failure(CancelledError()))


class Watcher(Protocol):
    """Who is told what a coroutine came to."""

    def finished(self, result: Any) -> None:
        """It has returned this, or failed with this Failure."""


class Task:
    """A coroutine that waits. What it waits for calls it, with what that came to."""

    __slots__ = ("_awaited", "_cancelled", "_clock", "_context", "_coroutine", "_watcher")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        clock: IReactorTime,
        watcher: Watcher,
    ) -> None:
        """`wait_for` what its first step has yielded is the next thing to do."""
        self._coroutine = coroutine
        self._context = context
        self._clock = clock
        self._watcher = watcher
        self._awaited: Any = None  # which can be cancelled
        self._cancelled = False

    def wait_for(self, awaited: Any) -> None:
        """Go on when what the coroutine awaits is there."""
        if isinstance(awaited, Signal):
            awaited.add_done_callback(self)
        elif isinstance(awaited, Deferred):
            awaited.addBoth(self)
        elif getattr(awaited, "_asyncio_future_blocking", None):
            # What a task of asyncio's would do with a future of asyncio's.
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._step_after_future)
        elif awaited is None:
            awaited = _NextTurn(self, self._clock)
        else:
            wrong = TypeError(f"a handler cannot await this: {awaited!r}")
            self(Failure(wrong))
            return
        self._awaited = awaited
        if self._cancelled:
            self._cancelled = False  # it was cancelled while it ran: it gets to know now
            awaited.cancel()

    def cancel(self) -> None:
        """Cancel what it waits for; if it runs right now, what it will wait for next."""
        if self._awaited is not None:
            self._awaited.cancel()
        else:
            self._cancelled = True

    def __call__(self, result: object) -> None:
        self._awaited = None
        try:
            if isinstance(result, Failure):
                awaited = self._context.run(result.throwExceptionIntoGenerator, self._coroutine)
            else:
                awaited = self._context.run(self._coroutine.send, result)
        except StopIteration as stop:
            self._finish(stop.value)
        except BaseException:
            self._finish(Failure())
        else:
            self.wait_for(awaited)

    def _step_after_future(self, _: object) -> None:
        self(None)  # the future itself gives the coroutine its result

    def _finish(self, result: Any) -> None:
        if isinstance(result, Deferred):  # as where a coroutine that never waits returns one
            self._awaited = result
            result.addBoth(self._finish)
        else:
            self._watcher.finished(result)


class _Result(Deferred[T]):
    """What a coroutine that waits will come to."""

    task: Task

    def __init__(self) -> None:
        super().__init__(_cancel_task)

    def finished(self, result: Any) -> None:
        """So it has; unless this was cancelled, and would not wait for it."""
        if not self.called:
            self.callback(result)
        elif isinstance(result, Failure) and not result.check(CancelledError, AsyncioCancelled):
            log.failure("A coroutine failed after it was cancelled.", result)


def _cancel_task(result: Any) -> None:
    result.task.cancel()
