"""ASGI 3 applications as handlers: HTTP, WebSockets, and their lifespan."""

from __future__ import annotations

from mynet.handlers.asgi.handler import ASGIHandler

__all__ = ["ASGIHandler"]
