"""A body that is encoded on its way: all of it, in time, and let go of afterwards."""

from __future__ import annotations

import io

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet import Response
from mynet.http.file import FileBody
from mynet.http.limits import KIB
from mynet.middleware.codings import PIECE, decoder
from mynet.middleware.encoded import EncodedBody, encode, known_length, weaken
from mynet.testing import result_of
from tests.asking import start


class Stream:
    """A body that notes that it is closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = 0

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        self.closed += 1


def encoding(body, length=None, coding="gzip") -> EncodedBody:
    return EncodedBody(body, length, coding, 6)


def take(body: EncodedBody) -> tuple[bytes, int]:
    """What a body that waits for nothing else was, and in how many turns of the reactor it came."""

    async def collect() -> bytes:
        decodes = decoder("gzip")
        data = b"".join([part async for piece in body for part in decodes.decode(piece)])
        decodes.finish()
        return data

    collecting = collect()
    turns = 1
    while True:
        try:
            assert collecting.send(None) is None
        except StopIteration as stop:
            return stop.value, turns
        turns += 1


def test_arrives_in_time():
    """All that is sent can be read, before anything follows."""
    decodes = decoder("gzip")
    source = encoding(Stream(b"data: one\n\n", b"", b"data: two\n\n")).__aiter__()
    seen = b""
    for expected in (b"data: one\n\n", b"data: one\n\ndata: two\n\n"):
        while seen != expected:
            seen += b"".join(decodes.decode(result_of(start(anext(source)))))


@pytest.mark.parametrize(
    "body",
    [bytes(10 * PIECE), [bytes(10 * PIECE)], [bytes(KIB)] * 640, io.BytesIO(bytes(10 * PIECE))],
)
def test_a_bit_at_a_time(body):
    """However large a body is, others are served meanwhile."""
    data, turns = take(encoding(body))
    assert data == bytes(10 * PIECE)
    assert turns == 10


def test_broken_promise():
    """A body that is shorter than its Content-Length fails, and so its response is cut off."""
    with pytest.raises(ValueError, match="its Content-Length is 4"):
        take(encoding([b"one"], 4))


def test_no_bytes():
    """A body of something else than bytes fails."""
    with pytest.raises(TypeError):
        take(encoding(["text"]))


def test_closed():
    """What it was made from is closed, whether it was begun, ended, or never taken."""
    for pieces in (0, 1, 9):
        stream = Stream(b"one", b"two")
        body = encoding(stream)
        source = body.__aiter__() if pieces else None
        for _ in range(pieces):
            result_of(start(anext(source, b"")))  # type: ignore[arg-type]
        result_of(start(body.aclose()))
        assert stream.closed == 1


@implementer(IBodyProducer)
class Producer:
    """A body that is pushed, and notes that it is to stop."""

    length = UNKNOWN_LENGTH
    stopped = 0

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(b"one")
        return Deferred()

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped += 1


def test_producer_is_stopped():
    """What pushes a body that is not wanted any more stops, at once."""
    producer = Producer()
    body = encoding(producer)
    result_of(start(anext(body.__aiter__())))
    assert producer.stopped == 0
    result_of(start(body.aclose()))
    assert producer.stopped == 1


def test_closed_though_it_fails():
    """What fails when it is told that no more is wanted is closed nevertheless."""

    @implementer(IBodyProducer)
    class Stubborn:
        length = UNKNOWN_LENGTH
        closed = False

        def startProducing(self, consumer: IConsumer) -> Deferred[None]:
            consumer.write(b"one")
            return Deferred()

        def pauseProducing(self) -> None: ...

        def resumeProducing(self) -> None: ...

        def stopProducing(self) -> None:
            raise OSError("not now")

        def close(self) -> None:
            self.closed = True

    stubborn = Stubborn()
    body = encoding(stubborn)
    result_of(start(anext(aiter(body))))
    with pytest.raises(OSError, match="not now"):
        result_of(start(body.aclose()))
    assert stubborn.closed


def test_file_is_closed(tmp_path):
    """A file too."""
    (tmp_path / "file").write_bytes(b"text")
    file = (tmp_path / "file").open("rb")
    result_of(start(encoding(FileBody(file)).aclose()))
    assert file.closed


@pytest.mark.parametrize(
    ("etag", "weak"), [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"'), (None, None), ("odd", "odd")]
)
def test_weaken(etag, weak):
    """A strong ETag becomes a weak one."""
    response = Response(b"", 200, {"ETag": etag} if etag else {})
    weaken(response)
    assert response.headers.get("ETag") == weak


def test_known_length(tmp_path):
    """A length is known of bytes, of what has one, and where the handler tells."""
    (tmp_path / "file").write_bytes(b"text")
    assert known_length(Response(b"text")) == 4
    with (tmp_path / "file").open("rb") as file:
        assert known_length(Response(FileBody(file))) == 4
    assert known_length(Response([b"text"], 200, {"Content-Length": "4"})) == 4
    assert known_length(Response([b"text"])) is None


def test_at_once():
    """A small body is encoded at once, and its length is known."""
    response = Response(b"text" * 100, 200, {"Content-Length": "400", "Accept-Ranges": "bytes"})
    encode(response, 400, "gzip", 6)
    assert isinstance(response.body, bytes)
    assert b"".join(decoder("gzip").decode(response.body)) == b"text" * 100
    assert dict(response.headers) == {"Content-Encoding": "gzip"}
