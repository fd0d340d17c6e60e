"""An event loop of asyncio's in a thread of its own, for libraries that need one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from tests.integration.serving import TIMEOUT, in_thread

T = TypeVar("T")


class Loop:
    """A loop that runs until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        """What comes of a coroutine that runs there."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return in_thread(future.result, TIMEOUT)

    async def aclose(self) -> None:
        """End it, and whatever runs there."""
        await self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await in_thread(self._thread.join, TIMEOUT)
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
