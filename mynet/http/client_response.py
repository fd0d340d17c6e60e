"""A response of another server, and its body on the way to whoever wants it, at their pace."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer, IProducer, IProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.http.client_errors import BadResponse, ResponseCut
from mynet.http.exchange import RawHeaders
from mynet.http.response_reading import ResponseHead


class BodyOrigin(Protocol):
    """What a body asks of the connection that receives it."""

    def pause_body(self) -> None:
        """Deliver no more until resumed. What is on its way may still come."""

    def resume_body(self) -> None:
        """Deliver again."""

    def abandon(self) -> None:
        """Nobody wants the rest: there is no other way to stop it than to cut it off."""


class SwitchedConnection(Protocol):
    """What a 101 offers: a connection that speaks HTTP no more."""

    def hand_over(self, protocol: IProtocol) -> None:
        """See `ClientResponse.hand_over`."""

    def abandon(self) -> None:
        """Nobody wants it."""


class ClientResponse:
    """A response: its head, and its body, here already or still to come."""

    __slots__ = ("_switched", "body", "head", "length", "status", "trailers", "version")

    def __init__(
        self,
        head: ResponseHead,
        length: int | None,
        body: bytes | ResponseBody,
        trailers: RawHeaders = (),
        switched: SwitchedConnection | None = None,
    ) -> None:
        self.head = head
        """Its head; where a server repeats itself, the same object."""
        self.status = head.status
        """101, or 200 to 599."""
        self.version = head.version
        """1.1 or 1.0."""
        self.length = length
        """Of the body; None where only its end will tell."""
        self.body = body
        """All of it, or what gives it; a Response takes either."""
        self.trailers = trailers
        """The trailer fields, once the body has ended."""
        self._switched = switched

    def __repr__(self) -> str:
        return f"<ClientResponse {self.status}>"

    @property
    def whole(self) -> bytes | None:
        """The body, if all of it is here; then its connection is at others' service already."""
        return self.body if isinstance(self.body, bytes) else None

    @property
    def section(self) -> bytes:
        """The fields to the letter, each line with its CRLF: a key for what is made of them."""
        return self.head.section

    @property
    def raw_headers(self) -> RawHeaders:
        """All fields in order: names in lower case, values without outer white space."""
        return self.head.fields

    def read(self, limit: int) -> Deferred[bytes]:
        """The whole body.

        Returns:
            A Deferred of it. It fails with `BadResponse` beyond the limit, and with what the body
            fails with: `ResponseCut`, `BadResponse`, `UpstreamTimeout`.
        """
        if isinstance(self.body, bytes):
            if len(self.body) > limit:
                return fail(_too_large(limit))
            return succeed(self.body)
        return _Gathering(self.body, limit).begin()

    def close(self) -> None:
        """Whatever is still to come is not wanted: the connection is cut off. It may be over."""
        if self._switched is not None:
            self._switched.abandon()
        elif not isinstance(self.body, bytes):
            self.body.close()

    def hand_over(self, protocol: IProtocol) -> None:
        """After a 101: the connection is this protocol's.

        Its `makeConnection` is called with the transport, `dataReceived` with what came behind
        the head, and then it gets all that the transport has to tell, also of a half-close.
        Nothing is read before this is called.

        Raises:
            RuntimeError: This is no 101, or has been handed over.
        """
        switched, self._switched = self._switched, None
        if switched is None:
            raise RuntimeError(f"{self} has no connection to hand over")
        switched.hand_over(protocol)


@implementer(IBodyProducer)
class ResponseBody:
    """A body that still arrives. It is produced once, for one consumer.

    It is given on as it comes. Until somebody wants it, and while they are slow, nothing is read.
    """

    __slots__ = ("_consumer", "_early", "_end", "_origin", "_paused", "_result", "length")

    def __init__(self, origin: BodyOrigin, length: int | None) -> None:
        self._origin: BodyOrigin | None = origin
        self._consumer: Any = None
        self._result: Deferred[None] | None = None
        self._paused = False
        self._early: list[bytes] = []  # what came before somebody wanted it
        self._end: Failure | bool = False  # how it ended, where that was before
        self.length: int | str = UNKNOWN_LENGTH if length is None else length
        """In bytes, or UNKNOWN_LENGTH."""

    # The connection's side

    @property
    def started(self) -> bool:
        """Whether somebody wants it."""
        return self._consumer is not None

    def feed(self, data: bytes) -> None:
        """Some of it has arrived."""
        if self._consumer is None:
            self._early.append(data)
        else:
            self._consumer.write(data)

    def end(self) -> None:
        """All of it has arrived."""
        self._finish(True)

    def fail(self, reason: Failure) -> None:
        """The rest of it will not arrive."""
        self._finish(reason)

    def _finish(self, end: Failure | bool) -> None:
        self._origin = None
        self._end = end
        result, self._result = self._result, None
        if result is not None:
            _fire(result, end)

    # The consumer's side

    def close(self) -> None:
        """It is not wanted any more, and its connection is cut off, if it has not ended."""
        origin, self._origin = self._origin, None
        if self._consumer is None:
            self._early.clear()
            self._end = Failure(ResponseCut("the response was closed before it was read"))
        if origin is not None:
            origin.abandon()

    # IBodyProducer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Give it to a consumer.

        Returns:
            A Deferred that fires when all has been written. It fails with `ResponseCut`,
            `UpstreamTimeout` or `BadResponse` where that will never be. Cancelling it stops
            the body.

        Raises:
            RuntimeError: It has been started.
        """
        if self._consumer is not None:
            raise RuntimeError("a response's body is produced once")
        self._consumer = consumer
        result: Deferred[None] = Deferred(self._cancel)
        if self._early:
            early, self._early = b"".join(self._early), []
            consumer.write(early)
        if self._end is not False:
            _fire(result, self._end)
            return result
        self._result = result
        if not self._paused:
            self.resumeProducing()
        return result

    def _cancel(self, _: Deferred[None]) -> None:
        self.close()

    def pauseProducing(self) -> None:
        self._paused = True
        if self._origin is not None:
            self._origin.pause_body()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._origin is not None:
            self._origin.resume_body()

    def stopProducing(self) -> None:
        self.close()


def _fire(result: Deferred[None], end: Failure | bool) -> None:
    if isinstance(end, Failure):
        result.errback(end)
    else:
        result.callback(None)


@implementer(IConsumer)
class _Gathering:
    """Keeps what it is given, up to a limit."""

    def __init__(self, body: ResponseBody, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._pieces: list[bytes] = []
        self._room = limit
        self._result: Deferred[bytes] = Deferred(self._cancel)

    def begin(self) -> Deferred[bytes]:
        self._body.startProducing(self).addCallbacks(self._finish, self._fail)
        return self._result

    def _finish(self, _: None) -> None:
        if not self._result.called:
            self._result.callback(b"".join(self._pieces))

    def _fail(self, reason: Failure) -> None:
        if not self._result.called:  # else it was too large already
            self._result.errback(reason)

    def _cancel(self, _: Deferred[bytes]) -> None:
        self._body.close()

    # IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """It takes everything."""

    def unregisterProducer(self) -> None:
        """It takes everything."""

    def write(self, data: bytes) -> None:
        self._room -= len(data)
        self._pieces.append(data)
        if self._room < 0 and not self._result.called:
            self._body.close()
            self._result.errback(_too_large(self._limit))


def _too_large(limit: int) -> BadResponse:
    return BadResponse(f"its body is larger than {limit} bytes")
