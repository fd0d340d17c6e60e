"""What every test of HTTP is held to: nothing fails unseen."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.conversation import WAYS, Way


@implementer(ILogObserver)
class Logged:
    """What is logged as an error while a test runs; the test takes what it expects."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            self.events.append(event)

    def take(self, *types: type[BaseException]) -> list[Failure]:
        """The failures logged until now, which must be of these types, one of each in turn."""
        events, self.events = self.events, []
        failures = [event["log_failure"] for event in events]
        assert [failure.type for failure in failures] == list(types), events
        return failures


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """Errors that are logged, or that a Deferred dies with, fail a test that does not take them."""
    gc.freeze()  # what there was before need not be looked at, which would take long
    observer = Logged()
    globalLogPublisher.addObserver(observer)
    yield observer
    gc.collect()
    globalLogPublisher.removeObserver(observer)
    assert observer.events == []


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """How a request arrives: at once or byte by byte, alone or with a request behind it."""
    return WAYS[request.param]
