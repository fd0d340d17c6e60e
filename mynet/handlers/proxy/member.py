"""An upstream as one proxy knows it: its connections, how it did, and whether it is well."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from mynet.handlers.proxy.health import FailurePolicy, Record
from mynet.handlers.proxy.upstream import Upstream
from mynet.http.client_limits import ClientLimits
from mynet.http.pool import Pool


class Member:
    """One of the upstreams of a proxy."""

    __slots__ = (
        "_limits",
        "_reactor",
        "host_line",
        "is_down",
        "origin",
        "pool",
        "prefix",
        "record",
        "tunnels",
        "upstream",
    )

    def __init__(
        self,
        upstream: Upstream,
        policy: FailurePolicy,
        limits: ClientLimits | None = None,
        reactor: Any = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            upstream: Where it is.
            policy: When it is left alone.
            limits: Of its connections.
            reactor: Where they are; the global one unless given, looked up when one is needed.
        """
        self.upstream = upstream
        self.prefix = upstream.prefix
        self.origin = upstream.origin
        self.host_line = b"Host: %b\r\n" % upstream.authority
        self.pool: Pool | None = None
        """Its connections, once there was a request."""
        self.record = Record(policy)
        self.is_down = False
        """Whether checks say so."""
        self.tunnels = 0
        """How many connections have been handed over to another protocol."""
        self._limits = limits
        self._reactor = reactor

    def __repr__(self) -> str:
        return self.upstream.url

    @property
    def reactor(self) -> Any:
        """The reactor in which it is asked."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor

    @property
    def now(self) -> float:
        """The reactor's time, in seconds."""
        seconds: float = self.reactor.seconds()
        return seconds

    @property
    def load(self) -> int:
        """How many requests and tunnels it has right now."""
        pool = self.pool
        return self.tunnels + (0 if pool is None else pool.in_use + pool.waiting)

    def open(self) -> Pool:
        """Its connections.

        Raises:
            OSError, ValueError: What it needs for TLS cannot be read.
        """
        if self.pool is None:
            self.pool = self.make_pool(self._limits)
        return self.pool

    def make_pool(self, limits: ClientLimits | None) -> Pool:
        """Further connections to it, which are apart."""
        endpoint = self.upstream.endpoint(self.reactor)
        return Pool(endpoint, limits, clock=self.reactor)

    def end_tunnel(self) -> None:
        """One of its tunnels is over."""
        self.tunnels -= 1

    def close(self) -> Deferred[None]:
        """Cut off what is in progress. A new request opens new connections.

        Returns:
            A Deferred that fires when no connection is left, but for those handed over.
        """
        pool, self.pool = self.pool, None
        return succeed(None) if pool is None else pool.close()
