"""An application of ASGI, with no framework: it sends back what it gets."""

from __future__ import annotations

import json


async def app(scope, receive, send):
    """Serve whatever comes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif scope["path"].endswith("/echo"):
        await echo(receive, send)
    elif scope["path"].endswith("/cut"):
        await start(send, [(b"content-length", b"1000000")])
        await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
        raise RuntimeError("as the test wants it")
    else:
        await fields(scope, send)


async def lifespan(receive, send):
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def start(send, headers=()):
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})


async def echo(receive, send):
    await start(send)
    more = True
    while more:
        event = await receive()
        more = event.get("more_body", False)
        await send({"type": "http.response.body", "body": event["body"], "more_body": True})
    await send({"type": "http.response.body"})


async def fields(scope, send):
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    told = {"path": scope["raw_path"].decode(), "headers": headers}
    body = json.dumps(told).encode()
    await start(send, [(b"content-length", b"%d" % len(body)), (b"set-cookie", b"a=b")])
    await send({"type": "http.response.body", "body": body})


async def websocket(scope, receive, send):
    await receive()
    if scope["path"].endswith("/refused"):
        await send({"type": "websocket.close"})
        return
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
            return
        await send({**event, "type": "websocket.send"})
