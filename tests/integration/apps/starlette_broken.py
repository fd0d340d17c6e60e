"""A site of Starlette's that cannot start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from mynet.handlers.asgi import ASGIHandler


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    raise RuntimeError("there is no database here")
    yield


served = ASGIHandler(Starlette(lifespan=lifespan))
