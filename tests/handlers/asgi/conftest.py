"""What every test of ASGI is held to: nothing fails unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.handlers.asgi.looping import no_loop
from tests.http.conftest import Logged, logged

__all__ = ["logged", "loop", "told"]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs when it is turned, or is run until something is complete."""
    with no_loop():
        loop = asyncio.new_event_loop()
        yield loop
        loop.close()


class Told(list[str]):
    """Lines of the log, from warnings on; errors among them are expected."""

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            self.append(formatEvent(event))


@pytest.fixture
def told(logged: Logged) -> Iterator[Told]:
    """What is logged while a test runs, which has to look at it."""
    told = Told()
    globalLogPublisher.addObserver(told)  # type: ignore[arg-type]  # it is called all the same
    yield told
    globalLogPublisher.removeObserver(told)  # type: ignore[arg-type]
    logged.events.clear()
