"""A client's wish to open a WebSocket: checked here, and answered with an Upgrade or not at all.

Refusing it needs nothing of this: any other Response does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from typing import Unpack

from mynet.http.errors import HTTPError
from mynet.http.message import Request, Response, Upgrade
from mynet.websocket.connection import State, WebSocketConnection
from mynet.websocket.deflate import accept_offers
from mynet.websocket.handshake import (
    check_origin,
    check_request,
    choose_subprotocol,
    response_headers,
)
from mynet.websocket.interfaces import WebSocketProtocol
from mynet.websocket.policy import Policy, PolicyFields
from mynet.websocket.shared import Shared

BuildProtocol = Callable[[Request], WebSocketProtocol | Response | None]
"""Makes the protocol of a connection; or a Response that refuses it, or None: 403. It may raise
HTTPErrors."""


class Choice(Enum):
    """How a subprotocol is chosen."""

    OURS = auto()
    """The first of the policy's that the client offers; none if there is none."""


class Opening:
    """One handshake, which is in order. Whoever has it may take time to decide."""

    __slots__ = ("_extensions", "_key", "request", "shared", "subprotocol", "subprotocols")

    def __init__(self, request: Request, shared: Shared) -> None:
        """Check a request.

        Raises:
            HTTPError: It is no handshake (426, 405, 400), or of a page from elsewhere (403).
        """
        self.request = request
        self.shared = shared
        try:
            handshake = check_request(request.method, request.version, request.peek_raw_headers())
            check_origin(handshake.origin, request.host, shared.policy.origins)
        except HTTPError:
            shared.stats.refused += 1
            raise
        self._key = handshake.key
        self._extensions = handshake.extensions
        self.subprotocols = handshake.subprotocols
        """Those that the client offers, in its order."""
        self.subprotocol = choose_subprotocol(self.subprotocols, shared.policy.subprotocols)
        """The one to be spoken, unless another is given to `accept`."""

    def accept(
        self,
        protocol: WebSocketProtocol,
        subprotocol: str | Choice | None = Choice.OURS,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Upgrade:
        """The response that opens the WebSocket. Its `protocol` is the `WebSocketConnection`.

        Where it is not what the client is answered with, or the client has gone, the protocol's
        `connectionLost` is called when the request is over, and nothing before.

        Args:
            protocol: Which is told all that happens on the connection.
            subprotocol: One that the client offered, or None; that of the policy unless given.
            headers: More fields of the response.

        Raises:
            ValueError: The client did not offer this subprotocol, or a field is one that the
                handshake sets.
        """
        chosen = self._choose(subprotocol)
        deflate = self.shared.policy.deflate
        agreed = None if deflate is None else accept_offers(self._extensions, deflate)
        parameters, extensions = agreed or (None, None)
        fields = response_headers(self._key, chosen, extensions, headers)
        sweep = self.request.exchange.sweep
        connection = WebSocketConnection(self.shared, protocol, sweep, parameters)
        upgrade = Upgrade("websocket", connection, fields)
        self.subprotocol = chosen
        self._await_opening(connection)
        return upgrade

    def _choose(self, subprotocol: str | Choice | None) -> str | None:
        if isinstance(subprotocol, Choice):
            return self.subprotocol
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
        return subprotocol

    def _await_opening(self, connection: WebSocketConnection) -> None:
        """Have it told if it is not open when the request is over; forgotten when it is open."""
        call = partial(_request_over, connection)
        connection._opened = partial(self.request.forget, call)
        self.request.on_finish(call)


def _request_over(connection: WebSocketConnection) -> None:
    """Middleware answered in its place, or the server did, or the client went."""
    if connection.state is State.CONNECTING:
        connection._opened = None
        connection.shared.stats.refused += 1
        connection.connectionLost()


class WebSocketHandler:
    """A Handler whose WebSockets are Twisted-like protocols, each on a connection of its own."""

    def __init__(
        self,
        build_protocol: BuildProtocol,
        *,
        policy: Policy | None = None,
        **fields: Unpack[PolicyFields],
    ) -> None:
        """One endpoint.

        Args:
            build_protocol: Called with each request that asks for a WebSocket.
            policy: `Policy()` unless given.
            fields: What is different in that policy: `max_message_size=4096`.
        """
        self._build_protocol = build_protocol
        self.shared = Shared(policy, **fields)
        """The endpoint's policy and counts."""

    def __call__(self, request: Request) -> Response:
        opening = Opening(request, self.shared)
        try:
            built = self._build_protocol(request)
        except Exception:
            self.shared.stats.refused += 1
            raise
        if isinstance(built, Response):
            self.shared.stats.refused += 1
            return built
        if built is None:
            self.shared.stats.refused += 1
            raise HTTPError(403)
        return opening.accept(built)
