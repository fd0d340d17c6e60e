"""How a response is framed, in every combination that matters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.http.message import Body, Response
from mynet.http.outgoing import PIECE, Outgoing, frame_response, plain_template
from mynet.http.writing import status_line


def framed(
    response: Response, method: str = "GET", version: str = "1.1", keep_alive: bool = True
) -> Outgoing:
    return frame_response(response, method, version, keep_alive, status_line)


def lines(outgoing: Outgoing) -> list[bytes]:
    head, end, rest = outgoing.head.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    return head.split(b"\r\n")[1:]


@implementer(IBodyProducer)
class Producer:
    def __init__(self, length: Any) -> None:
        self.length = length

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        raise NotImplementedError

    def pauseProducing(self) -> None:
        raise NotImplementedError

    def resumeProducing(self) -> None:
        raise NotImplementedError

    def stopProducing(self) -> None:
        raise NotImplementedError


def pieces() -> Iterator[bytes]:
    yield b"hello"


LENGTH = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"
KEPT = b"Connection: keep-alive"
TOLD = {"Content-Length": "5"}


@pytest.mark.parametrize(
    ("body", "headers", "version", "expected"),
    [
        (b"hello", None, "1.1", ([LENGTH], b"hello", False, None, True)),
        (b"hello", TOLD, "1.1", ([LENGTH], b"hello", False, None, True)),
        (b"hello", None, "1.0", ([LENGTH, KEPT], b"hello", False, None, True)),
        (pieces(), None, "1.1", ([CHUNKED], None, True, None, True)),
        (pieces(), TOLD, "1.1", ([LENGTH], None, False, 5, True)),
        (pieces(), None, "1.0", ([CLOSE], None, False, None, False)),
        (pieces(), TOLD, "1.0", ([LENGTH, KEPT], None, False, 5, True)),
        (Producer(5), None, "1.1", ([LENGTH], None, False, 5, True)),
        (Producer(4), TOLD, "1.1", ([LENGTH], None, False, 5, True)),
        (Producer(UNKNOWN_LENGTH), None, "1.1", ([CHUNKED], None, True, None, True)),
    ],
)  # fmt: skip
def test_frames(body, headers, version, expected):
    """A body has its length, or is in chunks, or ends with its connection."""
    outgoing = framed(Response(body, headers=headers), version=version)
    assert (lines(outgoing), *outgoing[1:]) == expected


@pytest.mark.parametrize(("size", "is_one"), [(PIECE, True), (PIECE + 1, False)])
def test_piece(size, is_one):
    """A body that is not too large goes with its head; a larger one is streamed."""
    outgoing = framed(Response(b"x" * size))
    assert (outgoing.body is not None) is is_one
    assert outgoing.length == (None if is_one else size)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("method", "status", "headers", "expected"),
    [
        ("HEAD", 200, None, [LENGTH]),
        ("HEAD", 200, {"Content-Length": "9"}, [b"Content-Length: 9"]),
        ("GET", 204, None, []),
        ("GET", 204, TOLD, []),
        ("HEAD", 204, TOLD, []),
        ("GET", 304, None, []),
        ("GET", 304, TOLD, [LENGTH]),
        ("HEAD", 304, None, []),
    ],
)
def test_no_body(method, status, headers, expected, version):
    """Where no body is sent, what is told of it is the truth, or nothing."""
    outgoing = framed(Response(b"hello", status, headers), method, version)
    kept = [KEPT] if version == "1.0" else []
    assert (lines(outgoing), *outgoing[1:]) == (expected + kept, b"", False, None, True)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_to_reset(method, version):
    """A 205 says that it has no body, whatever was given it: else a client waits for one."""
    with_trailers = Response(pieces(), 205)
    with_trailers.trailers["Sum"] = "1"
    for response in (Response(pieces(), 205), Response(pieces(), 205, TOLD), with_trailers):
        outgoing = framed(response, method, version)
        kept = [KEPT] if version == "1.0" else []
        assert lines(outgoing) == [b"Content-Length: 0", *kept]
        assert outgoing[1:] == (b"", False, None, True)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connection_that_closes(version):
    """What ends the connection says so: the client, the server, or the application."""
    for response, keep_alive in (
        (Response(b""), False),
        (Response(b"", headers={"Connection": "close"}), True),
        (Response(iter([]), headers={"Connection": "close"}), True),
    ):
        outgoing = framed(response, version=version, keep_alive=keep_alive)
        assert CLOSE in lines(outgoing)
        assert KEPT not in lines(outgoing)
        assert not outgoing.keep_alive


def test_trailers_need_chunks():
    """A body with trailers is in chunks, whatever it is; where there are none they are lost."""
    bodies: list[Body] = [b"hello", pieces(), Producer(5)]
    for body in bodies:
        response = Response(body, headers=TOLD)
        assert response.trailers is not None
        outgoing = framed(response)
        assert (lines(outgoing), *outgoing[1:]) == ([CHUNKED], None, True, None, True)
        outgoing = framed(response, version="1.0")
        assert (lines(outgoing), *outgoing[1:]) == ([CLOSE], None, False, None, False)


@pytest.mark.parametrize("content_type", [None, "text/plain", "a/b; c=%s%d%%"])
@pytest.mark.parametrize("body", [b"", b"hello", b"%d%b%%"])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_template(content_type, body, keep_alive):
    """A response that is out of nothing ordinary is the same by its template."""
    outgoing = framed(Response(body, content_type=content_type), keep_alive=keep_alive)
    assert outgoing.body is not None
    template = plain_template(status_line(200), content_type, keep_alive)
    assert sorted((template % (len(body), body)).split(b"\r\n")) == sorted(
        (outgoing.head + outgoing.body).split(b"\r\n")
    )
