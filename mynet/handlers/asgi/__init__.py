"""ASGI 3 applications as handlers: HTTP, WebSockets, and their lifespan."""

from __future__ import annotations

from mynet.handlers.asgi.handler import ASGIHandler
from mynet.handlers.asgi.lifespan import StartupFailed
from mynet.handlers.asgi.running import NoLoop

__all__ = ["ASGIHandler", "NoLoop", "StartupFailed"]
