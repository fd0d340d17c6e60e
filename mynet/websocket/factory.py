"""`WebSocketFactory`: WebSocket alone, to be added to any reactor by any endpoint.

It is for Twisted projects that want nothing else of mynet. HTTP is there all the same, since that
is how a WebSocket begins, and so are all its limits; but any other request is answered with 426.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from twisted.internet.interfaces import IReactorTime

from mynet.http.factory import HTTPFactory
from mynet.http.limits import Limits
from mynet.http.shared import Access
from mynet.websocket.opening import BuildProtocol, WebSocketHandler
from mynet.websocket.policy import Policy, PolicyFields


class WebSocketFactory(HTTPFactory):
    """Serves a protocol of its own to each WebSocket, whatever the path.

    On `drain` all are closed with 1001. `stats` counts what HTTP does, as of any `HTTPFactory`,
    and `shared.stats` what the WebSockets do, as of any endpoint.
    """

    def __init__(
        self,
        build_protocol: BuildProtocol,
        *,
        policy: Policy | None = None,
        limits: Limits | None = None,
        access_log: Callable[[Access], None] | None = None,
        reactor: IReactorTime | None = None,
        **fields: Unpack[PolicyFields],
    ) -> None:
        """An own factory for each kind of protocol.

        Args:
            build_protocol: Called with each request that asks for a WebSocket; makes its
                protocol, or a Response that refuses it.
            policy: `Policy()` unless given.
            limits: Those of HTTP: `Limits()` unless given.
            access_log: Called after each response.
            reactor: Whose time is used: the global reactor unless given.
            fields: What is different in the policy: `max_message_size=4096`.
        """
        handler = WebSocketHandler(build_protocol, policy=policy, **fields)
        super().__init__(handler, limits, access_log=access_log, reactor=reactor)
        self.shared = handler.shared
        """The policy and counts of the WebSockets."""
