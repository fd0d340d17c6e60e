"""A request to another server, framed, and whoever waits for its response. Sans I/O."""

from __future__ import annotations

from collections.abc import Callable
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

RequestSource = bytes | RequestBody | None
"""The body of a request."""


class Call(Deferred[ClientResponse]):
    """A request, and the Deferred of its response."""

    carrier: Carrier
    """Who has it: what lets go of it when it is cancelled."""

    def __init__(
        self,
        method: str,
        target: bytes,
        lines: bytes,
        body: RequestSource,
        interim: Callable[[int, RawHeaders], object] | None = None,
        upgrade: bool = False,
    ) -> None:
        """A request whose parts are valid.

        Args:
            method: A token.
            target: In any form.
            lines: Its fields, each with its CRLF, without those that frame it.
            body: What frames it. What is at hand of a `RequestBody` is taken out of it.
            interim: Called with each interim response.
            upgrade: Whether it asks to change the protocol.
        """
        Deferred.__init__(self, _let_go)
        self.method = method
        self.interim = interim
        self.upgrade = upgrade
        self.again = False
        """Whether it has been sent before, in vain."""
        self.deadline = inf
        """When it will have waited too long for a connection."""
        if body is not None and not isinstance(body, bytes):
            body = at_hand(body)
        self.stream: RequestBody | None = None
        """What of the request is sent bit by bit."""
        head = b"%b %b HTTP/1.1\r\n%b" % (method.encode(), target, lines)
        if isinstance(body, bytes):
            head = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        elif body is not None:
            self.stream = body
            declared = body.declared
            framing = CHUNKED_LINE if declared is None else length_line(declared)
            head = b"%b%b\r\n" % (head, framing)
        elif method in _MAY_HAVE_BODY:
            head += b"Content-Length: 0\r\n\r\n"
        else:
            head += b"\r\n"
        self.data = head
        """What of it is sent at once."""


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
