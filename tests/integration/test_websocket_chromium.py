"""What a page finds at our WebSockets, in Chromium."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from twisted.internet.defer import Deferred

from mynet import App
from mynet.http import Request, Response
from mynet.websocket import WebSocket
from tests.integration.serving import in_thread, integration
from tests.integration.test_chromium import page_in, trust

PAGE = """
<!doctype html>
<title>What a page finds</title>
<body>
<img src="/loaded" alt="until it is here, the page is not">
<script>
const found = {};

function open(path, ...subprotocols) {
    const socket = new WebSocket(location.href.replace(/^http/, "ws") + path, ...subprotocols);
    socket.binaryType = "arraybuffer";
    socket.closed = new Promise(resolve => {
        socket.onclose = event => resolve([event.code, event.reason, event.wasClean]);
    });
    socket.opened = new Promise(resolve => { socket.onopen = resolve; });
    return socket;
}

const next = socket => new Promise(resolve => { socket.onmessage = ({data}) => resolve(data); });

async function look() {
    const socket = open("echo", ["superchat", "chat"]);
    await socket.opened;
    found.protocol = socket.protocol;
    found.extensions = socket.extensions.split(";")[0];
    const text = "Grüße, 世界! 🚀".repeat(10000);
    socket.send(text);
    found.text = await next(socket) === text;
    const bytes = crypto.getRandomValues(new Uint8Array(65536));
    socket.send(bytes);
    found.bytes = String(new Uint8Array(await next(socket))) === String(bytes);
    socket.send(new Blob(["a blob"]));
    found.blob = new TextDecoder().decode(await next(socket));
    socket.close(4001, "Schluß");
    found.closed = await socket.closed;

    found.theirs = await open("closes").closed;
    found.refused = await open("refused").closed;
    const large = open("echo");
    await large.opened;
    large.send(new Uint8Array(300000));
    found.large = (await large.closed)[0];
}

look().catch(error => { found.error = String(error); }).then(() => {
    document.body.append(Object.assign(document.createElement("pre"), {
        textContent: JSON.stringify(found),
    }));
    fetch("/looked_at", {method: "POST"});
});
</script>
"""


def make_site(closed: list[tuple[int | None, str]]) -> App:
    """The page, and what it opens; `closed` gets how its WebSockets were closed."""
    app = App()
    looked: Deferred[None] = Deferred()

    @app.get("/")
    def page(request: Request) -> Response:
        return Response.html(PAGE)

    @app.get("/loaded")
    async def loaded(request: Request) -> Response:
        await looked
        return Response(b"", 204)

    @app.post("/looked_at")
    def looked_at(request: Request) -> Response:
        looked.callback(None)
        return Response(b"", 204)

    @app.websocket("/echo", subprotocols=["chat"], max_message_size=250_000)
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)
        closed.append((socket.close_code, socket.close_reason))

    @app.websocket("/closes")
    async def closes(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4002, "genug")

    @app.websocket("/refused")
    async def refused(socket: WebSocket) -> Response:
        return Response.text("You may not.", 403)

    return app


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)
@integration
async def test_page(serve, chromium, certificates, tmp_path):
    """A page in a browser finds everything as it should be, and so do we."""
    closed: list[tuple[int | None, str]] = []
    service = await serve(make_site(closed))
    dom = await in_thread(page_in, chromium, service.url("/"), tmp_path, trust(certificates))
    found = re.search("<pre>(.*)</pre>", dom)
    assert found, dom
    assert json.loads(unescape(found[1])) == {
        "protocol": "chat",
        "extensions": "permessage-deflate",
        "text": True,
        "bytes": True,
        "blob": "a blob",
        "closed": [4001, "", True],
        "theirs": [4002, "genug", True],
        "refused": [1006, "", False],
        "large": 1009,
    }
    assert closed[0] == (4001, "Schluß")
    assert [code for code, _ in closed] == [4001, 1009]
