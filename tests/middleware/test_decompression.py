"""Compressed requests: read as if they were not, at the reader's pace, and never without end."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Iterator

import pytest

from mynet import App, HTTPError, Request, Response
from mynet.http.body import RequestBody
from mynet.http.errors import ClientGone
from mynet.http.limits import KIB, MIB
from mynet.middleware import decompression as middleware
from mynet.middleware.codings import LEVELS, PIECE, encoder
from mynet.middleware.decompression import HIGH_WATER, decompression
from mynet.testing import Client, MemoryExchange, Wire, make_request, result_of
from tests.asking import errors_logged, start

TEXT = b"some text, and more of it\n" * 100


def encoded(data: bytes, coding: str = "gzip") -> bytes:
    encodes = encoder(coding, LEVELS[coding])
    return encodes.encode(data) + encodes.finish()


async def echo(request: Request) -> Response:
    return Response(await request.read(None))


def send(body: bytes, coding: str, handler=echo, **options):
    client = Client(decompression(**options)(handler))
    return result_of(client.post("/", body=body, headers={"Content-Encoding": coding}))


@pytest.mark.parametrize("coding", LEVELS)
@pytest.mark.parametrize("size", [1, PIECE, 3 * PIECE])
def test_read(coding, size):
    """The handler reads what the client had before it compressed that."""
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    assert send(encoded(data, coding), coding).body == data


@pytest.mark.parametrize("name", ["GZIP", "x-gzip"])
def test_other_names(name):
    """Codings have other names, too."""
    assert send(encoded(TEXT), name).body == TEXT


@pytest.mark.parametrize("coding", ["identity", ""])
def test_not_encoded(coding):
    """A body that is what it is stays that."""
    assert send(TEXT, coding).body == TEXT
    assert result_of(Client(decompression()(echo)).post("/", body=TEXT)).body == TEXT


def test_fields():
    """The handler does not learn of the coding, so that nobody decodes twice."""

    def handler(request: Request) -> Response:
        assert request.body is not None
        assert request.body.declared is None
        return Response.json(dict(request.headers))

    assert send(encoded(TEXT), "gzip", handler).json() == {"host": "test"}


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip", "br, gzip", "nonsense"])
def test_unknown(coding):
    """A coding that is not understood is refused, with those that are."""
    answer = send(encoded(TEXT), coding)
    assert answer.status == 415
    assert answer.headers["Accept-Encoding"] == "zstd, br, gzip, deflate"


@pytest.mark.parametrize("coding", LEVELS)
def test_malformed(coding):
    """A body that is not what it is said to be, or cut short, is the client's mistake."""
    assert send(b"nonsense", coding).status == 400
    assert send(encoded(TEXT, coding)[:-1], coding).status == 400


@pytest.mark.parametrize("coding", LEVELS)
def test_bomb(coding):
    """A small body that means a huge one is refused at the limit, not beyond."""
    seen = 0

    async def handler(request: Request) -> Response:
        nonlocal seen
        async for piece in request:
            seen += len(piece)
        return Response()

    bomb = encoded(bytes(20 * MIB), coding)
    answer = send(bomb, coding, handler, limit=MIB)
    assert (answer.status, "larger than 1048576 bytes" in answer.text) == (413, True)
    assert seen <= MIB
    assert send(encoded(bytes(MIB), coding), coding, limit=MIB).body == bytes(MIB)


def test_json():
    """Whatever reads a body reads this one."""
    app = App()
    app.use(decompression())

    @app.post("/")
    async def index(request: Request) -> list[int]:
        numbers: list[int] = await request.json(list[int])
        return [sum(numbers)]

    body = gzip.compress(b"[1, 2]")
    answer = result_of(Client(app).post("/", body=body, headers={"Content-Encoding": "gzip"}))
    assert answer.json() == [3]


# At the reader's pace


class Arriving:
    """A request whose body arrives as a test has it."""

    def __init__(self, coding: str = "gzip", limit: int = 16 * MIB) -> None:
        self.exchange = MemoryExchange()
        self.request = make_request("POST", "/", {"Content-Encoding": coding}, b"", self.exchange)
        self.encoded = self.request.body = RequestBody(self.exchange, None, 64 * KIB)
        result_of(start(echo_nothing(self.request, limit)))
        assert self.request.body is not self.encoded


async def echo_nothing(request: Request, limit: int) -> Response:
    return await decompression(limit)(lambda request: Response())(request)


@pytest.fixture
def arriving():
    return Arriving()


def advance(arriving: Arriving) -> None:
    arriving.exchange.sweep.clock.advance(0)  # type: ignore[attr-defined]


def test_not_read(arriving):
    """Nothing is asked of the client, nor decompressed, before somebody reads."""
    arriving.encoded.feed(encoded(TEXT))
    advance(arriving)
    assert not arriving.exchange.wanted
    assert arriving.request.body.buffered == 0


def test_as_it_arrives(arriving):
    """What has arrived can be read before the rest has."""
    encodes = encoder("gzip", 6)
    first = start(anext(arriving.request.body))
    assert arriving.exchange.wanted
    arriving.encoded.feed(encodes.encode(b"one") + encodes.flush())
    assert result_of(first) == b"one"
    second = start(anext(arriving.request.body, b"the end"))
    arriving.encoded.feed(encodes.finish())
    assert not second.called
    arriving.encoded.end([(b"checksum", b"1")])
    assert result_of(second) == b"the end"
    assert arriving.request.trailers == [(b"checksum", b"1")]


def test_slow_reader(arriving):
    """Of what is not read no more is decompressed than has room, and the client waits."""
    arriving.encoded.feed(encoded(bytes(10 * MIB)))
    arriving.encoded.end()
    assert len(result_of(start(anext(arriving.request.body)))) == PIECE
    advance(arriving)
    assert arriving.request.body.buffered <= HIGH_WATER + PIECE
    rest = arriving.request.read(None)
    advance(arriving)
    assert len(result_of(rest)) == 10 * MIB - PIECE


def test_eager_reader(arriving):
    """A reader that takes all at once does not keep others waiting, however much that is."""
    reading = arriving.request.read(None)
    arriving.encoded.feed(encoded(bytes(10 * MIB)))
    arriving.encoded.end()
    assert not reading.called
    advance(arriving)
    assert len(result_of(reading)) == 10 * MIB


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_many_empty_parts(coding):
    """Nor does a body that means nothing, and takes its time for that: turns are left in it."""
    arriving = Arriving(coding)
    empty = encoded(b"", coding)
    reading = arriving.request.read(None)
    arriving.encoded.feed(empty * 1000)
    arriving.encoded.end()
    assert not reading.called
    advance(arriving)
    assert result_of(reading) == b""


def test_endless_nothing():
    """A body that never means anything has an end nevertheless."""
    arriving = Arriving(limit=MIB)
    reading = arriving.request.read(None)
    part = gzip.compress(b"") * 1000
    for _ in range((2 * MIB + HIGH_WATER) // len(part)):
        arriving.encoded.feed(part)
        advance(arriving)
    assert not reading.called
    arriving.encoded.feed(part)
    with pytest.raises(HTTPError, match="larger than 1048576 bytes"):
        result_of(reading)


def test_client_goes(arriving):
    """When the client goes the reader gets to know that."""
    reading = arriving.request.read()
    arriving.encoded.feed(encoded(TEXT)[:20])
    arriving.encoded.fail(ClientGone())
    with pytest.raises(ClientGone):
        result_of(reading)


@pytest.mark.parametrize("begun", [False, True])
def test_answered_unread(arriving, begun):
    """A body that is not read to its end is let go of with its request, without an error."""
    arriving.encoded.feed(encoded(bytes(MIB)))
    if begun:
        result_of(start(anext(arriving.request.body)))
    with errors_logged() as errors:
        arriving.request.finish()
        advance(arriving)
    assert arriving.request.body.detached
    assert errors == []


def test_answered_while_it_is_read(arriving):
    """A handler may answer in the midst of what it reads, and nothing is left of that."""

    async def read_some() -> None:
        await anext(arriving.request.body)
        arriving.request.finish()

    done = start(read_some())
    with errors_logged() as errors:
        arriving.encoded.feed(encoded(bytes(MIB)))
        advance(arriving)
        gc.collect()  # Twisted logs an error when the last who might handle it is gone
    assert (result_of(done), errors) == (None, [])


def test_nothing_goes_on(monkeypatch):
    """What is decompressed half-way when its request ends is put away at once."""
    ended: list[bool] = []

    class Endless:
        def decode(self, data: bytes) -> Iterator[bytes]:
            try:
                while True:
                    yield bytes(PIECE)
            finally:
                ended.append(True)

    monkeypatch.setattr(middleware, "decoder", lambda coding: Endless())
    arriving = Arriving()
    assert arriving.request.body is not None
    arriving.encoded.feed(b"x")
    result_of(start(anext(arriving.request.body)))
    assert ended == []
    arriving.request.finish()
    assert ended == [True]


def test_on_a_connection():
    """A body with a length, compressed, on a connection that goes on afterwards."""
    wire = Wire(decompression()(echo))
    body = encoded(TEXT)
    wire.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body),
        1,
    )
    assert wire.take().endswith(b"Content-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT))
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
    assert wire.take().endswith(b"\r\n\r\nhi")


def test_error_of_the_handler():
    """An error that reads as one of ours passes as it is."""

    def handler(request: Request) -> Response:
        raise HTTPError(418)

    assert send(encoded(TEXT), "gzip", handler).status == 418
