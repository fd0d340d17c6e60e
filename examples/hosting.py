"""Three kinds of applications, and files, in one process: `twistd -n mynet --app hosting:app`.

    curl http://127.0.0.1:8080/clock            a route
    curl http://127.0.0.1:8080/upper/ -d hello  an ASGI application; a framework's would do
    curl http://127.0.0.1:8080/guests/Ada       a resource of twisted.web
    curl http://127.0.0.1:8080/source/          the files of this folder

It needs a reactor with an asyncio loop, as mynet's own has.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.web.resource import Resource

from mynet import App, Request
from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.resource import ResourceHandler
from mynet.handlers.static import StaticFiles
from mynet.middleware.compression import compression
from mynet.middleware.security_headers import security_headers

app = App()
app.use(security_headers())
app.use(compression())


@app.get("/clock")
def clock(request: Request) -> str:
    """What time it is."""
    return f"{datetime.now(UTC):%H:%M:%S}\n"


async def upper(scope: Any, receive: Any, send: Any) -> None:
    """Send back what comes, as it comes, in capitals; it has no lifespan, and no WebSockets."""
    if scope["type"] != "http":
        raise NotImplementedError(f"there is no {scope['type']} here")
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event["more_body"]
        body = event["body"].upper()
        await send({"type": "http.response.body", "body": body, "more_body": more})


class Guests(Resource):
    """Whoever is named is greeted, and counted."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)
        self.seen: Counter[bytes] = Counter()

    def render_GET(self, request: Any) -> bytes:
        """Greet the guest whose name is the rest of the path."""
        name = b"/".join(request.postpath)
        if len(self.seen) >= 1_000:
            self.seen.clear()
        self.seen[name] += 1
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Hello, %b, for the %d. time.\n" % (name, self.seen[name])


app.mount("/upper", ASGIHandler(upper))
app.mount("/guests", ResourceHandler(Guests()))
app.mount("/source", StaticFiles(Path(__file__).parent, listing=True))
