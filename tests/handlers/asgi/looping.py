"""A loop of asyncio's that runs only when a test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop, in which what runs sees no other."""
    with no_loop():
        loop = asyncio.new_event_loop()
        try:
            yield loop
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


@contextmanager
def no_loop() -> Iterator[None]:
    """As if no loop ran here, though that of the reactor may, which runs the test."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)


def turn(loop: asyncio.AbstractEventLoop, times: int = 5) -> None:
    """Let a loop do what is due."""
    with no_loop():
        for _ in range(times):
            loop.call_soon(loop.stop)
            loop.run_forever()
