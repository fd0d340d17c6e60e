"""Coroutines of tests, each in a loop of its own."""

from __future__ import annotations

import asyncio
import functools
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


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorate a test that is a coroutine, and is run in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        drive(functools.partial(test, *args, **named))

    return run
