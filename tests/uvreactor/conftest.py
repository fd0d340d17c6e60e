"""Fixtures of the tests of the uv reactor."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations
import twisted.internet
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.integration.certificates import Certificates
from tests.uvreactor.stories import Direct, Place, Recorder, unbuilt

HERE = Path(__file__).parent

if sys.platform != "linux":  # there is no epoll to compare it with, nor uvloop everywhere
    collect_ignore_glob = ["test_*.py"]

KINDS = ["uv", "uv-direct", "epoll"]
"""Of places: mynet's reactor with ordinary protocols and direct ones, and Twisted's own reactor."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Twisted's TLS, with some versions of pyOpenSSL, warns of itself."""
    quiet = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(quiet)


@implementer(ILogObserver)
class Logged:
    """The failures that are logged while a test runs; the test takes what it expects."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self.failures.append(failure)

    def take(self) -> list[type[BaseException] | None]:
        """Their types, once."""
        failures, self.failures = self.failures, []
        return [failure.type for failure in failures]


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """What is logged as a failure, or a Deferred dies with, fails a test that does not take it."""
    observer = Logged()
    globalLogPublisher.addObserver(observer)
    yield observer
    gc.collect()
    globalLogPublisher.removeObserver(observer)
    assert [failure.getTraceback() for failure in observer.failures] == []


@pytest.fixture(scope="session")
def opened_once() -> None:
    """What the first reactor of a process, and its first port, open for all."""
    from twisted.internet import reactor as outer

    from mynet.uvreactor import UVReactor

    pytest_twisted.blockon(deferLater(outer, 0))
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    reactor = UVReactor()
    reactor.callWhenRunning(reactor.stop)
    reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    reactor.run(installSignalHandlers=False)
    unbuilt(reactor)
    asyncio._set_running_loop(running)


@pytest.fixture(params=KINDS)
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, opened_once: None
) -> Iterator[Place]:
    """A reactor that is the test's own; all that it opens is closed when the test has ended."""
    from twisted.internet.epollreactor import EPollReactor

    from mynet.uvreactor import UVReactor

    gc.collect()
    files = open_files()
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)  # which runs the test, where that is asyncio's
    reactor = EPollReactor() if request.param == "epoll" else UVReactor()
    place = Place(reactor, Direct if request.param == "uv-direct" else Recorder)
    # Where Twisted asks for no reactor it takes this one.
    monkeypatch.setattr(twisted.internet, "reactor", place.reactor, raising=False)
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", place.reactor)
    yield place
    place.close()
    asyncio._set_running_loop(running)
    gc.collect()
    assert open_files() == files


def open_files() -> set[str]:
    """The descriptors of this process, each with what it is of."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:  # of the folder itself
            continue
    return found


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that are trusted by those who trust their authority."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
