"""The smallest application: `twistd -n mynet --app hello:app`.

It has two pages:

    curl http://127.0.0.1:8080/
    curl http://127.0.0.1:8080/hello/Ada
"""

from __future__ import annotations

from mynet import App, Request

app = App()


@app.get("/")
def index(request: Request) -> str:
    """Text is sent as text."""
    return "Hello, World!\n"


@app.get("/hello/{name}")
async def hello(request: Request, name: str) -> dict[str, str]:
    """A dict is sent as JSON."""
    return {"hello": name}
