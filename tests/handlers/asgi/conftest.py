"""What every test of ASGI is held to: nothing fails unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.http.conftest import logged

__all__ = ["logged", "loop"]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs when it is turned."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()
