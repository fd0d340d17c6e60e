"""Connections to one server, kept and shared: whoever asks it something asks a pool.

What has rested least is used first, so that few connections serve where few are needed. Past the
limit of connections requests wait, in order; past the limit of those they are refused. A server
closes a connection that rests whenever it likes, maybe just when a request is on its way: where
that does no harm the request is sent again, once.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.client import ClientConnection
from mynet.http.client_errors import (
    CannotConnect,
    ClientError,
    NotAnswered,
    PoolFull,
    ResponseCut,
    UpstreamTimeout,
)
from mynet.http.client_limits import ClientLimits
from mynet.http.client_request import Call, RequestSource
from mynet.http.client_response import ClientResponse
from mynet.http.exchange import RawHeaders
from mynet.http.response_reading import ResponseReader
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.writing import PROTOCOLS_OWN, field_lines

log = Logger()

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""Methods whose requests do no more when they come twice (RFC 9110 section 9.2.2)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[!-~]+")


class Pool:
    """The connections to one server."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        limits: ClientLimits | None = None,
        *,
        clock: IReactorTime | None = None,
    ) -> None:
        """Nothing is connected until something is asked.

        Args:
            endpoint: Where the server is; with TLS, if it speaks that. Its own deadline should
                be later than `connect_timeout`.
            limits: `ClientLimits()` unless given.
            clock: Whose time is used: the global reactor's unless given.
        """
        self.limits = limits or ClientLimits()
        self.chunk_limits = self.limits.chunks
        self.reader = ResponseReader(self.limits)
        self.sweep: Sweep[Deadlines] = Sweep(clock)
        self._endpoint = endpoint
        self._open: set[ClientConnection] = set()
        self._usable: set[ClientConnection] = set()  # of which no request was the last
        self._idle: list[ClientConnection] = []
        self._attempts: set[_Attempt] = set()
        self._made_by: dict[ClientConnection, _Attempt] = {}
        self._waiting: deque[Call] = deque()
        self._filling = False
        self._closed = False
        self._drained: list[Deferred[None]] = []

    @property
    def in_use(self) -> int:
        """Connections on which a request is in progress."""
        return len(self._usable) - len(self._idle)

    @property
    def idle(self) -> int:
        """Connections that rest."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that have no connection yet."""
        return len(self._waiting)

    # Requests

    def request(
        self,
        method: str,
        target: bytes,
        fields: RawHeaders,
        body: RequestSource = None,
        *,
        interim: Callable[[int, RawHeaders], object] | None = None,
    ) -> Deferred[ClientResponse]:
        """Ask the server something.

        Args:
            method: GET, say; not CONNECT, whose answer is no response but a tunnel.
            target: As it is sent: a path with its query, mostly.
            fields: With Host, and without what frames the request: that is made of the body.
            body: Bytes, or the body of a request that is passed on, as it comes.
            interim: As for `send`.

        Returns:
            As `send`.

        Raises:
            ValueError: Something of this cannot be sent.
        """
        if not _TOKEN.fullmatch(method) or method == "CONNECT":
            raise ValueError(f"not a method that can be sent: {method!r}")
        if not _TARGET.fullmatch(target):
            raise ValueError(f"not a request target: {target!r}")
        if not PROTOCOLS_OWN.isdisjoint(name.lower() for name, _ in fields):
            raise ValueError("what frames a request is made of its body")
        return self.send(method, target, field_lines(fields), body, interim=interim)

    def send(
        self,
        method: str,
        target: bytes,
        lines: bytes,
        body: RequestSource = None,
        *,
        interim: Callable[[int, RawHeaders], object] | None = None,
        upgrade: bool = False,
    ) -> Deferred[ClientResponse]:
        """Send a request all of whose parts are valid, which is not looked at.

        Args:
            method: A token.
            target: In any form.
            lines: The fields, each with its CRLF; with Host, without Content-Length and
                Transfer-Encoding. Connection may be among them for an upgrade.
            body: Bytes, or a body that is passed on, as it comes. What of that has arrived as a
                whole is sent as bytes: see `mynet.http.client_request.at_hand`.
            interim: Called with status and fields of each interim response.
            upgrade: Whether a 101 may be the answer; else that is a `BadResponse`.

        Returns:
            A Deferred of the response, which comes when its head is here; that of a request
            that was sent as a whole, when its body is, if that has a Content-Length no
            larger than the limit `gather`. To cancel it cuts the exchange off. It fails with a
            `ClientError`, and with what the body raises while it is read.
        """
        call = Call(method, target, lines, body)
        if interim is not None:
            call.interim = interim
        if upgrade:
            call.upgrade = True
        if self._idle:
            self._idle.pop().send(call)
            return call
        limits = self.limits
        if self._closed:
            call.errback(PoolFull("the pool is closed"))
        elif self._is_full() and len(self._waiting) - len(self._attempts) >= limits.max_waiting:
            call.errback(PoolFull(f"{limits.max_waiting} requests wait already"))
        else:
            self._waiting.append(call)
            self._wait(call)
        return call

    def _is_full(self) -> bool:
        return len(self._usable) + len(self._attempts) >= self.limits.max_connections

    def _wait(self, call: Call) -> None:
        call.carrier = self
        self.sweep.add(self)
        call.deadline = self.sweep.next + self.limits.queue_timeout
        self._fill()

    def _fill(self) -> None:
        """Make connections for those who wait, as many as there may be."""
        if self._filling:
            return
        self._filling = True
        while len(self._waiting) > len(self._attempts) and not self._is_full():
            self.sweep.add(self)
            attempt = _Attempt(self, self.sweep.next + self.limits.connect_timeout)
            self._attempts.add(attempt)
            attempt.begin(self._endpoint)
        self._filling = False

    def forget(self, call: Call) -> None:
        """See `Carrier`."""
        if call in self._waiting:
            self._waiting.remove(call)

    # For its attempts

    def building(self, connection: ClientConnection, attempt: _Attempt) -> None:
        """An attempt may become this connection."""
        self._open.add(connection)
        self._made_by[connection] = attempt

    def not_connected(self, attempt: _Attempt, error: ClientError) -> None:
        """An attempt has failed: so has the request that has waited longest."""
        if attempt in self._attempts:
            self._attempts.discard(attempt)
            if self._waiting:
                self._waiting.popleft().errback(error)
            self._fill()
            self._check_drained()

    # For its connections: Home

    def connected(self, connection: ClientConnection) -> None:
        """It is there."""
        attempt = self._made_by.pop(connection)
        if attempt in self._attempts:
            self._attempts.discard(attempt)
            self._usable.add(connection)
            self.rests(connection)
        else:  # it comes too late
            connection.close()

    def rests(self, connection: ClientConnection) -> None:
        """It waits for a request."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        elif self._closed or len(self._idle) >= self.limits.max_idle:
            connection.close()
        else:
            self._idle.append(connection)

    def retired(self, connection: ClientConnection) -> None:
        """It takes no more requests."""
        if connection in self._usable:
            self._usable.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._fill()

    def switched(self, connection: ClientConnection) -> None:
        """It is another protocol's."""
        self._open.discard(connection)
        self._check_drained()

    def failed(self, call: Call, reason: Failure) -> None:
        """There will be no response to this."""
        error = reason.value
        stale = isinstance(error, NotAnswered) and error.reused and not self._closed
        if stale and not call.again and call.stream is None and call.method in IDEMPOTENT:
            call.again = True
            self._waiting.appendleft(call)
            self._wait(call)
        else:
            call.errback(reason)

    def lost(self, connection: ClientConnection, reason: Failure) -> None:
        """It is over."""
        self._open.discard(connection)
        attempt = self._made_by.pop(connection, None)
        if attempt is not None:
            attempt.fail(reason)
        if not self._open:
            self.reader.latest = None
        self._check_drained()

    # Deadlines

    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now."""
        limits = self.limits
        for attempt in [each for each in self._attempts if each.deadline <= now]:
            attempt.give_up(UpstreamTimeout("connect", limits.connect_timeout))
        for call in [each for each in self._waiting if each.deadline <= now]:
            if call in self._waiting:
                self._waiting.remove(call)
                call.errback(UpstreamTimeout("queue", limits.queue_timeout))
        if not self._waiting and not self._attempts:
            self.sweep.discard(self)

    # Its end

    def drain(self) -> Deferred[None]:
        """Take no more requests, and end in good order.

        What rests is closed; what is in progress, or waits, goes on.

        Returns:
            A Deferred that fires when no connection is left, but for those that were handed over.
        """
        self._closed = True
        for connection in tuple(self._idle):
            connection.close()
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        self._check_drained()
        return drained

    def close(self) -> Deferred[None]:
        """End it at once: what waits fails with `PoolFull`, what is in progress is cut off.

        Returns:
            As `drain`.
        """
        self._closed = True
        error = PoolFull("the pool was closed")
        waiting, self._waiting = self._waiting, deque()
        for attempt in tuple(self._attempts):
            attempt.give_up(error)
        for call in waiting:
            call.errback(error)
        for connection in self._open - set(self._idle):
            connection.cut(ResponseCut("the pool was closed"))
        return self.drain()

    def _check_drained(self) -> None:
        if self._closed and not (self._open or self._attempts or self._waiting):
            self.sweep.discard(self)
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)


@implementer(IProtocolFactory)
class _Attempt:
    """One connection in the making."""

    def __init__(self, pool: Pool, deadline: float) -> None:
        self.deadline = deadline
        self._pool = pool
        self._connecting: Deferred[Any] | None = None
        self._connection: ClientConnection | None = None

    def begin(self, endpoint: IStreamClientEndpoint) -> None:
        connecting = self._connecting = maybeDeferred(endpoint.connect, self)
        connecting.addErrback(self.fail)

    def fail(self, reason: Failure) -> None:
        error = CannotConnect(f"there is no connection: {reason.getErrorMessage()}")
        error.__cause__ = reason.value
        self._pool.not_connected(self, error)

    def give_up(self, error: ClientError) -> None:
        self._pool.not_connected(self, error)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.abandon()

    # IProtocolFactory

    def doStart(self) -> None:
        """It is about to connect."""

    def doStop(self) -> None:
        """It is over."""

    def buildProtocol(self, addr: IAddress) -> ClientConnection:
        connection = self._connection = ClientConnection(self._pool)
        self._pool.building(connection, self)
        return connection
