"""Server-sent events, and the page that shows them: `twistd -n mynet --app stream:app`.

Each client has a generator of its own, which waits while the client reads slowly, and is
closed when the client goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

from twisted.internet.task import deferLater

from mynet import App, Request, Response

app = App()

PAGE = """<!doctype html>
<title>Ticks</title>
<p>You have been here for <output>0</output> seconds.
<script>
const output = document.querySelector("output");
new EventSource("/ticks").onmessage = event => { output.textContent = event.data; };
</script>
"""


@app.get("/")
def page(request: Request) -> Response:
    """The page."""
    return Response.html(PAGE)


@app.get("/ticks")
def ticks(request: Request) -> Response:
    """An event a second, as long as somebody listens."""
    headers = {"Cache-Control": "no-cache"}
    return Response(seconds(), headers=headers, content_type="text/event-stream")


async def seconds() -> AsyncIterator[bytes]:
    """A message each second, and its number."""
    from twisted.internet import reactor  # not before the daemon has chosen one

    for number in count():
        yield b"data: %d\n\n" % number
        await deferLater(reactor, 1)
