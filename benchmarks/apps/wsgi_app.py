"""The greeting as a WSGI application without a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BODY = b"Hello, World!"
FIELDS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def app(environ: dict[str, Any], start_response: Callable[[str, Any], Any]) -> list[bytes]:
    """Whatever is asked for is answered with it."""
    start_response("200 OK", FIELDS)
    return [BODY]
