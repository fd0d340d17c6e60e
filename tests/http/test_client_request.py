"""A request to another server, as it is framed."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from mynet.http.body import RequestBody
from mynet.http.client_request import AT_HAND, Call, at_hand, end_of_chunks
from mynet.http.limits import KIB
from mynet.testing import result_of


class Source:
    """Where a request's body comes from; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def want_body(self) -> None:
        self.asked.append("want")

    def pause_body(self) -> None:
        self.asked.append("pause")

    def resume_body(self) -> None:
        self.asked.append("resume")


def upload(declared: int | None = None) -> RequestBody:
    return RequestBody(Source(), declared, 64 * KIB)


def arrived(data: bytes) -> RequestBody:
    body = upload()
    body.feed(data)
    body.end()
    return body


@pytest.mark.parametrize(
    ("method", "body", "sent"),
    [
        ("GET", None, b"\r\n"),
        ("DELETE", None, b"\r\n"),
        ("POST", None, b"Content-Length: 0\r\n\r\n"),
        ("PUT", b"", b"Content-Length: 0\r\n\r\n"),
        ("GET", b"hello", b"Content-Length: 5\r\n\r\nhello"),
        ("POST", b"hello", b"Content-Length: 5\r\n\r\nhello"),
        ("POST", arrived(b"hello"), b"Content-Length: 5\r\n\r\nhello"),
        ("POST", upload(10), b"Content-Length: 10\r\n\r\n"),
        ("POST", upload(), b"Transfer-Encoding: chunked\r\n\r\n"),
    ],
)
def test_framing(method, body, sent):
    """A request is framed by its body; whether it has one cannot be mistaken."""
    call = Call(method, b"/a?b", b"Host: a\r\n", body)
    assert call.data == method.encode() + b" /a?b HTTP/1.1\r\nHost: a\r\n" + sent
    assert call.stream is (None if call.data.endswith(b"hello") or not body else body)


def test_large():
    """A large body is sent bit by bit."""
    data = b"x" * (AT_HAND + 1)
    call = Call("PUT", b"/", b"", data)
    assert call.data == b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(data)
    assert call.stream is not None
    stream = call.stream

    async def pieces() -> list[int]:
        return [len(piece) async for piece in stream]

    assert result_of(Deferred.fromCoroutine(pieces())) == [AT_HAND, 1]


def test_at_hand():
    """A body that is here as a whole is bytes."""
    assert at_hand(arrived(b"x" * AT_HAND)) == b"x" * AT_HAND


def test_not_at_hand():
    """What is not here as a whole, is large, has trailers or has been begun is left as it is."""
    unfinished, large, trailed, begun = bodies = [upload() for _ in range(4)]
    unfinished.feed(b"hello")
    large.feed(b"x" * (AT_HAND + 1))
    large.end()
    trailed.end([(b"a", b"b")])
    begun.started = True
    begun.end()
    assert [at_hand(body) for body in bodies] == bodies


def test_trailers():
    """Trailers are sent, but for those that may not be there."""
    fields = [(b"a", b"b"), (b"content-length", b"5"), (b"Trailer", b"x"), (b"c", b"d")]
    assert end_of_chunks(fields) == b"0\r\na: b\r\nc: d\r\n\r\n"
