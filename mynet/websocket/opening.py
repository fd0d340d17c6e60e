"""A client's wish to open a WebSocket: checked here, and answered with an Upgrade or not at all.

Refusing it needs nothing of this: any other Response does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Unpack

from mynet.http.errors import HTTPError
from mynet.http.message import Request, Response, Upgrade
from mynet.websocket.connection import WebSocketConnection
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

BuildProtocol = Callable[[Request], WebSocketProtocol | Response]
"""Makes the protocol of a connection, or a Response that refuses it. It may raise HTTPErrors."""


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
        subprotocol: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Upgrade:
        """The response that opens the WebSocket. Its `protocol` is the `WebSocketConnection`.

        Args:
            protocol: Which is told all that happens on the connection.
            subprotocol: One that the client offered; else that of the policy, if any.
            headers: More fields of the response.

        Raises:
            ValueError: The client did not offer this subprotocol.
        """
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise ValueError(f"the client did not offer the subprotocol {subprotocol!r}")
            self.subprotocol = subprotocol
        deflate = self.shared.policy.deflate
        agreed = None if deflate is None else accept_offers(self._extensions, deflate)
        parameters, extensions = agreed or (None, None)
        fields = response_headers(self._key, self.subprotocol, extensions)
        sweep = self.request.exchange.sweep
        connection = WebSocketConnection(self.shared, protocol, sweep, parameters)
        return Upgrade("websocket", connection, [*fields, *headers])


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
        return opening.accept(built)
