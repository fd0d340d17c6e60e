"""A Site of twisted.web, on a reactor of that name: `twisted_app.py REACTOR PORT`."""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.reactors import installReactor
from twisted.internet.endpoints import serverFromString
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site


class Hello(Resource):
    """The greeting."""

    isLeaf = True

    # Resource

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Hello, World!"


class Silent(Site):
    """A Site without an access log: no other server here writes one."""

    # HTTPFactory

    def log(self, request: object) -> None:
        pass


def site() -> Any:
    """A new one."""
    return Silent(Hello(), timeout=75)  # type: ignore[no-untyped-call]


def main(reactor_name: str, port: str) -> None:
    """Serve until the process is ended."""
    reactor = installReactor(reactor_name)
    endpoint = serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1:backlog=4096")
    endpoint.listen(site())
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
