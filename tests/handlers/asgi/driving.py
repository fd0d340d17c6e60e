"""Coroutines of tests, each in a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.handlers.asgi.looping import a_loop

T = TypeVar("T")


def drive(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function; no task may be left when it ends."""
    with a_loop() as loop:
        result = loop.run_until_complete(test())
        left = asyncio.all_tasks(loop)
        assert not left, left
    return result
