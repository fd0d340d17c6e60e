"""One request on its way through a proxy: to an upstream, to another if that may be, and back.

Only what certainly changes nothing is sent again: what has not been sent at all, and what was not
answered at all if its method is idempotent (RFC 9110 section 9.2.2); never with a body of which
something is gone, nor once the client has a part of an answer.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.proxy.balancing import Balancer
from mynet.handlers.proxy.inbound import ResponseFields, bodiless, move, with_body
from mynet.handlers.proxy.member import Member
from mynet.handlers.proxy.outbound import Outbound, StreamedBody
from mynet.handlers.proxy.target import join
from mynet.handlers.proxy.tunnel import Tunnel
from mynet.http import HTTPError, Request, Response, Upgrade
from mynet.http.body import RequestBody
from mynet.http.client_errors import (
    BadResponse,
    ClientError,
    NotAnswered,
    PoolFull,
    UpstreamTimeout,
)
from mynet.http.client_request import at_hand
from mynet.http.client_response import ClientResponse
from mynet.http.exchange import RawHeaders
from mynet.http.pool import IDEMPOTENT
from mynet.http.reading import decode_fields

log = Logger()

_MOVED = frozenset({201, 301, 302, 303, 307, 308})


class CutShort(HTTPError):  # noqa: N818  (what happened)
    """An answer that ends before its end. Only a log is told of the upstream, and not a client."""

    def __init__(self, upstream: Member, error: ClientError) -> None:
        super().__init__(status_of(error))
        self.__cause__ = error
        self._story = f"{upstream}: {error}"

    def __str__(self) -> str:
        return self._story


class Policies(Protocol):
    """What a relay asks of its proxy."""

    balancer: Balancer
    responses: ResponseFields
    retries: int
    tunnel_timeout: float
    send_timeout: float


class Relay:
    """A request, and where it has been."""

    __slots__ = ("_body", "_member", "_outbound", "_proxy", "_request", "_target", "_tried")

    def __init__(
        self, proxy: Policies, request: Request, outbound: Outbound, target: bytes
    ) -> None:
        self._proxy = proxy
        self._request = request
        self._outbound = outbound
        self._target = target
        body = request.body
        self._body = None if body is None else _body_of(request, body)
        self._member: Member | None = None
        self._tried: tuple[Member, ...] = ()

    def send(self) -> Deferred[Response]:
        """Hand it to an upstream.

        Returns:
            A Deferred of the response. It fails with `HTTPError`: 502, 503 or 504 where there is
            none, and with what the body of the request fails with. Cancelling it ends all.

        Raises:
            HTTPError: 503, all upstreams are down.
        """
        member = self._proxy.balancer.pick(())
        if member is None:
            log.warn("all upstreams are down: {request} is answered 503", request=self._request)
            raise HTTPError(503)
        return self._send_to(member)

    def _send_to(self, member: Member) -> Deferred[Response]:
        self._member = member
        pool = member.pool or member.open()
        outbound = self._outbound
        lines = member.host_line + outbound.lines if outbound.hostless else outbound.lines
        target = join(member.prefix, self._target)
        method = self._request.method
        answer: Deferred[Any]
        if outbound.upgrade and self._body is None:
            lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % outbound.upgrade
            answer = pool.send(method, target, lines, interim=self._pass_on, upgrade=True)
        else:
            answer = pool.send(method, target, lines, self._body, interim=self._pass_on)
        return answer.addCallbacks(self._answered, self._failed)

    def _pass_on(self, status: int, fields: RawHeaders) -> None:
        """An interim response. That the body may be sent is for our own server to say."""
        if status != 100 and not self._request.finished:
            self._request.exchange.send_informational(status, self._proxy.responses.make(fields))

    # An answer

    def _answered(self, answer: ClientResponse) -> Response:
        member = self._member
        assert member is not None
        status = answer.status
        if isinstance(answer.body, bytes):
            member.record.answered()
        if status == 101:
            return self._switch(answer, member)
        if self._request.method == "HEAD" or status == 304:
            response = bodiless(answer, self._proxy.responses)
        else:
            response = with_body(
                answer, self._proxy.responses, member.record.answered, self._cut_short
            )
        if status in _MOVED and member.origin:
            move(response, member.origin, self._request.root_path)
        return response

    def _switch(self, answer: ClientResponse, member: Member) -> Response:
        """The upstream changes the protocol: join its connection and the client's."""
        fields = answer.raw_headers
        token = b",".join(value for name, value in fields if name == b"upgrade")
        if token.lower() != self._outbound.upgrade.lower():
            answer.close()
            wrong = BadResponse(f"it changes to {token!r}, not to {self._outbound.upgrade!r}")
            self._give_up(wrong)
        member.tunnels += 1
        tunnel = Tunnel(
            answer,
            self._request.exchange.sweep,
            idle_timeout=self._proxy.tunnel_timeout,
            send_timeout=self._proxy.send_timeout,
            on_end=member.end_tunnel,
        )
        self._request.on_finish(tunnel.give_up)
        pairs = decode_fields(self._proxy.responses.make(fields))
        return Upgrade(token.decode("latin-1"), tunnel.client, pairs)

    # None

    def _failed(self, failure: Failure) -> Failure | Deferred[Response]:
        error = failure.value
        if not isinstance(error, ClientError):
            return failure  # it is the request's own, or its client has gone
        member = self._count(error)
        self._tried = (*self._tried, member)
        other = self._proxy.balancer.pick(self._tried) if self._may_be_repeated(error) else None
        if other is None:
            self._give_up(error)
        return self._send_to(other)

    def _count(self, error: ClientError) -> Member:
        """Have the upstream left alone, if it has failed so often; return it."""
        member = self._member
        assert member is not None
        stale = isinstance(error, NotAnswered) and error.reused  # which any server may do
        if not is_queue(error) and not stale and member.record.failed(member.now):
            log.warn(
                "{upstream} is left alone for {seconds:.0f} s: {error}",
                upstream=member,
                seconds=member.record.out_until - member.now,
                error=error,
            )
        return member

    def _may_be_repeated(self, error: ClientError) -> bool:
        if len(self._tried) > self._proxy.retries:
            return False
        body = self._body
        if isinstance(body, StreamedBody) and body.started:
            return False
        unanswered = isinstance(error, NotAnswered) and self._request.method in IDEMPOTENT
        return unanswered or not error.sent

    def _cut_short(self, error: ClientError) -> CutShort:
        """The client has a part of an answer, and will see that it is only a part."""
        return CutShort(self._count(error), error)

    def _give_up(self, error: ClientError) -> NoReturn:
        status = status_of(error)
        log.warn(
            "{upstream}: {error}: {request} is answered {status}",
            upstream=self._member,
            error=error,
            request=self._request,
            status=status,
        )
        raise HTTPError(status)


def _body_of(request: Request, body: RequestBody) -> bytes | StreamedBody:
    """What is sent of a body: as one if all of it is here, since that can be sent again."""
    whole = at_hand(body)
    return whole if isinstance(whole, bytes) else StreamedBody(request, body)


def status_of(error: ClientError) -> int:
    """What a client is answered that gets no answer from an upstream."""
    if is_queue(error):
        return 503
    return 504 if isinstance(error, UpstreamTimeout) else 502


def is_queue(error: ClientError) -> bool:
    """Whether the request only waited, for one of too few connections."""
    return isinstance(error, PoolFull) or getattr(error, "kind", "") == "queue"
