"""The calls that wait for a thread, and the threads that make them: both bounded.

Waiting calls are here and not in the pool, which could not forget one. A thread that has made a
call makes the next that waits, and so a busy server pays for waking threads only where it must.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.python.threadpool import ThreadPool

from mynet.handlers.wsgi.call import Call


class Threads(Protocol):
    """What makes calls in threads: a `twisted.python.threadpool.ThreadPool`, say."""

    def callInThread(self, func: Callable[..., object], *args: object) -> object:
        """Call it in one of its threads, soon."""


class Pool(ThreadPool):
    """Threads that begin when they are needed, and do not keep the process from ending.

    It may have to end while an application hangs.
    """

    threadFactory = staticmethod(partial(Thread, daemon=True))  # type: ignore[assignment]


class Workers:
    """Calls, and so many threads at most for them."""

    def __init__(
        self, pool: Threads, threads: int, queue: int, in_reactor: Callable[..., object]
    ) -> None:
        """No thread yet.

        Args:
            pool: Where they come from. It has `threads`, or some will do the work of all.
            threads: How many may be at work.
            queue: How many calls may wait for one.
            in_reactor: Calls a function with arguments in the reactor's thread, soon.
        """
        self._pool = pool
        self._threads = threads
        self._queue = queue
        self._in_reactor = in_reactor
        self._lock = Lock()
        self._chores: deque[Callable[[], object]] = deque()
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._busy = 0  # and how many of these threads have not begun yet
        self._starting = 0
        self._idle: Deferred[None] | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<{self._busy} threads at work, {len(self._waiting)} calls wait for one>"

    # In the reactor

    def add(self, call: Call) -> bool:
        """Make this call as soon as a thread is free; false if too many wait already."""
        with self._lock:
            is_full = len(self._waiting) - self._starting >= self._queue
            if self._ended or (is_full and self._busy == self._threads):
                return False
            call.on_cancelled = self._forget
            self._waiting[call] = None
            begins = self._takes_thread()
        if begins:
            self._pool.callInThread(self._work)
        return True

    def do(self, chore: Callable[..., object], *args: object) -> None:
        """Call this in a thread, before any call that waits. It raises nothing."""
        with self._lock:
            ended = self._ended
            begins = False
            if not ended:
                self._chores.append(partial(chore, *args))
                begins = self._takes_thread()
        if begins:
            self._pool.callInThread(self._work)
        elif ended:
            chore(*args)  # there are no threads any more

    def _takes_thread(self) -> bool:
        takes = self._busy < self._threads
        self._busy += takes
        self._starting += takes
        return takes

    def _forget(self, call: Call) -> None:
        with self._lock:
            self._waiting.pop(call, None)

    def when_idle(self) -> Deferred[None]:
        """A Deferred that fires when no thread is at work. To be called once."""
        with self._lock:
            if not self._busy:
                return succeed(None)
            self._idle = Deferred()
            return self._idle

    def end(self) -> list[Call]:
        """Begin nothing any more: the calls that wait, which will not be made."""
        with self._lock:
            self._ended = True
            calls = list(self._waiting)
            self._waiting.clear()
        return calls

    # In a thread

    def _work(self) -> None:
        with self._lock:
            self._starting -= 1
        while (call := self._next()) is not None:
            call()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if self._chores:
                return self._chores.popleft()
            if self._waiting:
                return self._waiting.popitem(last=False)[0].run
            self._busy -= 1
            if self._idle is not None and not self._busy:
                idle, self._idle = self._idle, None
                self._in_reactor(idle.callback, None)
            return None
