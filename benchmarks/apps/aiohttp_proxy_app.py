"""A proxy by aiohttp, on uvloop: `aiohttp_proxy_app.py PORT UPSTREAM`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping

import uvloop
from aiohttp import ClientSession, TCPConnector, web

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


def end_to_end(fields: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Those that are handed on."""
    return [(name, value) for name, value in fields.items() if name.lower() not in HOP_BY_HOP]


class Proxy:
    """What hands requests to a server on a port of loopback."""

    def __init__(self, port: int, session: ClientSession) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self._session = session

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Hand on a request, then the answer as it comes."""
        async with self._session.request(
            request.method,
            self._root + request.raw_path,
            headers=end_to_end(request.headers),
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            response.headers.extend(end_to_end(answer.headers))
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response


async def main(port: int, upstream: int) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    session = ClientSession(connector=TCPConnector(limit=0), auto_decompress=False)
    app.router.add_route("*", "/{path:.*}", Proxy(upstream, session).__call__)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
