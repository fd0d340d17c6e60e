"""The handler that hands requests to other servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from mynet.handlers.proxy.balancing import Balancer
from mynet.handlers.proxy.checking import Checker
from mynet.handlers.proxy.health import FailurePolicy, HealthCheck
from mynet.handlers.proxy.inbound import ResponseFields
from mynet.handlers.proxy.member import Member
from mynet.handlers.proxy.outbound import RequestFields
from mynet.handlers.proxy.relay import Relay
from mynet.handlers.proxy.target import path_and_query
from mynet.handlers.proxy.upstream import Upstream
from mynet.http import HTTPError, Request, Response
from mynet.http.client_limits import ClientLimits


class ReverseProxy:
    """Hands requests to one server or several, and their answers to clients.

    Nothing is copied: both are framed anew from what was parsed, and whatever could be parsed in
    two ways is refused. Bodies stream both ways at the pace of whoever takes them. WebSockets
    pass. Where there is no answer, the client gets 502 (no connection, nonsense), 503 (too many
    requests wait, all upstreams are down) or 504 (too late), and the log says why; an answer
    that ends before its end cuts off the client's connection.
    """

    def __init__(
        self,
        *upstreams: str | Upstream,
        host: str = "preserve",
        trusted: Iterable[str] = (),
        via: str | None = None,
        upgrades: Iterable[str] = ("websocket",),
        retries: int = 1,
        failures: FailurePolicy | None = None,
        check: HealthCheck | None = None,
        limits: ClientLimits | None = None,
        tunnel_timeout: float = 3600.0,
        reactor: Any = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            upstreams: Where they are: `http://127.0.0.1:9000`; see
                `mynet.handlers.proxy.upstream`. Each request goes to the one with the fewest.
            host: The Host that they get: `preserve`: what the client sent; `upstream`: that of
                their URL; anything else is the Host itself.
            trusted: Networks (`10.0.0.0/8`) of proxies before this one, and `unix` for those that
                come by UNIX sockets. What these say of where a request came from (Forwarded,
                X-Forwarded-*, X-Real-IP) goes on, and what anybody else says does not.
            via: The name of this proxy in Via; None: no Via.
            upgrades: Protocols that a connection may be changed to. Other Upgrades are ignored.
            retries: To how many further upstreams a request may be handed when it has certainly
                not been sent, or, if its method is idempotent, was not answered at all.
            failures: When an upstream is left alone as long as there is another.
            check: How each is asked whether it is well, from `start` to `stop`; None: it is not.
            limits: Of the connections to each upstream.
            tunnel_timeout: Seconds after which a connection that was changed to another protocol
                is cut off, if nothing passes either way.
            reactor: Where the connections are: the global reactor unless given.

        Raises:
            ValueError: One of them is none, or there are no upstreams.
        """
        if not upstreams:
            raise ValueError("a proxy needs an upstream")
        if not retries >= 0 or not tunnel_timeout > 0:
            raise ValueError("retries must be 0 or more, and tunnel_timeout more than 0")
        limits = limits or ClientLimits()
        policy = failures or FailurePolicy()
        self._requests = RequestFields(host, via, trusted, upgrades)
        self._members = [
            Member(each if isinstance(each, Upstream) else Upstream(each), policy, limits, reactor)
            for each in upstreams
        ]
        self._checkers = [] if check is None else [Checker(each, check) for each in self._members]
        # For relays
        self.balancer = Balancer(self._members)
        self.responses = ResponseFields(via)
        self.retries = retries
        self.send_timeout = limits.send_timeout
        self.tunnel_timeout = tunnel_timeout

    def __repr__(self) -> str:
        return f"<ReverseProxy to {', '.join(map(str, self._members))}>"

    def __call__(self, request: Request) -> Response | Deferred[Response]:
        """Hand a request to an upstream.

        Raises:
            HTTPError: 400, its path has dot segments; 501, it is a TRACE, which would show what
                has been added; 503, all upstreams are down.
        """
        outbound = self._requests.of(request)
        method = request.method
        if method == "TRACE":
            raise HTTPError(501, "TRACE is not handed on.")
        if method == "OPTIONS" and outbound.max_forwards == 0:
            return Response(b"", 204)
        return Relay(self, request, outbound, path_and_query(request)).send()

    def start(self) -> None:
        """Begin to check the upstreams, if that is to be.

        Raises:
            OSError, ValueError: What TLS to one of them needs cannot be read.
        """
        for member in self._members:
            member.open()
        for checker in self._checkers:
            checker.start()

    async def stop(self) -> None:
        """End the checks, and whatever is still in progress, but for what has been upgraded."""
        ends = [checker.stop() for checker in self._checkers]
        ends += [member.close() for member in self._members]
        for end in ends:
            await end
