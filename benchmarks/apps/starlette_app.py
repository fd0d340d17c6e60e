"""Routes of Starlette."""

from __future__ import annotations

from typing import Any

from starlette.applications import (  # type: ignore[import-not-found, unused-ignore]
    Starlette,
)
from starlette.responses import (  # type: ignore[import-not-found, unused-ignore]
    JSONResponse,
    PlainTextResponse,
)
from starlette.routing import Route  # type: ignore[import-not-found, unused-ignore]


async def hello_name(request: Any) -> Any:
    """A greeting that is routed."""
    return PlainTextResponse(f"Hello, {request.path_params['name']}!")


async def json(request: Any) -> Any:
    """Some JSON, which is made each time."""
    return JSONResponse({"message": "Hello, World!", "items": [1, 2, 3], "ok": True})


app = Starlette(routes=[Route("/hello/{name}", hello_name), Route("/json", json)])
