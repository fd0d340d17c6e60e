"""Tasks of asyncio's that begin at once, and are looked after until they end.

An ASGI application runs in a task, because the libraries that it uses ask which one is theirs. A
task takes its first step when the loop comes round to it, which most applications would be done
with by then. Python has tasks that take it at once from 3.12 on. For 3.11, in which nothing
changes any more, one is made here of asyncio's own task that is written in Python.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, Task
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

log = Logger()


class NoLoop(RuntimeError):  # noqa: N818  (it is told to people)
    """There is no loop of asyncio's in which an ASGI application could run."""

    def __init__(self) -> None:
        super().__init__(
            "ASGI needs a reactor with an asyncio loop: mynet's own (uv), or --reactor=asyncio"
        )


def running_loop() -> AbstractEventLoop:
    """The loop that runs.

    Raises:
        NoLoop: None does.
    """
    loop = asyncio._get_running_loop()
    if loop is None:
        raise NoLoop
    return loop


if sys.version_info >= (3, 12):

    def begin_task(coroutine: Coroutine[Any, Any, None], loop: AbstractEventLoop) -> Task[None]:
        """A task that has taken its first step; it may be done."""
        return Task(coroutine, loop=loop, eager_start=True)

else:
    _PythonTask: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]  # it is private

    class _FirstStep:
        """A coroutine that yields once more what another has yielded."""

        __slots__ = ("_yielded",)

        def __init__(self, yielded: object) -> None:
            self._yielded = yielded

        def send(self, value: object) -> object:
            return self._yielded

    def begin_task(coroutine: Coroutine[Any, Any, None], loop: AbstractEventLoop) -> Task[None]:
        """A task that has taken its first step; it may be done."""
        task = _PythonTask.__new__(_PythonTask)
        context = copy_context()
        # What its __init__ does, but for calling the first step later.
        task._loop = loop
        task._callbacks = []
        task._name = "ASGI"
        task._num_cancels_requested = 0
        task._must_cancel = False
        task._fut_waiter = None
        task._coro = coroutine
        task._context = context
        outer = asyncio.current_task(loop)
        if outer is not None:
            asyncio.tasks._leave_task(loop, outer)
        asyncio.tasks._enter_task(loop, task)
        try:
            yielded = context.run(coroutine.send, None)
        except StopIteration as stop:
            super(_PythonTask, task).set_result(stop.value)
            return task  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            super(_PythonTask, task).cancel()
            return task  # type: ignore[no-any-return]
        except BaseException as error:
            super(_PythonTask, task).set_exception(error)
            if not isinstance(error, Exception):
                raise
            return task  # type: ignore[no-any-return]
        finally:
            asyncio.tasks._leave_task(loop, task)
            if outer is not None:
                asyncio.tasks._enter_task(loop, outer)
        _go_on(task, coroutine, yielded, outer)
        return task  # type: ignore[no-any-return]

    def _go_on(task: Any, coroutine: object, yielded: object, outer: Task[Any] | None) -> None:
        """Have it wait for what its coroutine has yielded."""
        if outer is not None:
            asyncio.tasks._leave_task(task._loop, outer)
        task._coro = _FirstStep(yielded)
        task._Task__step()
        task._coro = coroutine
        if outer is not None:
            asyncio.tasks._enter_task(task._loop, outer)
        asyncio.tasks._register_task(task)


class Tasks:
    """Those of one handler."""

    def __init__(self) -> None:
        self.running: set[Task[None]] = set()
        """Those that have not ended."""

    def start(
        self, coroutine: Coroutine[Any, Any, None], loop: AbstractEventLoop | None = None
    ) -> Task[None]:
        """Run a coroutine: when this returns it has taken its first step, and may be done.

        It is held until it ends. What it raises, but for CancelledErrors, is logged: it should
        have dealt with that.

        Args:
            coroutine: One that has not been started.
            loop: The one that runs, if it is known.

        Raises:
            NoLoop: There is none to run it in.
        """
        task = begin_task(coroutine, loop or running_loop())
        if task.done():
            _ended(task)
        else:
            self.running.add(task)
            task.add_done_callback(self._forget)
        return task

    def cancel(self) -> None:
        """Cancel all that run."""
        for task in tuple(self.running):
            task.cancel()

    def ended(self) -> Deferred[None]:
        """A Deferred that fires when none is left of those that run now; it may be cancelled."""
        waiting = set(self.running)
        ended: Deferred[None] = Deferred()

        def one_has(task: Task[None]) -> None:
            waiting.discard(task)
            if not waiting and not ended.called:
                ended.callback(None)

        for task in tuple(waiting):
            task.add_done_callback(one_has)
        if not waiting:
            ended.callback(None)
        return ended

    def _forget(self, task: Task[None]) -> None:
        self.running.discard(task)
        _ended(task)


def _ended(task: Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("{task} has failed: {error!r}", task=task, error=error)
