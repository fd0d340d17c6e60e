"""WebSocket URLs (RFC 6455 section 3): where to connect, and what to ask for there. Sans I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from hyperlink import URL

_DEFAULT_PORTS = {"ws": 80, "wss": 443}
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^:\[\]]+)(?::[0-9]{1,5})?")
_END_OF_AUTHORITY = re.compile(r"[/?#]")


class Address(NamedTuple):
    """What a client makes of a URL."""

    tls: bool
    """Whether it is `wss`."""
    host: str
    """In ASCII, an IPv6 address without its brackets."""
    port: int
    authority: str
    """For the Host field: the host, and the port unless it is the default one."""
    target: bytes
    """For the request line: path and query, percent-encoded."""


def parse_url(url: str) -> Address:
    """Take a `ws` or `wss` URL apart.

    Raises:
        ValueError: It is none, or has a fragment, which no WebSocket has, or a name and a
            password, which are for the Authorization field.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"a WebSocket URL begins with ws:// or wss://, not {url!r}")
    authority = _END_OF_AUTHORITY.split(rest, 1)[0]
    if "@" in authority:
        raise ValueError("a WebSocket URL has no user: send an Authorization field instead")
    if "#" in rest:
        raise ValueError(f"a WebSocket URL has no fragment: {url!r}")
    parsed = URL.from_text(url)
    port = parsed.port or 0
    if not _AUTHORITY.fullmatch(authority) or not 0 < port < 65536:
        raise ValueError(f"a WebSocket URL has a host, and a port from 1 to 65535: {url!r}")
    host, target = _encode(parsed)
    authority = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS[scheme]:
        authority = f"{authority}:{port}"
    return Address(scheme == "wss", host, port, authority, target)


def _encode(url: URL) -> tuple[str, bytes]:
    """The host in ASCII, and path and query percent-encoded."""
    is_ascii = url.host.isascii()
    # What is ASCII is left as it is: IDNA would refuse IPv6 addresses, and names with `_`.
    uri = URL("ws", "host" if is_ascii else url.host, url.path, url.query).to_uri()
    target = uri.to_text().removeprefix(f"ws://{uri.host}")
    if not target.startswith("/"):
        target = f"/{target}"
    return (url.host if is_ascii else uri.host), target.encode("ascii")
