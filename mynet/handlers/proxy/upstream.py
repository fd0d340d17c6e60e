"""Where a proxy's upstreams are, and how they are reached.

http://127.0.0.1:9000       over TCP, port 80 unless given
https://backend/api         over TLS, port 443; requests get /api before their paths
unix:/run/app.sock          by a UNIX socket
unix:/run/app.sock:/api     the same, with a prefix, as nginx writes it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from mynet.handlers.proxy.target import has_dot_segments
from mynet.handlers.proxy.tls import client_options

_PORTS = {"http": 80, "https": 443}
_UNIX = re.compile(r"unix:(/[^:]+|[^/:][^:]*)(?::(/.*))?")
_URL = re.compile(
    r"(https?)://(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?(/.*)?", re.IGNORECASE
)
_PREFIX = re.compile(r"(?:/[!$-.0-;=@-Z_a-z~]+)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    scheme: str
    host: str
    port: int
    prefix: str
    path: str = ""
    """Of a UNIX socket."""


class Upstream:
    """A server that a proxy hands requests to."""

    def __init__(
        self,
        url: str,
        *,
        verify: bool = True,
        authority: str | Path | None = None,
        server_name: str | None = None,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        """Nothing is opened or resolved yet.

        Args:
            url: Where it is; see above.
            verify: With https: whether it has to prove by its certificate that it is the host of
                the URL. Without that, anybody on the way may be it.
            authority: With https: a file of certificates, in PEM, that are trusted instead of
                those which the platform trusts.
            server_name: With https: the name that it has to prove, where that is not the host.
            endpoint: How to reach it instead: one of Twisted's, with TLS if there is to be any.

        Raises:
            ValueError: This is no such URL; or there are options of TLS without https.
        """
        self.url = url
        self._place = _parse(url)
        is_told = not verify or authority is not None or server_name is not None
        if is_told and (self._place.scheme != "https" or endpoint is not None):
            what = "has no TLS" if endpoint is None else "has an endpoint with TLS of its own"
            raise ValueError(f"{url!r} {what}: verify, authority, server_name are for https")
        self._verify = verify
        self._authority = authority
        self._server_name = server_name or self._place.host
        self._endpoint = endpoint
        self.prefix = self._place.prefix.encode("ascii")
        """What requests get before their paths; without a slash at its end."""
        self.authority = _authority(self._place)
        """The host, with its port unless that is the scheme's own: for Host."""

    def __repr__(self) -> str:
        return f"<Upstream {self.url}>"

    @property
    def origin(self) -> bytes:
        """What its URLs begin with, prefix included; empty for UNIX sockets, which have none."""
        if self._place.path:
            return b""
        return b"%b://%b%b" % (self._place.scheme.encode(), self.authority, self.prefix)

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """How to reach it from a reactor.

        Raises:
            OSError, ValueError: The file of its authority cannot be read, or is none.
        """
        if self._endpoint is not None:
            return self._endpoint
        place = self._place
        if place.path:
            unix: IStreamClientEndpoint = UNIXClientEndpoint(reactor, place.path)
            return unix
        endpoint: IStreamClientEndpoint = _tcp(reactor, place.host, place.port)
        if place.scheme == "http":
            return endpoint
        options = client_options(self._server_name, self._verify, self._authority)
        secured: IStreamClientEndpoint = wrapClientTLS(options, endpoint)
        return secured


def _tcp(reactor: Any, host: str, port: int) -> Any:
    """An endpoint; addresses are not looked up."""
    if not _is_address(host):
        return HostnameEndpoint(reactor, host, port)
    return (TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint)(reactor, host, port)


def _authority(place: _Place) -> bytes:
    host = f"[{place.host}]" if ":" in place.host else place.host
    is_default = place.port == _PORTS.get(place.scheme, 0)
    return (host if is_default else f"{host}:{place.port}").encode("ascii")


def _parse(url: str) -> _Place:
    match = _UNIX.fullmatch(url)
    if match:
        prefix = _prefix(url, match[2] or "")
        return _Place(scheme="unix", host="localhost", port=0, prefix=prefix, path=match[1])
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError(f"not the URL of an upstream: {url!r}; http://127.0.0.1:9000 is one")
    scheme, address, name, number, path = match.groups()
    scheme = scheme.lower()
    port = _PORTS[scheme] if number is None else int(number)
    if not 0 < port < 65536 or not _is_address(address or "::"):
        raise ValueError(f"not the URL of an upstream: {url!r}: no such host or port")
    host = (address or name).lower()
    return _Place(scheme=scheme, host=host, port=port, prefix=_prefix(url, path or ""))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _prefix(url: str, path: str) -> str:
    if not _PREFIX.fullmatch(path) or has_dot_segments(path.encode()):
        raise ValueError(f"not a path to put before those of requests: {path!r} in {url!r}")
    return path.removesuffix("/")
