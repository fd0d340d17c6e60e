"""What the daemon does to its process, in processes that may suffer it."""

from __future__ import annotations

import ctypes
import signal
import sys

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.testing import MemoryReactor
from zope.interface import implementer

from mynet.daemon import process
from mynet.daemon.process import on_signals
from tests.child import run_python


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_file_limit():
    """As many connections can be open as the system allows, without the operator's doing."""
    code = """
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from mynet.daemon.process import raise_file_limit
hard = min(getrlimit(RLIMIT_NOFILE)[1], 500)
setrlimit(RLIMIT_NOFILE, (100, hard))
raise_file_limit()
print(getrlimit(RLIMIT_NOFILE) == (hard, hard))
"""
    assert run_python("-c", code).stdout == "True\n"


def test_file_limit_that_stays(monkeypatch):
    """Where the system has a limit of its own it is left alone, and serving goes on."""

    class Resource:
        RLIMIT_NOFILE, RLIM_INFINITY = 7, -1
        wanted: tuple[int, int] | None = None

        def getrlimit(self, _: int) -> tuple[int, int]:
            return 1024, self.RLIM_INFINITY

        def setrlimit(self, _: int, limits: tuple[int, int]) -> None:
            self.wanted = limits
            raise ValueError("not allowed to raise maximum limit")

    resource = Resource()
    monkeypatch.setattr(process, "resource", resource)
    process.raise_file_limit()
    assert resource.wanted == (process.FILES, -1)


MEMORY = """
from resource import RUSAGE_SELF, getrusage
from mynet.daemon.process import keep_freed_memory
keep_freed_memory()
def use():
    pieces = [bytes(2**18) for _ in range(16)]
    return b"".join(pieces)
use()
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(getrusage(RUSAGE_SELF).ru_minflt - before < 20 * 1000)
"""
"""Messages of 4 MiB come and go: of 2,048 pages at a time, if they are new ones."""


def test_freed_memory():
    """Large messages do not ask the system for memory again and again."""
    assert run_python("-c", MEMORY).stdout == "True\n"


def test_operators_memory(monkeypatch):
    """An operator who has told the allocator what to do is not overruled."""
    told: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", told.append)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    process.keep_freed_memory()
    assert told == []


EXIT = """
import atexit
from mynet.daemon.process import ExitStatus
status = ExitStatus()
atexit.register(print, "last words")
{}
"""


@pytest.mark.parametrize(("code", "status"), [("status.failed()", 1), ("", 0)])
def test_exit_status(code, status):
    """What supervises the server learns that it failed; all else ends as it would have."""
    run = run_python("-c", EXIT.format(code))
    assert (run.returncode, run.stdout, run.stderr) == (status, "last words\n", "")


TELL = """
from mynet.daemon.errors import CannotStart
from mynet.daemon.process import tell_in_one_line
tell_in_one_line()
raise {}
"""


def test_mistake_is_one_line():
    """An operator's mistake is told without a traceback."""
    run = run_python("-c", TELL.format("CannotStart('cannot listen')"))
    assert (run.returncode, run.stderr) == (1, "mynet: cannot listen\n")


def test_bug_is_traced():
    """A bug still shows where it is."""
    run = run_python("-c", TELL.format("ValueError('a bug')"))
    assert run.returncode == 1
    assert run.stderr.startswith("Traceback ")
    assert run.stderr.endswith("ValueError: a bug\n")


@implementer(IReactorFromThreads)
class SignalReactor(MemoryReactor):
    """A reactor with handlers of its own, whose thread calls at once."""

    def sigTerm(self, *_: object) -> None: ...

    def callFromThread(self, callable, *args, **kw):
        callable(*args, **kw)


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def handlers():
    """Signal handlers, which are put back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals(handlers):
    """A signal that the reactor would end with is told to the server instead."""
    reactor = SignalReactor()
    signal.signal(signal.SIGTERM, reactor.sigTerm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    caught: list[str] = []
    on_signals(reactor, caught.append)
    signal.raise_signal(signal.SIGTERM)
    assert caught == ["SIGTERM"]
    signal.raise_signal(signal.SIGHUP)
    assert caught == ["SIGTERM", "SIGHUP"]


def test_signals_of_others(handlers):
    """A shell that ignores SIGINT for what runs in the background, or a debugger, keeps it."""
    debugger = SignalReactor().sigTerm
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, debugger)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    on_signals(SignalReactor(), print)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == debugger
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
