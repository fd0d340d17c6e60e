"""Routes and files of aiohttp, on uvloop: `aiohttp_app.py PORT FOLDER`."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import WSMessage, WSMsgType, web

subscribers: set[web.WebSocketResponse] = set()


async def hello(request: web.Request) -> web.Response:
    """The whole greeting."""
    return web.Response(text="Hello, World!")


async def hello_name(request: web.Request) -> web.Response:
    """One that is routed."""
    return web.Response(text=f"Hello, {request.match_info['name']}!")


async def send(socket: web.WebSocketResponse, message: WSMessage) -> None:
    """Send a message as it was received."""
    if message.type is WSMsgType.TEXT:
        await socket.send_str(message.data)
    else:
        await socket.send_bytes(message.data)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back what is received."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await send(socket, message)
    return socket


async def fan_out(request: web.Request) -> web.WebSocketResponse:
    """What one is sent, all send."""
    socket = web.WebSocketResponse()
    subscribers.add(socket)
    await socket.prepare(request)
    async for message in socket:
        for each in tuple(subscribers):
            await send(each, message)
    subscribers.discard(socket)
    return socket


async def main(port: int, folder: str) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/hello/{name}", hello_name)])
    app.add_routes([web.get("/echo", echo), web.get("/fanout", fan_out)])
    app.router.add_static("/static", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
