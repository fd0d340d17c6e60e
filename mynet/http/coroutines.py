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
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
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
    task = _Task(coroutine, context, clock)
    task.wait_for(awaited)
    return task.result


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
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_wake")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._cancelled = False
        self._wake: Callable[[Any], object] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        self._cancelled = False
        self._asyncio_future_blocking = True
        if (yield self) is self:  # Twisted hands back at once what is no Deferred
            waiting: Deferred[Any] = Deferred(self._forget)
            self._wake = waiting.callback
            yield waiting
        if self._cancelled:
            raise CancelledError

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self._wake is not None

    def _forget(self, _: object) -> None:
        self._wake = None

    def fire(self) -> None:
        """Let whoever waits go on."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake(self)

    # What asyncio's tasks, and ours, ask of a future

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Call this when it is fired; in asyncio's next turn, where asyncio asks."""
        if context is not None:
            self._wake = partial(self.get_loop().call_soon, cast(Any, callback), context=context)
        else:
            self._wake = callback

    def get_loop(self) -> AbstractEventLoop:
        """The loop that runs."""
        return get_running_loop()

    def cancel(self, msg: object = None) -> bool:
        """Fire it, and let that be an error."""
        self._cancelled = True
        self.fire()
        return True

    def result(self) -> None:
        """Nothing, or asyncio's CancelledError."""
        if self._cancelled:
            raise AsyncioCancelled


class _Task(Generic[T]):
    """A coroutine that waits."""

    __slots__ = ("_cancel_awaited", "_cancelled", "_clock", "_context", "_coroutine", "result")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], context: Context, clock: IReactorTime
    ) -> None:
        self._coroutine = coroutine
        self._context = context
        self._clock = clock
        self._cancel_awaited: Callable[[], object] | None = None
        self._cancelled = False
        self.result: Deferred[T] = Deferred(self._cancel)

    def wait_for(self, awaited: Any) -> None:
        """Go on when what the coroutine awaits is there."""
        if type(awaited) is Signal:
            self._cancel_awaited = awaited.cancel
            awaited.add_done_callback(self._step_after_future)
        elif isinstance(awaited, Deferred):
            self._cancel_awaited = awaited.cancel
            awaited.addBoth(self._step)
        elif getattr(awaited, "_asyncio_future_blocking", None):
            # What a task of asyncio's would do with a future of asyncio's.
            awaited._asyncio_future_blocking = False
            self._cancel_awaited = awaited.cancel
            awaited.add_done_callback(self._step_after_future)
        elif awaited is None:
            call = self._clock.callLater(0, self._step, None)
            self._cancel_awaited = partial(self._cancel_call, call)
        else:
            wrong = TypeError(f"a handler cannot await this: {awaited!r}")
            self._step(Failure(wrong))
            return
        if self._cancelled and self._cancel_awaited is not None:
            self._cancelled = False  # it was cancelled while it ran: it gets to know now
            self._cancel_awaited()

    def _step(self, result: object) -> None:
        self._cancel_awaited = None
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
        self._step(None)  # the future itself gives the coroutine its result

    def _finish(self, result: Any) -> None:
        if isinstance(result, Deferred):  # as where a coroutine that never waits returns one
            self._cancel_awaited = result.cancel
            result.addBoth(self._finish)
        elif not self.result.called:
            self.result.callback(result)
        elif isinstance(result, Failure) and not result.check(CancelledError, AsyncioCancelled):
            log.failure("A coroutine failed after it was cancelled.", result)

    def _cancel(self, _: Deferred[T]) -> None:
        if self._cancel_awaited is not None:
            self._cancel_awaited()
        else:
            self._cancelled = True

    def _cancel_call(self, call: IDelayedCall) -> None:
        call.cancel()
        self._step(Failure(CancelledError()))
