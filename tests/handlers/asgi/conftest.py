"""What every test of ASGI is held to: nothing fails unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.handlers.asgi.looping import a_loop
from tests.http.conftest import logged

__all__ = ["logged", "loop"]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs when it is turned."""
    with a_loop() as loop:
        yield loop
