"""A route of Starlette."""

from __future__ import annotations

from typing import Any

from starlette.applications import (  # type: ignore[import-not-found, unused-ignore]
    Starlette,
)
from starlette.responses import (  # type: ignore[import-not-found, unused-ignore]
    PlainTextResponse,
)
from starlette.routing import Route  # type: ignore[import-not-found, unused-ignore]


async def hello_name(request: Any) -> Any:
    """A greeting that is routed."""
    return PlainTextResponse(f"Hello, {request.path_params['name']}!")


app = Starlette(routes=[Route("/hello/{name}", hello_name)])
