"""What a twisted.web request has for its channel, and for its transport.

The request itself is twisted.web's own, or a subclass of the application's: it is fed here with
what an `HTTPChannel` would feed it, and what it writes becomes a `Response`. That is of bytes if
it is finished while it is rendered, or, later, in the turn of the reactor in which it was begun;
else it is streamed from the next turn on. Of an HTTPChannel there is what a request uses, and of
a transport what tells about the connection or ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    ISSLTransport,
    ITransport,
)
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.iweb import INonQueuedRequestFactory
from twisted.web.server import version
from zope.interface import classImplements, implementer

from mynet.handlers.resource.flow import Flow
from mynet.http.errors import HTTPError
from mynet.http.message import Body, Request, Response
from mynet.http.outgoing import BODILESS

_NOTHING: Body = ()
"""The body of a response that has none, and that tells nothing of the length it might have."""


@implementer(ITransport)
class Channel:
    """The channel of one request. It is its own transport, which saves making another object."""

    __slots__ = (
        "_bodiless",
        "_closing",
        "_error",
        "_fields",
        "_flow",
        "_pieces",
        "_rendering",
        "_request",
        "_responded",
        "_status",
        "_streaming",
        "_twisted",
        "_waiting",
        "factory",
        "site",
    )

    def __init__(self, request: Request, site: Any, factory: Any) -> None:
        """The request of twisted.web is made, too.

        Args:
            request: What is asked.
            site: The `Site`, or what behaves as one.
            factory: Whose `log` is called with each request that is finished; None: nobody's.
        """
        self.site = site
        self.factory = factory
        self._request = request
        self._rendering = True
        self._responded = False  # a Response has been made
        self._waiting: Deferred[Response] | None = None
        self._streaming: IDelayedCall | None = None
        self._status = 0  # 0 until the head is written
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._flow: Flow | None = None
        self._closing = False
        self._error: HTTPError | None = None
        make: Callable[..., Any] = site.requestFactory
        queued = () if INonQueuedRequestFactory.providedBy(make) else (0,)
        self._twisted: Any = make(self, *queued)  # None when it is over

    # What the handler feeds it with

    def receive_head(self, length: int | None) -> None:
        """Give the request its header fields, and a file for a body of that length, if known."""
        twisted, request = self._twisted, self._request
        add = twisted.requestHeaders.addRawHeader
        for name, value in request.peek_raw_headers():
            add(name, value)
        if not request.target.startswith(b"/") and request.host:  # RFC 9112 section 3.2.2
            twisted.requestHeaders.setRawHeaders(b"Host", [request.host.encode("ascii")])
        twisted.parseCookies()
        twisted.gotLength(length)

    def receive(self, data: bytes) -> None:
        """Give it some of its body."""
        self._twisted.handleContentChunk(data)

    @property
    def over(self) -> bool:
        """Whether the request is finished, or lost."""
        return self._twisted is None

    def render(self) -> Response | Deferred[Response]:
        """Have it rendered, now that its body is complete.

        Raises:
            Exception: It could not even begin, or what it is produced by fails at once.
        """
        try:
            if self._twisted is not None:
                self._process(self._twisted)
            if self._flow is not None:
                self._flow.pull()
        except BaseException:
            self.lose()
            raise
        self._rendering = False
        return self._answer()

    def _process(self, twisted: Any) -> None:
        request = self._request
        uri = request.raw_path
        if request.root_path:
            uri = request.root_path.encode("ascii") + uri
        if b"?" in request.target:
            uri = b"%b?%b" % (uri, request.query_string)
        version = b"HTTP/1.1" if request.version == "1.1" else f"HTTP/{request.version}".encode()
        twisted.requestReceived(request.method.encode("ascii"), uri, version)

    def _answer(self) -> Response | Deferred[Response]:
        """The response, as far as it is known when the resource has been rendered."""
        if self._error is not None:
            raise self._error
        if self._twisted is None and self._status:
            return self._whole()
        if self._closing:
            self.abortConnection()
        # As twisted.web has it, a client that closes its side has gone.
        self._request.disconnected().addCallback(lambda _: self.abortConnection())
        if self._status:
            return self._streamed()
        self._waiting = Deferred(self._cancelled)
        return self._waiting

    def _cancelled(self, _: Deferred[Response]) -> None:
        self._take_waiting()
        self.lose()

    def lose(self) -> None:
        """The client has gone, or will not get its response: tell the application."""
        if self._flow is not None:
            self._flow.stop()
        twisted, self._twisted = self._twisted, None
        if twisted is not None:
            twisted.connectionLost(Failure(ConnectionDone()))

    def _tell(self) -> None:
        """Its response is complete, though it is not finished: who waits for that is told.

        It may be finished in peace, unlike one that is lost; but who writes events to it, until
        the client goes, would never learn of that.
        """
        twisted = self._twisted
        if twisted is not None:
            waiting, twisted.notifications = twisted.notifications, []
            for each in waiting:
                each.errback(Failure(ConnectionDone()))

    # Its response

    def _whole(self) -> Response:
        self._responded = True
        if self._closing:
            self._fields.append((b"Connection", b"close"))
        if self._bodiless:  # some of what encodes bodies writes nevertheless
            return Response.raw(_NOTHING, self._status, self._fields)
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        length = (b"Content-Length", b"%d" % len(body))
        fields = [field for field in self._fields if field != length]
        if len(fields) == 1 and fields[0][0] == b"Content-Type":  # that is sent fastest
            return Response(body, self._status, None, fields[0][1].decode("latin-1"))
        return Response.raw(body, self._status, self._fields)

    def _streamed(self) -> Response:
        self._responded = True
        if self._bodiless and self._flow is None:
            self._request.on_finish(self._tell)
            return Response.raw(_NOTHING, self._status, self._fields)
        flow = self._open_flow()
        self._request.on_finish(flow.close)  # something else may be sent instead
        return Response.raw(flow, self._status, self._fields)

    def _respond(self) -> None:
        """It is finished, before anything was sent; if it is still rendered that is known soon."""
        waiting = self._take_waiting()
        if waiting is None:
            return
        if self._error is not None:
            waiting.errback(self._error)
        else:
            waiting.callback(self._whole())

    def _stream(self) -> None:
        """It has been begun, and not finished yet."""
        self._streaming = None
        waiting = self._take_waiting()
        if waiting is not None:
            waiting.callback(self._streamed())

    def _take_waiting(self) -> Deferred[Response] | None:
        """Who waits for the response, who from then on does so no longer."""
        if self._streaming is not None:
            self._streaming.cancel()
            self._streaming = None
        waiting, self._waiting = self._waiting, None
        return waiting

    def _open_flow(self) -> Flow:
        if self._flow is None:
            self._flow = Flow(self._pieces, self.lose, self._clock)
        return self._flow

    @property
    def _clock(self) -> IReactorTime:
        return self._request.exchange.sweep.clock

    # An HTTPChannel, as requests use it

    @property
    def transport(self) -> Channel:
        """Itself."""
        return self

    def isSecure(self) -> bool:
        return False

    def writeHeaders(
        self,
        version: bytes,
        code: bytes,
        reason: bytes,
        headers: Headers | Iterable[tuple[bytes, bytes]],
    ) -> None:
        """The head; from here on the response is on its way, if it did not come at once."""
        twisted = self._twisted
        twisted.chunked = 0  # that is for the protocol to do
        self._status = twisted.code
        self._bodiless = twisted.method == b"HEAD" or twisted.code in BODILESS
        self._fields = _fields(headers)
        if self._waiting is not None:  # it may well be finished at once
            self._streaming = self._clock.callLater(0, self._stream)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        flow = self._open_flow()
        flow.register(producer, streaming)
        if self._responded and self._bodiless:
            flow.close()  # nothing of it would be sent
        elif not (streaming or self._rendering):
            flow.pull_soon()

    def unregisterProducer(self) -> None:
        if self._flow is not None:
            self._flow.unregister()

    def requestDone(self, request: Any) -> None:
        """It is finished."""
        self._twisted = None
        failed = request.code == 500 != self._status
        if not self._responded:
            self._error = HTTPError(500) if failed else None
            self._respond()
        elif self._flow is not None and failed:
            self._flow.fail(Failure(RuntimeError(f"{request} failed after it had begun to write")))
        elif self._flow is not None:
            self._flow.end()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """A form is not what it says it is."""
        self._error = HTTPError(400, "The form cannot be read.")
        self.lose()

    # ITransport, as applications use it

    def write(self, data: bytes) -> None:
        """Some of the body; nothing can be written past the request."""
        if not self._status:
            raise RuntimeError("a transport is written to by its request alone")
        if self._flow is None:
            self._pieces.append(data)
        else:
            self._flow.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End it: after the response, if that is complete as soon as it is rendered."""
        if self._rendering:
            self._closing = True
        elif self._twisted is not None:
            self.abortConnection()

    def abortConnection(self) -> None:
        """Cut it off, unless its request has been answered."""
        if not self._request.finished:
            self._request.exchange.abort()

    def getPeer(self) -> IAddress:
        return self._request.client

    def getHost(self) -> IAddress:
        return self._request.server


class SecureChannel(Channel):
    """That of a request that came over TLS."""

    __slots__ = ()

    def isSecure(self) -> bool:
        return True

    def getPeerCertificate(self) -> Any:
        """The client's certificate, as pyOpenSSL has them; None if it sent none."""
        tls = self._request.tls
        if tls is None or tls.client_certificate is None:
            return None
        from cryptography.x509 import load_der_x509_certificate  # slow to import
        from OpenSSL.crypto import X509

        return X509.from_cryptography(load_der_x509_certificate(tls.client_certificate))


_declare: Callable[..., None] = classImplements
_declare(SecureChannel, ISSLTransport)  # applications look for it; it has what they call of it


def _fields(headers: Headers | Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those that are sent: not what the protocol sets, nor which server this would be."""
    if isinstance(headers, Headers):
        headers = [(name, value) for name, each in headers.getAllRawHeaders() for value in each]
    unsent = _unsent(int(time.time()))
    return [field for field in headers if field not in unsent]


@lru_cache(1)
def _unsent(now: int) -> frozenset[tuple[bytes, bytes]]:
    """What twisted.web adds by itself, at a time."""
    date = (b"Date", datetimeToString(now))
    return frozenset((date, (b"Server", version), (b"Transfer-Encoding", b"chunked")))
