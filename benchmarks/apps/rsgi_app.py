"""The greeting by Granian's own interface, RSGI."""

from __future__ import annotations

from typing import Any

FIELDS = [("content-type", "text/plain; charset=utf-8")]


async def app(scope: Any, protocol: Any) -> None:
    """Whatever is asked for is answered with it."""
    protocol.response_str(200, FIELDS, "Hello, World!")
