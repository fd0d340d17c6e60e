"""An App of mynet."""

from __future__ import annotations

from mynet import App, Request

app = App()


@app.get("/")
async def hello(request: Request) -> str:
    """The whole greeting."""
    return "Hello, World!"


@app.get("/hello/{name}")
async def hello_name(request: Request, name: str) -> str:
    """One that is routed."""
    return f"Hello, {name}!"
