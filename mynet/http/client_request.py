"""A request to another server, framed, and whoever waits for its response. Sans I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Protocol

from twisted.internet.defer import Deferred

from mynet.http.body import RequestBody
from mynet.http.client_response import ClientResponse
from mynet.http.exchange import RawHeaders
from mynet.http.limits import KIB
from mynet.http.writing import CHUNKED_LINE, field_lines, length_line, may_trail

AT_HAND = 64 * KIB
"""How much of a body that has arrived already is sent as one."""

_MAY_HAVE_BODY = frozenset({"POST", "PUT", "PATCH"})


class BodyStream(Protocol):
    """A body that is sent bit by bit."""

    @property
    def declared(self) -> int | None:
        """Its length, which is sent before it; None: it goes in chunks."""

    @property
    def trailers(self) -> RawHeaders:
        """What follows it, where it goes in chunks."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Its pieces, none of which is empty."""


RequestSource = bytes | RequestBody | BodyStream | None
"""The body of a request."""


class Call(Deferred[ClientResponse]):
    """A request, and the Deferred of its response."""

    # Most have nothing else, so these are of the class.

    stream: BodyStream | None = None
    """What of the request is sent bit by bit."""

    again = False
    """Whether it has been sent before, in vain."""

    deadline = inf
    """When it will have waited too long for a connection."""

    interim: Callable[[int, RawHeaders], object] | None = None
    """Called with each interim response."""

    upgrade = False
    """Whether it asks to change the protocol."""

    carrier: Carrier
    """Who has it: what lets go of it when it is cancelled."""

    def __init__(self, method: str, target: bytes, lines: bytes, body: RequestSource) -> None:
        """A request whose parts are valid.

        Args:
            method: A token.
            target: In any form.
            lines: Its fields, each with its CRLF, without those that frame it.
            body: What frames it. What is at hand of a `RequestBody` is taken out of it.
        """
        Deferred.__init__(self, _let_go)
        self.method = method
        framing = b"\r\n" if body is None and method not in _MAY_HAVE_BODY else self._frame(body)
        self.data = b"%b %b HTTP/1.1\r\n%b%b" % (method.encode(), target, lines, framing)
        """What of it is sent at once."""

    def _frame(self, body: RequestSource) -> bytes:
        """The field that frames it, and the body if that goes with the head."""
        if isinstance(body, RequestBody):
            body = at_hand(body)
        if body is None or (isinstance(body, bytes) and len(body) <= AT_HAND):
            return b"Content-Length: %d\r\n\r\n%b" % (len(body or b""), body or b"")
        stream = self.stream = _Slices(body) if isinstance(body, bytes) else body
        framing = CHUNKED_LINE if stream.declared is None else length_line(stream.declared)
        return framing + b"\r\n"


class _Slices:
    """Bytes that are sent bit by bit, so that a server which takes them slowly is seen to."""

    trailers: RawHeaders = ()

    def __init__(self, data: bytes) -> None:
        self.declared = len(data)
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), AT_HAND):
            yield self._data[start : start + AT_HAND]


def _let_go(call: Deferred[ClientResponse]) -> None:
    assert isinstance(call, Call)
    call.carrier.forget(call)


class Carrier(Protocol):
    """Who has a request."""

    def forget(self, call: Call) -> None:
        """Nobody waits for its response any more."""


def at_hand(body: RequestBody) -> bytes | RequestBody:
    """A body as bytes, if all of it has arrived, and is no larger than `AT_HAND`.

    Such a body can be sent once more, if need be, which one that streams cannot.
    """
    if not body.ended or body.buffered > AT_HAND or body.trailers or body.started:
        return body
    whole: list[bytes] = []
    body.read(None).addCallback(whole.append)
    return whole[0]


def end_of_chunks(trailers: RawHeaders) -> bytes:
    """The end of a body; what may not stand there is left out (RFC 9110 section 6.5.1)."""
    return b"0\r\n%b\r\n" % field_lines([each for each in trailers if may_trail(each[0])])
