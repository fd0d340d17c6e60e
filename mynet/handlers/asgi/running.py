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
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import Deferred

PATIENCE = 1.0
"""How many seconds a task that was cancelled is left alone at least, before it is again."""


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
    from asyncio.tasks import (  # type: ignore[attr-defined]  # they are not documented
        _current_tasks,
        _enter_task,
        _leave_task,
        _PyTask,
        _register_task,
    )

    class _FirstStep:
        """Does once more what a coroutine did when its task took the first step."""

        __slots__ = ("_coroutine", "_error", "_must_cancel", "_task", "_yielded")

        def __init__(self, task: Any, yielded: object, error: BaseException | None = None) -> None:
            self._task = task
            self._coroutine, task._coro = task._coro, self
            self._yielded = yielded
            self._error = error
            self._must_cancel, task._must_cancel = task._must_cancel, False

        def send(self, value: object) -> object:
            self._task._coro = self._coroutine
            self._task._must_cancel = self._must_cancel  # since it was cancelled in that step
            if self._error is not None:
                raise self._error
            return self._yielded

    class _EagerTask(_PyTask):  # type: ignore[misc]  # it has no annotations
        """A task of asyncio's, but for how it begins; it may be done when it is there.

        `asyncio.all_tasks` does not have it before it waits: that would cost as much as half of
        what this does.
        """

        __class__ = Task  # type: ignore[assignment]  # for who asks by isinstance

        # What the __init__ of tasks sets, where it is always the same
        _name = "ASGI"
        _num_cancels_requested = 0
        _must_cancel = False
        _fut_waiter = None

        def __init__(self, coroutine: Coroutine[Any, Any, None], loop: AbstractEventLoop) -> None:
            """Take the first step."""
            self._loop = loop
            self._callbacks: list[Any] = []
            self._coro: Any = coroutine
            context = self._context = copy_context()
            outer = _current_tasks.get(loop)
            if outer is not None:
                _leave_task(loop, outer)
            _enter_task(loop, self)
            first: _FirstStep | None = None
            try:
                first = _FirstStep(self, context.run(coroutine.send, None))
            except StopIteration as stop:
                if self._callbacks or self._must_cancel:
                    first = _FirstStep(self, None, stop)
            except BaseException as error:
                first = _FirstStep(self, None, error)
            _leave_task(loop, self)
            try:
                if first is None:
                    self._state = "FINISHED"
                else:
                    del first  # it may have the error, which has this frame
                    _register_task(self)
                    self._Task__step()  # which does what follows from it
            finally:
                if outer is not None:
                    _enter_task(loop, outer)

    begin_task: Callable[[Coroutine[Any, Any, None], AbstractEventLoop], Task[None]] = _EagerTask
    """Make a task that has taken its first step."""


class Tasks:
    """Those of one handler."""

    def __init__(self) -> None:
        self.running: set[Task[None]] = set()
        """Those that have not ended."""

    def start(
        self, coroutine: Coroutine[Any, Any, None], loop: AbstractEventLoop | None = None
    ) -> Task[None]:
        """Run a coroutine: when this returns it has taken its first step, and may be done.

        It is held until it ends. What it raises is logged by asyncio: it should have dealt with
        that.

        Args:
            coroutine: One that has not been started.
            loop: The one that runs, if it is known.

        Raises:
            NoLoop: There is none to run it in.
        """
        task = begin_task(coroutine, loop or running_loop())
        if not task.done():
            self.hold(task)
        return task

    def start_soon(self, coroutine: Coroutine[Any, Any, None]) -> Task[None]:
        """The same for what takes many steps: the first in the loop's next turn.

        With Python 3.11 the others cost less then, since the task is asyncio's own in C.

        Raises:
            NoLoop: There is none to run it in.
        """
        task = running_loop().create_task(coroutine)
        self.hold(task)
        return task

    def hold(self, task: Task[None]) -> None:
        """Look after a task until it ends."""
        self.running.add(task)
        task.add_done_callback(self.running.discard)

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
