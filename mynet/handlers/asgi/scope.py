"""Requests as ASGI's scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from mynet.handlers.asgi.tls import tls_extension
from mynet.http.decoding import decode_path
from mynet.http.exchange import RawHeaders
from mynet.http.message import Request

VERSION = "3.0"
"""Of ASGI."""

SPEC_VERSION = "2.5"
"""Of its HTTP and WebSocket part."""

LIFESPAN_SPEC_VERSION = "2.0"

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[object]]
"""Called with a Scope, a Receive and a Send, which each framework has types of its own for."""

HTTP_EXTENSIONS: dict[str, dict[str, object]] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.trailers": {},
    "http.response.zerocopysend": {},
}
WEBSOCKET_EXTENSIONS: dict[str, dict[str, object]] = {"websocket.http.response": {}}


class Host(Protocol):
    """What a scope says of the handler."""

    root_path: str
    state: dict[str, Any]


def http_scope(request: Request, fields: RawHeaders, host: Host) -> Scope:
    """The scope of a request for HTTP.

    Args:
        request: The request.
        fields: Its header fields, in a list that is the application's from now on.
        host: Which has the application.

    Raises:
        HTTPError: 400, where the path is not UTF-8.
    """
    exchange = request.exchange
    path, raw_path, root_path = request.path, request.raw_path, host.root_path
    if root_path or request.root_path:
        root_path, path, raw_path = _paths(request, root_path)
    scheme = exchange.scheme
    extensions = HTTP_EXTENSIONS.copy()
    if scheme == "https":
        _add_tls(extensions, request)
    client, server = exchange.client, exchange.server
    return {
        "type": "http",
        "asgi": {"version": VERSION, "spec_version": SPEC_VERSION},
        "http_version": request.version,
        "method": request.method,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": request.query_string,
        "root_path": root_path,
        "headers": fields,
        "client": (client.host, client.port) if type(client) is IPv4Address else address_of(client),
        "server": (server.host, server.port) if type(server) is IPv4Address else server_of(server),
        "state": host.state.copy(),
        "extensions": extensions,
    }


def websocket_scope(request: Request, subprotocols: Sequence[str], host: Host) -> Scope:
    """The scope of a request for a WebSocket.

    Args:
        request: The request.
        subprotocols: What its client offers.
        host: Which has the application.

    Raises:
        HTTPError: 400, where the path is not UTF-8.
    """
    exchange = request.exchange
    root_path, path, raw_path = _paths(request, host.root_path)
    extensions = WEBSOCKET_EXTENSIONS.copy()
    secure = exchange.scheme == "https"
    if secure:
        _add_tls(extensions, request)
    return {
        "type": "websocket",
        "asgi": {"version": VERSION, "spec_version": SPEC_VERSION},
        "http_version": request.version,
        "scheme": "wss" if secure else "ws",
        "path": path,
        "raw_path": raw_path,
        "query_string": request.query_string,
        "root_path": root_path,
        "headers": list(request.peek_raw_headers()),
        "client": address_of(exchange.client),
        "server": server_of(exchange.server),
        "subprotocols": list(subprotocols),
        "state": host.state.copy(),
        "extensions": extensions,
    }


def lifespan_scope(state: dict[str, Any]) -> Scope:
    """The scope of a lifespan, with a state that the application fills."""
    return {
        "type": "lifespan",
        "asgi": {"version": VERSION, "spec_version": LIFESPAN_SPEC_VERSION},
        "state": state,
    }


def _paths(request: Request, outside: str) -> tuple[str, str, bytes]:
    """`root_path`, `path` and `raw_path`, of which the first begins the second.

    What has been taken off the path on the way to the application is put back; but what never
    came to this server, because a proxy took it off, is no part of `raw_path`.
    """
    if not request.root_path:
        path = request.path
        return outside, outside + path if outside else path, request.raw_path
    mounted = request.root_path.encode("ascii")
    root_path = outside + decode_path(mounted)
    return root_path, root_path + request.path, mounted + request.raw_path


def _add_tls(extensions: dict[str, dict[str, object]], request: Request) -> None:
    tls = request.tls
    if tls is not None:
        extensions["tls"] = tls_extension(tls)


def address_of(address: IAddress) -> tuple[str, int] | None:
    """Host and port of a client; None where there are none, as on UNIX sockets."""
    try:
        return (address.host, address.port)  # type: ignore[attr-defined]  # most have them
    except AttributeError:
        return None


def server_of(address: IAddress) -> tuple[str, int | None] | None:
    """Host and port where it arrived, or the path of a UNIX socket and None."""
    if isinstance(address, UNIXAddress):
        name: bytes | None = address.name
        return ((name or b"").decode("utf-8", "surrogateescape"), None)
    return address_of(address)


def wants_websocket(fields: RawHeaders) -> bool:
    """Whether fields ask for a WebSocket, be the handshake in order or not."""
    return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in fields)
