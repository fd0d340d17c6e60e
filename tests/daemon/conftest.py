"""What tests of the daemon share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class Events(list[tuple[str, str]]):
    """What is logged: pairs of a level and a text."""

    def __call__(self, event: LogEvent) -> None:
        self.append((event["log_level"].name, formatEvent(event)))


@pytest.fixture
def events() -> Iterator[Events]:
    """What is logged in a test."""
    events = Events()
    globalLogPublisher.addObserver(events)
    yield events
    globalLogPublisher.removeObserver(events)
