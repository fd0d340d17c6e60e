"""A body while it arrives: its end, its size and its pace, without a connection."""

from __future__ import annotations

from math import inf

import pytest

from mynet.http.errors import ClientGone, HTTPError
from mynet.http.incoming import IncomingBody
from mynet.http.limits import Limits
from mynet.http.reading import CHUNKED
from tests.conversation import chunked


class Source:
    def want_body(self) -> None:
        raise NotImplementedError

    def pause_body(self) -> None:
        raise NotImplementedError

    def resume_body(self) -> None:
        raise NotImplementedError


LIMITS = Limits(body=100, drain=10, body_rate=10, body_grace=5)


def incoming(length: int = 10, expected: bool = False, limits: Limits = LIMITS) -> IncomingBody:
    return IncomingBody(Source(), length, expected, limits, 1000)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_end(size):
    """A body ends where it should; what follows it is handed back."""
    for length, data in ((10, b"0123456789"), (CHUNKED, chunked(b"01234", b"56789"))):
        body = incoming(length)
        data += b"behind"
        received = b""
        while not body.ended:
            piece, rest = body.receive(data[:size], 1000)
            received += piece
            data = rest + data[size:]
        assert (received, data) == (b"0123456789", b"behind")


def test_trailers():
    """Trailers are known when the body has ended."""
    body = incoming(CHUNKED)
    body.receive(chunked(b"a", trailers=b"A: b\r\n"), 1000)
    assert body.trailers == [(b"a", b"b")]
    assert incoming(1).trailers == []


def test_size():
    """A body may be as large as its limit."""
    assert not incoming(100).ended
    with pytest.raises(HTTPError, match="413"):
        incoming(101)
    body = incoming(CHUNKED)
    body.receive(b"64\r\n" + b"x" * 100 + b"\r\n", 1000)
    with pytest.raises(HTTPError, match="413") as caught:
        body.receive(b"1\r\nx", 1000)
    assert caught.value.close


def test_body_that_nobody_reads():
    """It is thrown away up to a limit; what came before does not count."""
    body = incoming(CHUNKED)
    body.receive(b"32\r\n" + b"x" * 50 + b"\r\n", 1000)
    body.abandon()
    assert body.body is None
    body.receive(b"a\r\n" + b"x" * 10 + b"\r\n", 1000)
    with pytest.raises(ClientGone):
        body.receive(b"1\r\nx", 1000)


def test_whether_it_may_be_thrown_away():
    """It may if what is left is small, as far as is known, and if it will come."""
    assert incoming(10).drainable
    assert not incoming(11).drainable
    body = incoming(12)
    body.receive(b"xx", 1000)
    assert body.drainable
    assert incoming(CHUNKED).drainable
    assert not incoming(10, expected=True).drainable


def test_deadline():
    """It has its grace, and as much more as it has earned by what has come."""
    body = incoming(100)
    assert body.deadline == 1005
    body.receive(b"x" * 10, 1004)
    assert body.deadline == 1006
    body.receive(b"x" * 50, 1005)
    assert body.deadline == 1011


def test_deadline_while_it_is_paused():
    """While we keep the client from sending no time passes."""
    body = incoming(100)
    body.pause(1003)
    body.pause(1004)
    assert body.paused
    assert body.deadline == inf
    body.resume(1103)
    assert not body.paused
    assert body.deadline == 1105
    body.resume(1104)
    assert body.deadline == 1105


def test_deadline_while_it_waits_for_leave():
    """Nor while the client waits for 100 Continue, or until it sends without."""
    body = incoming(100, expected=True)
    assert body.deadline == inf
    assert not body.paused
    body.resume(1100)
    assert body.deadline == 1105
    body = incoming(100, expected=True)
    body.receive(b"x" * 10, 1100)
    assert (body.expected, body.deadline) == (False, 1106)


def test_what_comes_while_it_is_paused():
    """What was on its way when the client was stopped does not start its clock."""
    body = incoming(100)
    body.pause(1001)
    body.receive(b"x", 1002)
    assert body.paused
    assert body.deadline == inf


def test_declared_length():
    """A reader is told what the client has declared."""
    for length, declared in ((10, 10), (CHUNKED, None)):
        body = incoming(length).body
        assert body is not None
        assert body.declared == declared


def test_body_that_stops():
    """What came fast does not let a client stop for hours; while it is held back it may."""
    body = incoming(10_000_000, limits=Limits(idle_timeout=60))
    body.receive(bytes(1_000_000), 1100)
    assert body.deadline == 1160
    body.pause(1110)
    assert body.deadline == inf
    body.resume(5000)
    assert body.deadline == 5060


def test_no_least_rate():
    """Where there is no rate there is no deadline."""
    assert incoming(limits=Limits(body_rate=0)).deadline == inf
