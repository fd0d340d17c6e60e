"""Bodies of every kind, sent at the client's pace, and let go of however that ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import copy_context
from io import BytesIO
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock, Cooperator
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet.http.coroutines import start
from mynet.http.file import FileBody
from mynet.http.message import Body, Response
from mynet.http.outgoing import PIECE
from mynet.http.sending import FILE_PIECE, _Consumer, close_body, discard, send_body
from mynet.testing import result_of


class Client:
    """Takes pieces; after each of them it makes the sender wait, if it is told to be slow."""

    def __init__(self, slow: bool = False) -> None:
        self.pieces: list[bytes] = []
        self.slow = slow
        self.waiting: list[Deferred[None]] = []

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def send(self, data: bytes) -> Deferred[None] | None:
        assert data, "an empty piece would end a chunked body"
        self.pieces.append(bytes(data))
        if not self.slow:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def send_file(self, file: FileBody) -> Awaitable[None] | None:
        """It is to be read."""
        return None

    def take(self) -> None:
        """The client has taken what was sent."""
        self.waiting.pop(0).callback(None)


class File(BytesIO):
    """A file that notes how it is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.sizes: list[int | None] = []

    def read(self, size: int | None = -1) -> bytes:
        self.sizes.append(size)
        return super().read(size)


@implementer(IBodyProducer)
class Producer:
    """A producer that writes when it is told to."""

    length: Any = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.consumer: Any = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.calls.append("start")
        self.consumer = consumer
        return self.done

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Noting:
    """A source of pieces that notes when it is closed."""

    def __init__(self) -> None:
        self.closed = False

    def iterate(self, *pieces: Any) -> Iterator[Any]:
        try:
            yield from pieces
            raise ValueError("broken")
        finally:
            self.closed = True

    async def iterate_slowly(self, *pieces: Any) -> AsyncIterator[Any]:
        try:
            for piece in pieces:
                yield piece
            raise ValueError("broken")
        finally:
            self.closed = True


def sending(client: Client, body: Body) -> Deferred[None]:
    """Begin to send a body."""
    sent = start(send_body(client, body), copy_context(), Clock())
    return sent if isinstance(sent, Deferred) else Deferred.fromCoroutine(nothing())


async def nothing() -> None:
    """What has been done at once."""


def sent(body: Any) -> list[bytes]:
    """The pieces of a body that is sent to a client that is not slow."""
    client = Client()
    result_of(sending(client, body))
    return client.pieces


async def slowly(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


# Every kind


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"hello",
        lambda: [b"hel", b"lo"],
        lambda: (b"h", b"", b"ello"),
        lambda: iter([b"hello", b""]),
        lambda: {b"hello": 1}.keys(),
        lambda: (piece for piece in [b"he", b"llo"]),
        lambda: slowly(b"he", b"", b"llo"),
        lambda: BytesIO(b"hello"),
        lambda: [bytearray(b"he"), memoryview(b"llo")],
    ],
)
def test_kinds(make):
    """Whatever a body is, its bytes are sent, in order, and no empty piece of it."""
    assert b"".join(sent(make())) == b"hello"


@pytest.mark.parametrize("make", [bytes, list, BytesIO, lambda: iter([b""]), lambda: slowly(b"")])
def test_nothing(make):
    """An empty body is no piece at all."""
    assert sent(make()) == []


def test_bytes_in_pieces():
    """Large bytes go piece by piece, so that a slow client is seen to read."""
    body = bytes(PIECE) + b"x" * PIECE + b"y"
    assert sent(body) == [bytes(PIECE), b"x" * PIECE, b"y"]


def test_file_in_pieces():
    """Of a file no more is in memory at once than a piece."""
    file = File(b"x" * (FILE_PIECE + 1))
    assert sent(file) == [b"x" * FILE_PIECE, b"x"]
    assert set(file.sizes) == {FILE_PIECE}


def test_file_that_grows():
    """Of a file whose length is known no more is sent, though there may be more by now."""
    for length, expected in ((3, b"hel"), (5, b"hello"), (9, b"hello"), (0, b"")):
        client = Client()
        file = File(b"hello")
        result_of(Deferred.fromCoroutine(send_body(client, file, length)))
        assert client.body == expected
        assert file.closed


class Reading(Client):
    """Reads files by itself."""

    def send_file(self, file: FileBody) -> Awaitable[None] | None:
        self.pieces.append(os.pread(file.file.fileno(), file.length, file.offset))
        return nothing()


@pytest.mark.parametrize("kind", [Client, Reading])
def test_file_body_that_grows(tmp_path, kind):
    """No more of it, either, than was promised, whoever reads it."""
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    for length, expected in ((3, b"ell"), (4, b"ello"), (9, b"ello"), (0, b""), (None, b"ello")):
        client = kind()
        body = FileBody(path.open("rb"), 1)
        result_of(Deferred.fromCoroutine(send_body(client, body, length)))
        assert client.body == expected
        assert body.file.closed


@pytest.mark.parametrize("piece", ["text", 5, None, [b"x"]], ids=repr)
@pytest.mark.parametrize("iterate", [Noting.iterate, Noting.iterate_slowly])
def test_pieces_that_are_none(piece, iterate):
    """A piece that is not bytes fails the body, and names what it was."""
    source = Noting()
    client = Client()
    with pytest.raises(TypeError, match=f"not {type(piece).__name__}"):
        result_of(start_failing(client, iterate(source, b"hello", piece)))
    assert client.pieces == [b"hello"]
    assert source.closed


def start_failing(client: Client, body: Any) -> Deferred[None]:
    return Deferred.fromCoroutine(send_body(client, body))


# At the client's pace

SLOW: list[Callable[[], Any]] = [
    lambda: [b"a", b"b", b"c"],
    lambda: slowly(b"a", b"b", b"c"),
    lambda: b"a" * PIECE + b"b" * PIECE + b"c",
    lambda: File(b"a" * FILE_PIECE + b"b" * FILE_PIECE + b"c"),
]


@pytest.mark.parametrize("make", SLOW)
def test_slow_client(make):
    """Nothing more is taken from a body until its client has taken what was sent."""
    client = Client(slow=True)
    done = sending(client, make())
    for count in (1, 2, 3):
        assert len(client.pieces) == count
        assert not done.called
        client.take()
    assert result_of(done) is None


@pytest.mark.parametrize("make", SLOW[:2])
def test_client_that_is_slow_at_times(make):
    """What is not waited for goes out at once."""
    client = Client()
    client.slow = True
    done = sending(client, make())
    client.slow = False
    client.take()
    assert done.called
    assert client.body == b"abc"


# However it ends


@pytest.mark.parametrize("iterate", [Noting.iterate, Noting.iterate_slowly])
def test_body_that_fails(iterate):
    """What a body raises is raised."""
    client = Client()
    source = Noting()
    with pytest.raises(ValueError, match="broken"):
        result_of(start_failing(client, iterate(source, b"hello")))
    assert client.body == b"hello"
    assert source.closed


@pytest.mark.parametrize("iterate", [Noting.iterate, Noting.iterate_slowly])
def test_client_that_goes(iterate):
    """When the client has gone, a generator is closed where it stands."""
    source = Noting()
    client = Client(slow=True)
    done = sending(client, iterate(source, b"a", b"b"))
    assert not source.closed
    done.cancel()
    assert source.closed
    with pytest.raises(CancelledError):
        result_of(done)


def test_client_that_goes_while_the_body_waits():
    """A generator that waits for something is cancelled there, and may clean up in its time."""
    cleaned: list[str] = []
    first: Deferred[bytes] = Deferred()
    last: Deferred[None] = Deferred()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield await first
        except CancelledError:
            cleaned.append("cancelled")
            await last
            raise
        finally:
            cleaned.append("closed")

    done = sending(Client(), body())
    done.cancel()
    assert cleaned == ["cancelled"]
    last.callback(None)
    assert cleaned == ["cancelled", "closed"]
    with pytest.raises(CancelledError):
        result_of(done)


def test_files_are_closed():
    """A file is closed when it has been sent, when it fails, when its client goes."""
    file = File(b"x")
    sent(file)
    assert file.closed
    file = File(b"x")
    done = sending(Client(slow=True), file)
    assert not file.closed
    done.cancel()
    assert file.closed
    with pytest.raises(CancelledError):
        result_of(done)


def test_bodies_that_are_not_sent():
    """What is not sent is let go of in the same way."""
    file = File(b"x")
    source = Noting()
    begun = source.iterate(b"a", b"b")
    next(begun)
    for body in (b"", [b""], file, begun, slowly(b"")):
        result_of(Deferred.fromCoroutine(close_body(body)))
    assert file.closed
    assert source.closed


# IBodyProducer


def test_producer():
    """A producer writes, and its Deferred says when it is done."""
    client = Client()
    producer = Producer()
    done = sending(client, producer)
    producer.consumer.write(b"hello ")
    producer.consumer.write(b"")
    producer.consumer.write(b"world")
    assert not done.called
    producer.done.callback(None)
    assert result_of(done) is None
    assert client.body == b"hello world"
    assert producer.calls == ["start"]


def test_producer_of_a_slow_client():
    """It is paused while the client is slow, and resumed, once each."""
    client = Client(slow=True)
    producer = Producer()
    done = sending(client, producer)
    producer.consumer.write(b"a")
    producer.consumer.write(b"b")
    assert producer.calls == ["start", "pause"]
    client.take()
    assert producer.calls == ["start", "pause", "resume"]
    producer.consumer.write(b"c")
    assert producer.calls == ["start", "pause", "resume", "pause"]
    client.take()
    client.take()
    producer.done.callback(None)
    assert result_of(done) is None
    assert client.body == b"abc"


def test_producer_that_is_done_before_its_client():
    """A producer that is done is left alone; the body is sent when the client has taken it."""
    client = Client(slow=True)
    producer = Producer()
    done = sending(client, producer)
    producer.consumer.write(b"a")
    producer.done.callback(None)
    assert not done.called
    client.take()
    assert result_of(done) is None
    assert producer.calls == ["start", "pause"]


def test_producer_of_a_client_that_goes():
    """It is stopped, so that it lets go of what it holds."""
    producer = Producer()
    done = sending(Client(), producer)
    producer.consumer.write(b"a")
    done.cancel()
    assert producer.calls == ["start", "stop"]
    with pytest.raises(CancelledError):
        result_of(done)


def test_producer_that_fails():
    """Its error is the body's; it has ended by itself, and is not stopped."""
    producer = Producer()
    done = sending(Client(), producer)
    producer.done.errback(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        result_of(done)
    assert producer.calls == ["start"]


def test_producer_that_writes_when_it_is_done():
    """What it writes then is no part of its body, and not of the next response either."""
    client = Client()
    producer = Producer()
    done = sending(client, producer)
    producer.done.callback(None)
    producer.consumer.write(b"late")
    assert result_of(done) is None
    assert client.body == b""


def test_producer_that_registers_another():
    """A producer may register another one, which is paused then instead of it."""
    client = Client(slow=True)
    producer, other = Producer(), Producer()
    done = sending(client, producer)
    producer.consumer.registerProducer(other, True)
    producer.consumer.write(b"a")
    client.take()
    producer.consumer.unregisterProducer()
    producer.done.callback(None)
    assert result_of(done) is None
    assert (producer.calls, other.calls) == (["start"], ["pause", "resume"])


def test_file_body_producer():
    """Twisted's own producer sends its file, at the client's pace, and closes it."""
    clock = Clock()
    file = File(b"a" * 10 + b"b" * 10 + b"c")
    cooperator = Cooperator(scheduler=lambda call: clock.callLater(0, call))
    client = Client(slow=True)
    done = sending(client, FileBodyProducer(file, cooperator, 10))
    for count in (1, 2, 3):
        for _ in range(5):
            clock.advance(1)
        assert len(client.pieces) == count
        client.take()
    clock.advance(1)
    assert result_of(done) is None
    assert client.body == file.getvalue() if not file.closed else len(client.body) == 21
    assert file.closed


@pytest.mark.parametrize("written", [False, True])
def test_file_body_producer_of_a_client_that_goes(written):
    """Twisted's own producer closes its file when it is stopped."""
    clock = Clock()
    file = File(b"a" * 100)
    cooperator = Cooperator(scheduler=lambda call: clock.callLater(0, call))
    done = sending(Client(slow=True), FileBodyProducer(file, cooperator, 10))
    if written:
        clock.advance(1)
    done.cancel()
    assert file.closed
    with pytest.raises(CancelledError):
        result_of(done)


def test_file_body_producer_that_fails():
    """What its file raises is what is told."""
    clock = Clock()

    class Broken(File):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("broken")

    cooperator = Cooperator(scheduler=lambda call: clock.callLater(0, call))
    done = sending(Client(), FileBodyProducer(Broken(b"a"), cooperator))
    clock.advance(1)
    with pytest.raises(OSError, match="broken"):
        result_of(done)


def test_consumer_is_one():
    """What a producer writes to has the whole interface."""
    assert verifyObject(IConsumer, _Consumer(Client(), Producer()))


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
@pytest.mark.parametrize("waits", [False, True])
def test_discard(logged, error, waits):
    """A body that is not sent is closed; that it cannot be is logged, and disturbs nobody."""
    later: Deferred[None] = Deferred()

    class Unclosable:
        def __aiter__(self) -> Unclosable:
            return self

        async def aclose(self) -> None:
            if waits:
                await later
            raise error

    discard(Response(cast(Any, Unclosable())), copy_context(), Clock())
    later.callback(None)
    logged.take(error)
