"""Connecting to a server: `connect` for coroutines, `connect_protocol` for protocols.

A connection is an `Attempt` until the handshake is done: it ends in one of two ways, and its
Deferred tells which. Then a `WebSocketConnection` has it, and what arrives goes straight there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Generic, NamedTuple, Self, TypeVar, Unpack, cast
from weakref import WeakValueDictionary

from multidict import CIMultiDict
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, TimeoutError
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.sweep import Deadlines, Sweep
from mynet.websocket.answer import Answer, AnswerReader
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.deflate import accept_response, make_offer
from mynet.websocket.handshake import HandshakeError, check_response, make_key, request_head
from mynet.websocket.interfaces import WebSocketProtocol
from mynet.websocket.policy import Policy, PolicyFields
from mynet.websocket.shared import Shared
from mynet.websocket.socket import Socket
from mynet.websocket.url import Address, parse_url

P = TypeVar("P", bound=WebSocketProtocol)

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_SERVERS = {"leave_timeout", "origins"}
_sweeps: WeakValueDictionary[int, Sweep[Deadlines]] = WeakValueDictionary()


class Accepted(NamedTuple):
    """What a server has agreed to."""

    url: str
    """Where it was asked."""
    subprotocol: str | None
    """What is spoken, if it chose something."""
    headers: CIMultiDict[str]
    """The fields of its answer."""


class ClientWebSocket(Socket):
    """The client's side of a WebSocket, for coroutines. It is open from the beginning.

    `async with await connect(...) as socket` closes it with 1000 at the end, and waits for that.
    """

    __slots__ = ("response_headers", "subprotocol", "url")

    def __init__(self, accepted: Accepted) -> None:
        super().__init__()
        self.url = accepted.url
        """Where it leads."""
        self.subprotocol = accepted.subprotocol
        """What is spoken, if the server chose something."""
        self.response_headers = accepted.headers
        """The fields of the server's answer."""

    def __repr__(self) -> str:
        return f"<ClientWebSocket to {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def connect(
    url: str,
    *,
    headers: Headers | None = None,
    origin: str | None = None,
    tls: IOpenSSLClientConnectionCreator | None = None,
    endpoint: IStreamClientEndpoint | None = None,
    reactor: IReactorTime | None = None,
    policy: Policy | None = None,
    **fields: Unpack[PolicyFields],
) -> Deferred[ClientWebSocket]:
    """Open a WebSocket. Arguments, result and errors are those of `connect_protocol`."""
    return connect_protocol(
        url,
        ClientWebSocket,
        headers=headers,
        origin=origin,
        tls=tls,
        endpoint=endpoint,
        reactor=reactor,
        policy=policy,
        **fields,
    )


def connect_protocol(
    url: str,
    build_protocol: Callable[[Accepted], P],
    *,
    headers: Headers | None = None,
    origin: str | None = None,
    tls: IOpenSSLClientConnectionCreator | None = None,
    endpoint: IStreamClientEndpoint | None = None,
    reactor: IReactorTime | None = None,
    policy: Policy | None = None,
    **fields: Unpack[PolicyFields],
) -> Deferred[P]:
    """Open a WebSocket for a protocol. Redirects are not followed.

    Args:
        url: `ws://host:port/path?query`, or `wss`.
        build_protocol: Called when the server has accepted.
        headers: More fields of the request, such as Authorization.
        origin: The page to come from, as a browser would say.
        tls: How to check the server's certificate, and what to show it. Unless given, it must
            be for the URL's host, and of an authority that the system trusts.
        endpoint: Where to connect, instead of the URL's host and port: a UNIX socket, a proxy.
        reactor: Runs it: the global one unless given.
        policy: `Policy()` unless given. It says what to offer, and how long it may take until
            the WebSocket is open.
        fields: What is different in that policy: `subprotocols=["chat"]`.

    Returns:
        A Deferred of the protocol. It fires when the WebSocket is open, before any message is
        delivered. To cancel it closes the connection, and so does whatever it fails with:

        - HandshakeRefused: the server answers with another status than 101.
        - HandshakeError: it answers what is no answer to this handshake, or not at all.
        - twisted.internet.error.TimeoutError: `handshake_timeout` has passed.
        - Whatever Twisted says of connections and TLS that fail.
        - Whatever `build_protocol` raises.

    Raises:
        ValueError: This is no WebSocket URL, or there is a wrong header, subprotocol or limit.
        TypeError: A policy has no such field, or it is only for servers.
    """
    if not _SERVERS.isdisjoint(fields):
        raise TypeError(f"a client has no {' or '.join(sorted(_SERVERS & fields.keys()))}")
    address = parse_url(url)
    if tls is not None and not address.tls:
        raise ValueError(f"there is no TLS with {url!r}")
    if reactor is None:
        from twisted.internet import reactor as default

        reactor = cast(IReactorTime, default)
    shared = Shared(policy, **fields)
    deflate = shared.policy.deflate
    key = make_key()
    head = request_head(
        address.target,
        address.authority,
        key,
        subprotocols=shared.policy.subprotocols,
        extensions=None if deflate is None else make_offer(deflate),
        origin=origin,
        headers=CIMultiDict(headers or ()).items(),
    )
    attempt = Attempt(url, head, key, shared, _sweep_of(reactor), build_protocol)
    return attempt.begin(_endpoint(address, endpoint, tls, reactor, shared.policy))


def _endpoint(
    address: Address,
    endpoint: IStreamClientEndpoint | None,
    tls: IOpenSSLClientConnectionCreator | None,
    reactor: Any,
    policy: Policy,
) -> IStreamClientEndpoint:
    """Where to connect, with TLS if the URL has it."""
    if endpoint is None:
        # Its own deadline is for one address of the host, and ours for all of it.
        endpoint = HostnameEndpoint(
            reactor, address.host, address.port, timeout=policy.handshake_timeout
        )
    if not address.tls:
        return endpoint
    if tls is None:
        from twisted.internet.ssl import optionsForClientTLS  # slow to import

        # Without ALPN: what Twisted serves may turn away whoever asks for a protocol by name, and
        # who asks for none gets HTTP/1.1 everywhere.
        tls = optionsForClientTLS(address.host)
    return wrapClientTLS(tls, endpoint)


def _sweep_of(reactor: IReactorTime) -> Sweep[Deadlines]:
    """The one of all clients in a reactor, as long as there are any."""
    sweep = _sweeps.get(id(reactor))
    if sweep is None:
        sweep = _sweeps[id(reactor)] = Sweep(reactor)
    return sweep


@implementer(IProtocol, IProtocolFactory)
class Attempt(Generic[P]):
    """One connection until it is open: the protocol of its transport, and its own factory."""

    direct = True
    """For the uv reactor: `dataReceived` stays what it is until it is told."""

    __slots__ = (
        "_build_protocol",
        "_connecting",
        "_connection",
        "_deadline",
        "_head",
        "_is_decided",
        "_key",
        "_reader",
        "_result",
        "_shared",
        "_sweep",
        "_url",
        "dataReceived",
        "transport",
    )

    def __init__(
        self,
        url: str,
        head: bytes,
        key: bytes,
        shared: Shared,
        sweep: Sweep[Deadlines],
        build_protocol: Callable[[Accepted], P],
    ) -> None:
        """It does nothing until it is told to begin.

        Args:
            url: For `Accepted`.
            head: Of the request.
            key: In that.
            shared: For the connection.
            sweep: For the connection, too.
            build_protocol: See `connect_protocol`.
        """
        self._url = url
        self._head = head
        self._key = key
        self._shared = shared
        self._sweep = sweep
        self._build_protocol = build_protocol
        self._reader = AnswerReader()
        self._result: Deferred[P] = Deferred(self._cancel)
        self._is_decided = False  # how it ends
        self._connecting: Deferred[Any] | None = None
        self._connection: WebSocketConnection | None = None
        self.transport: Any = None
        self.dataReceived: Callable[[bytes], None] = self._receive

    def begin(self, endpoint: IStreamClientEndpoint) -> Deferred[P]:
        """Connect; see `connect_protocol`. To be called once."""
        result = self._result  # which is let go of once it has fired
        timeout = self._shared.policy.handshake_timeout
        self._deadline = self._sweep.clock.callLater(timeout, self._take_too_long)
        connecting = maybeDeferred(endpoint.connect, self)
        if self.transport is None:
            self._connecting = connecting
        connecting.addErrback(self._give_up)
        return result

    # How it can end

    def _decide(self) -> None:
        self._is_decided = True
        if self._deadline.active():
            self._deadline.cancel()

    def _give_up(self, reason: Failure | Exception) -> None:
        if self._is_decided:
            return
        self._decide()
        self.dataReceived = _ignore
        if self.transport is not None:
            self.transport.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._result.errback(reason)

    def _cancel(self, _: Deferred[P]) -> None:
        self._give_up(CancelledError())

    def _take_too_long(self) -> None:
        timeout = self._shared.policy.handshake_timeout
        late = TimeoutError(string=f"the WebSocket was not open after {timeout} s")
        self._give_up(self._reader.refusal or late)

    def _receive(self, data: bytes) -> None:
        try:
            answer = self._reader.read(data)
            if answer is None:
                return
            protocol, connection = self._accept(answer)
        except Exception:
            self._give_up(Failure())
            return
        if not self._is_decided:
            self._open(protocol, connection, answer.rest)

    def _accept(self, answer: Answer) -> tuple[P, WebSocketConnection]:
        """What is made of a 101, if it is in order."""
        policy = self._shared.policy
        subprotocol, extensions = check_response(answer.fields, self._key, policy.subprotocols)
        try:
            parameters = accept_response(extensions, policy.deflate)
        except ValueError as error:
            raise HandshakeError(str(error)) from None
        protocol = self._build_protocol(Accepted(self._url, subprotocol, answer.headers))
        connection = WebSocketConnection(
            self._shared, protocol, self._sweep, parameters, client=True
        )
        return protocol, connection

    def _open(self, protocol: P, connection: WebSocketConnection, rest: bytes) -> None:
        """Hand the transport over."""
        self._connection = connection
        self.dataReceived = connection.dataReceived
        # What Twisted's endpoints put between has done its part; and the uv reactor has looked
        # up dataReceived already.
        below = getattr(self.transport, "protocol", None)
        if self in (below, getattr(below, "_wrappedProtocol", None)):
            self.transport.protocol = self
        connection.makeConnection(self.transport)
        if not self._is_decided:
            self._decide()
            self._result.callback(protocol)
        del self._build_protocol, self._reader, self._result
        if rest:
            connection.dataReceived(rest)

    # IProtocolFactory

    def doStart(self) -> None:
        """It is about to connect."""

    def doStop(self) -> None:
        """It is over."""

    def buildProtocol(self, addr: IAddress) -> Self:
        return self

    # IProtocol, besides dataReceived

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self._connecting = None
        if self._is_decided:  # and the endpoint could not be stopped
            transport.abortConnection()
            return
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            with suppress(OSError):  # a UNIX socket has no Nagle, or the server has gone
                set_no_delay(True)
        transport.write(self._head)

    def connectionMade(self) -> None:
        """See `makeConnection`."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.dataReceived = _ignore
        self.transport = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.connectionLost(reason)
        elif not self._is_decided:
            self._decide()
            self._result.errback(self._reader.refusal or _explained(reason))


def _explained(reason: Failure) -> Failure | Exception:
    """Why a connection was lost before there was an answer."""
    if reason.check(ConnectionDone):
        return HandshakeError("The server closed the connection before it answered.")
    return reason


def _ignore(data: bytes) -> None:
    """What arrives after all."""
