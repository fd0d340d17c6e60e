"""A Site of twisted.web, on a reactor of that name: `twisted_app.py REACTOR PORT [WHAT [OF]]`.

What is served is the greeting, or files, of a folder; a proxy, of a port; or the greeting by WSGI.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.application.reactors import installReactor
from twisted.internet.endpoints import serverFromString
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource


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


def proxy(port: str) -> Any:
    """What hands requests to another server; its module imports a reactor.

    It asks that to close each connection, and would hand the answer to that on, too.
    """
    from twisted.web.proxy import ProxyClient, ProxyClientFactory, ReverseProxyResource

    class Client(ProxyClient):
        def handleHeader(self, key: bytes, value: bytes) -> None:
            if key.lower() != b"connection":
                ProxyClient.handleHeader(self, key, value)

    class Factory(ProxyClientFactory):
        protocol = Client

    ReverseProxyResource.proxyClientFactoryClass = Factory
    return ReverseProxyResource("127.0.0.1", int(port), b"")


def wsgi() -> Any:
    """What hosts an application, in threads of the reactor's."""
    from twisted.internet import reactor
    from wsgi_app import app  # type: ignore[import-not-found]

    return WSGIResource(reactor, reactor.getThreadPool(), app)  # type: ignore[attr-defined]


ROOTS: dict[str, Callable[..., Any]] = {
    "hello": Hello,
    "files": File,
    "proxy": proxy,
    "wsgi": wsgi,
}


def site(root: IResource) -> Any:
    """A new one."""
    return Silent(root, timeout=75)  # type: ignore[no-untyped-call]


def main(reactor_name: str, port: str, what: str = "hello", *of: str) -> None:
    """Serve until the process is ended."""
    reactor = installReactor(reactor_name)
    endpoint = serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1:backlog=4096")
    endpoint.listen(site(ROOTS[what](*of)))
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
