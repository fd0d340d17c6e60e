"""What an upstream is told of where a request came from: Forwarded (RFC 7239), X-Forwarded-*.

What the client says of that stays behind, and the proxy says it itself: anybody can claim to come
from anywhere. Only of clients in trusted networks, which are proxies too, does it go on, with what
this proxy knows behind it. Underscores count as hyphens, since what a Python or PHP application
sees of `X_Forwarded_For` is what it sees of `X-Forwarded-For`. Sans I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from twisted.internet.interfaces import IAddress

from mynet.http import Request
from mynet.http.exchange import RawHeaders

UNIX = "unix"
"""Names, among networks, whoever comes by a UNIX socket."""

_TOLD = frozenset(
    b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-prefix".split()
)


class Trusted:
    """Clients whose word counts."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Of `10.0.0.0/8`, `::1`, `unix` and the like.

        Raises:
            ValueError: One is not a network.
        """
        names = [networks] if isinstance(networks, str) else list(networks)
        self._unix = UNIX in names
        self._networks = [ip_network(name) for name in names if name != UNIX]

    def __contains__(self, client: IAddress) -> bool:
        host = getattr(client, "host", None)
        if host is None:
            return self._unix
        return bool(self._networks) and self._has(host)

    def _has(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def is_claim(name: bytes) -> bool:
    """Whether a field, by its name in lower case, says where a request came from."""
    name = name.replace(b"_", b"-")
    return name.startswith(b"x-forwarded-") or name in (b"forwarded", b"x-real-ip")


def origin_fields(request: Request, fields: RawHeaders, trusted: bool) -> RawHeaders:
    """The fields that an upstream gets in place of the client's claims.

    Args:
        request: The request.
        fields: What its client sent.
        trusted: Whether the claims among them are to be believed.
    """
    claims = [field for field in fields if is_claim(field[0])] if trusted else []
    scheme, host = request.scheme.encode("ascii"), request._host
    address = getattr(request.client, "host", "").partition("%")[0]
    told = [
        (b"Forwarded", _list(claims, b"forwarded", forwarded(address, host, scheme))),
        (b"X-Forwarded-For", _list(claims, b"x-forwarded-for", address.encode("ascii"))),
        (b"X-Forwarded-Proto", _first(claims, b"x-forwarded-proto") or scheme),
        (b"X-Forwarded-Host", _first(claims, b"x-forwarded-host") or host),
        (b"X-Forwarded-Prefix", _first(claims, b"x-forwarded-prefix") + _mounted(request)),
    ]
    believed = [field for field in claims if field[0] not in _TOLD and b"_" not in field[0]]
    return [*believed, *((name, value) for name, value in told if value)]


def forwarded(address: str, host: bytes, scheme: bytes) -> bytes:
    """An element of Forwarded (RFC 7239 section 4); the address is empty where there is none."""
    node = f'"[{address}]"' if ":" in address else address or "unknown"
    named = b';host="%b"' % host if host else b""
    return b"for=%b%b;proto=%b" % (node.encode("ascii"), named, scheme)


def _mounted(request: Request) -> bytes:
    return request.root_path.encode("ascii")


def _list(claims: RawHeaders, name: bytes, ours: bytes) -> bytes:
    told = [value for each, value in claims if each == name]
    return b", ".join(value for value in [*told, ours] if value)


def _first(claims: RawHeaders, name: bytes) -> bytes:
    return next((value for each, value in claims if each == name), b"")
