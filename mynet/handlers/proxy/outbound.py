"""What is sent to an upstream of a request's header fields. Sans I/O.

They are written anew from what was parsed. What concerns one connection stays behind, and the
frame is left to who sends the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from mynet.handlers.proxy.fields import (
    CACHED,
    CACHED_SIZE,
    HOP_BY_HOP,
    appended,
    end_to_end,
    tokens,
    via_element,
)
from mynet.handlers.proxy.origin import Trusted, is_claim, origin_fields
from mynet.http import HTTPError, Request
from mynet.http.body import RequestBody
from mynet.http.exchange import RawHeaders
from mynet.http.writing import field_lines

_NOT_FORWARDED = HOP_BY_HOP | {b"content-length", b"expect", b"host", b"proxy"}
"""`Proxy` becomes HTTP_PROXY in CGI, and by that the proxy of whatever the application asks."""


class Outbound(NamedTuple):
    """What the fields of a request become."""

    lines: bytes
    """The lines to send; with Host, unless that is missing."""
    hostless: bool
    """Whether the upstream's own Host is to be added."""
    upgrade: bytes
    """The protocol that is asked for, as it was sent, if it may be; else empty."""
    max_forwards: int | None
    """How often the request was to be forwarded at most, by this proxy and further ones."""


class RequestFields:
    """Makes that, by the policies of one proxy, and remembers it."""

    def __init__(
        self,
        host: str = "preserve",
        via: str | None = None,
        trusted: Iterable[str] = (),
        upgrades: Iterable[str] = ("websocket",),
    ) -> None:
        """See `ReverseProxy`.

        Raises:
            ValueError: One of them is none.
        """
        self._host = host.encode("ascii")
        field_lines([(b"Host", self._host)])
        self._via = via_element(via)
        self._trusted = Trusted(trusted)
        names = [upgrades] if isinstance(upgrades, str) else upgrades
        self._upgrades = frozenset(name.lower().encode("ascii") for name in names)
        self._cache: dict[tuple[bytes, bytes, str, str, str], Outbound] = {}

    def of(self, request: Request) -> Outbound:
        """What the fields of a request become.

        Raises:
            HTTPError: 400, one is not valid.
        """
        section = request._raw_headers
        if not isinstance(section, bytes) or len(section) > CACHED_SIZE:
            return self._make(request)
        exchange = request.exchange
        client: str = getattr(exchange.client, "host", "")
        key = (section, request._host, client, exchange.scheme, request.root_path)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            found = self._cache[key] = self._make(request)
        return found

    def _make(self, request: Request) -> Outbound:
        fields = request.peek_raw_headers()
        kept = _kept(fields)
        left = _count_down(kept)
        if self._via is not None:
            kept = appended(kept, b"via", self._via)
        host = request._host if self._host == b"preserve" else self._host
        hostless = not host or host == b"upstream"
        first = [] if hostless else [(b"Host", host)]
        origin = origin_fields(request, fields, request.client in self._trusted)
        try:
            lines = field_lines([*first, *kept, *origin])
        except ValueError:
            raise HTTPError(400, "A header field is not valid.") from None
        return Outbound(lines, hostless, self._upgrade(request, fields), left)

    def _upgrade(self, request: Request, fields: RawHeaders) -> bytes:
        if request.version != "1.1" or b"upgrade" not in tokens(fields, b"connection"):
            return b""
        offers = b",".join(value for name, value in fields if name == b"upgrade").split(b",")
        wanted = (offer.strip() for offer in offers)
        return next((each for each in wanted if each.lower() in self._upgrades), b"")


class StreamedBody:
    """A request's body that is sent as it comes, and those of its trailers that may go on.

    What a client may not say of itself in the head it may not say there either: some servers make
    one of both.
    """

    def __init__(self, request: Request, body: RequestBody) -> None:
        self._request = request
        self._body = body

    @property
    def started(self) -> bool:
        """Whether some of it is gone."""
        return self._body.started

    # BodyStream

    @property
    def declared(self) -> int | None:
        return self._body.declared

    @property
    def trailers(self) -> RawHeaders:
        trailers = self._body.trailers
        if not trailers:
            return ()
        return _kept(self._request.peek_raw_headers(), trailers)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body


def _kept(fields: RawHeaders, trailers: RawHeaders | None = None) -> list[tuple[bytes, bytes]]:
    """What of a client's fields, or of its trailers, goes on as it is; see `end_to_end`.

    As in `mynet.handlers.proxy.origin`, underscores count as hyphens.
    """
    kept = end_to_end(fields, _NOT_FORWARDED, trailers)
    return [
        field
        for field in kept
        if not is_claim(field[0]) and field[0].replace(b"_", b"-") not in _NOT_FORWARDED
    ]


def _count_down(fields: list[tuple[bytes, bytes]]) -> int | None:
    """Count Max-Forwards down, in place (RFC 9110 section 7.6.2), and return what it was."""
    for place, (name, value) in enumerate(fields):
        if name == b"max-forwards" and value.isdigit() and len(value) < 10:
            fields[place] = name, b"%d" % max(int(value) - 1, 0)
            return int(value)
    return None
