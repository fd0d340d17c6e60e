"""Routes of aiohttp, on uvloop: `aiohttp_app.py PORT`."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    """The whole greeting."""
    return web.Response(text="Hello, World!")


async def hello_name(request: web.Request) -> web.Response:
    """One that is routed."""
    return web.Response(text=f"Hello, {request.match_info['name']}!")


async def main(port: int) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/hello/{name}", hello_name)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
