"""What the connections of a factory share: a handler, limits, time, counts.

The Date and what else changes with it is made once a second, with the sweep over their deadlines.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from ipaddress import IPv6Address
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from mynet.http.limits import Limits
from mynet.http.message import Handler, Request
from mynet.http.outgoing import plain_template
from mynet.http.reading import HeadReader
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.writing import date_line, status_line

log = Logger()

TEMPLATES = 256
"""How many Content-Types a second are worth remembering."""


class Access(NamedTuple):
    """A response, for an access log; or a request that got none."""

    request: Request | None
    """None where it could not be read."""
    client: IAddress
    status: int
    """499 where the client went before it was answered."""
    length: int
    """Bytes of the body that have been sent."""


class Stats:
    """What a factory has done, in plain integers; read them whenever you like."""

    __slots__ = (
        "accepted",
        "bytes_received",
        "bytes_sent",
        "refused",
        "requests",
        "responses",
        "timeouts",
    )

    def __init__(self) -> None:
        self.accepted = 0
        """Connections."""
        self.refused = 0
        """Connections closed at once because there were too many."""
        self.requests = 0
        """Requests whose head was read."""
        self.responses = [0] * 6
        """By class: `responses[2]` counts those with status 200 to 299."""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.timeouts = 0
        """Deadlines that passed, but for those of idle connections."""


class Member(Deadlines, Protocol):
    """What shares: a connection, as it is seen from here."""

    client: Any
    counted_as: str | None
    transport: Any

    def abort(self) -> None:
        """Cut it off."""

    def drain(self) -> None:
        """End it in good order: now if it is idle, else after the response in progress."""


class Shared:
    """One for each `HTTPFactory`, which it is a part of."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        access_log: Callable[[Access], None] | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        """An own factory for each handler.

        Args:
            handler: What answers; see `mynet.http.message`. Its own `start` and `stop`,
                if any, are the caller's to call.
            limits: `Limits()` unless given.
            access_log: Called after each response.
            reactor: Whose time is used: the global reactor unless given.
        """
        self.handler = handler
        self.limits = limits or Limits()
        self.access_log = access_log
        self.stats = Stats()
        self.connections: set[Member] = set()
        """Those that are open."""
        self.draining = False
        self.context = copy_context()
        """What the context of each request is a copy of."""
        self.reader = HeadReader(self.limits)
        self.sweep: Sweep[Deadlines] = Sweep(reactor, self._tick)
        """Looks at the deadlines of its connections, and of what they were upgraded to."""
        self._per_address: Counter[str] = Counter()
        self._prefixes: dict[int, bytes] = {}
        self.templates: dict[tuple[int, str | None, bool], bytes] = {}
        """What `plain_template` has made this second."""
        self._date = b""
        self._drains: list[tuple[Deferred[None], IDelayedCall]] = []

    @property
    def clock(self) -> IReactorTime:
        """The reactor whose time is used."""
        return self.sweep.clock

    @property
    def now(self) -> float:
        """The reactor's time, in seconds."""
        return self.sweep.now

    def drain(self, timeout: float) -> Deferred[None]:
        """End all connections in good order.

        Idle ones are closed; on others the response in progress is the last, and says so
        if its head has not been sent. Those that are still open after `timeout` seconds
        are cut off. To stop listening before is the caller's part.

        Returns:
            A Deferred that fires when no connection is left. Asked again, the earliest
            deadline holds.
        """
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        if not self.connections:
            return succeed(None)
        drained: Deferred[None] = Deferred()
        self._drains.append((drained, self.clock.callLater(timeout, self._cut_off)))
        return drained

    def _cut_off(self) -> None:
        log.warn("{count} connections did not end in time", count=len(self.connections))
        for connection in tuple(self.connections):
            connection.abort()

    # For connections

    def _is_full(self, client: IAddress | None) -> bool:
        """Whether no more connections may be, at all or of this client."""
        limits = self.limits
        if self.draining:
            return True
        if limits.connections is not None and len(self.connections) >= limits.connections:
            return True
        most = limits.connections_per_address
        address = None if most is None else countable(client)
        return most is not None and address is not None and self._per_address[address] >= most

    def connected(self, connection: Member) -> None:
        """A connection has begun."""
        self.sweep.add(connection)
        self.connections.add(connection)
        self.stats.accepted += 1
        if connection.counted_as is not None:
            self._per_address[connection.counted_as] += 1

    def disconnected(self, connection: Member) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        self.sweep.discard(connection)
        if (address := connection.counted_as) is not None:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]
        if self.connections:
            return
        self.reader.latest = None
        drains, self._drains = self._drains, []
        for drained, deadline in drains:
            if deadline.active():
                deadline.cancel()
            drained.callback(None)

    def responded(
        self, request: Request | None, client: IAddress, status: int, length: int
    ) -> None:
        """A response has been handed to the transport, or its client has gone."""
        self.stats.responses[status // 100] += 1
        if self.access_log is not None:
            try:
                self.access_log(Access(request, client, status, length))
            except Exception:
                log.failure("the access log failed")

    def plain_template(self, status: int, content_type: str | None, keep_alive: bool) -> bytes:
        """See `mynet.http.outgoing.plain_template`."""
        if len(self.templates) >= TEMPLATES:
            self.templates.clear()
        template = plain_template(self.status_and_date(status), content_type, keep_alive)
        self.templates[status, content_type, keep_alive] = template
        return template

    def status_and_date(self, status: int) -> bytes:
        """The first two lines of a response."""
        prefix = self._prefixes.get(status)
        if prefix is None:
            prefix = self._prefixes[status] = status_line(status) + self._date
        return prefix

    def _tick(self) -> None:
        date = date_line(time.time())
        if date != self._date:
            self._date = date
            self._prefixes.clear()
            self.templates.clear()


def countable(client: IAddress | None) -> str | None:
    """By what the connections of a client are counted; None where they are not.

    An IPv6 network of 64 bits counts as one client, since one client has as many
    addresses of it as it likes.
    """
    host = getattr(client, "host", None)
    if not isinstance(host, str) or host.startswith("127."):
        return None
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return None if address.ipv4_mapped.is_loopback else str(address.ipv4_mapped)
    return None if address.is_loopback else address.exploded[:19]
