"""What the daemon does to its process: its files, memory and signals, how it ends.

twistd runs the reactor, and ends the process with status 0 whatever happened in it, with a
traceback for an error at its start, and with one that was logged for a second SIGTERM. This file
has what an operator expects instead.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType

from twisted.internet.interfaces import IReactorFromThreads

from mynet.daemon.errors import CannotStart
from mynet.http.limits import MIB

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

FILES = 1_048_576
"""The most open files to ask for: some programs do a thing for each that there might be."""

MALLOC = {"MALLOC_TRIM_THRESHOLD_": (-1, 32 * MIB), "MALLOC_MMAP_THRESHOLD_": (-3, 8 * MIB)}
"""What glibc's allocator is told: by an operator in these variables of the environment, or else by
us, as parameters of mallopt(3). Beyond the first it gives freed memory back to the system; pieces
larger than the second are the system's own. The first is the most that glibc would come to by
itself."""


def raise_file_limit() -> None:
    """Allow as many open files, and so connections, as the system lets this process have."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(OSError, ValueError):  # the kernel has a limit of its own
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory() -> None:
    """Have glibc keep what it would give back to the system, to ask for it again at once.

    For each message of 1 MiB, that is a thousand page faults: most of what it costs.
    """
    if not sys.platform.startswith("linux") or not os.environ.keys().isdisjoint(MALLOC):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for parameter, size in MALLOC.values():
            mallopt(parameter, size)


class ExitStatus:
    """Make the process end with status 1 once it `failed`, after all that ends in good order.

    To be made early: what was registered with `atexit` before is not called then.
    """

    def __init__(self) -> None:
        self._failed = False
        atexit.register(self._exit)

    def failed(self) -> None:
        """The process has not done what it was started for."""
        self._failed = True

    def _exit(self) -> None:
        if self._failed:
            for stream in (sys.__stdout__, sys.__stderr__):
                with suppress(OSError, ValueError):
                    if stream is not None:
                        stream.flush()
            os._exit(1)


def tell_in_one_line() -> None:
    """Have a `CannotStart` that ends the process printed on stderr without its traceback."""
    otherwise = sys.excepthook

    def tell(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not issubclass(kind, CannotStart):
            otherwise(kind, error, traceback)
        elif sys.__stderr__ is not None:
            print(f"mynet: {error}", file=sys.__stderr__)

    sys.excepthook = tell


def on_signals(reactor: IReactorFromThreads, call: Callable[[str], object]) -> None:
    """Have SIGTERM, SIGINT and SIGHUP call this in the reactor's thread, with the signal's name.

    None of them ends the process by itself then. Only the reactor's own handlers are replaced: not
    a debugger's, and not that of a shell which runs this in the background and keeps its SIGINT.
    """

    def caught(number: int, _: FrameType | None) -> None:
        reactor.callFromThread(call, signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        if getattr(signal.getsignal(number), "__self__", None) is reactor:
            signal.signal(number, caught)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        signal.signal(hangup, caught)
