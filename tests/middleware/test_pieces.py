"""Any body, taken piece by piece."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet.http.file import FileBody
from mynet.middleware.pieces import HIGH_WATER, _Pushed, pieces
from mynet.testing import result_of
from tests.asking import start


@implementer(IBodyProducer)
class Producer:
    """A body that is pushed by a test."""

    def __init__(self) -> None:
        self.length = UNKNOWN_LENGTH
        self.calls: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.on_resume: Callable[[], object] = bool
        self.consumer: IConsumer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.on_resume()

    def stopProducing(self) -> None:
        self.calls.append("stop")


async def collect(source: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [piece async for piece in source]


def all_of(body, length=None) -> bytes:
    return b"".join(result_of(start(collect(pieces(body, length)))))


async def stream():
    yield b"one, "
    yield b"two"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"one, two")
    return tmp_path / "file"


def test_every_kind(path):
    """Whatever a response can carry can be taken."""
    assert all_of(b"one, two") == b"one, two"
    assert all_of([b"one, ", b"two"]) == b"one, two"
    assert all_of(stream()) == b"one, two"
    assert all_of(io.BytesIO(b"one, two")) == b"one, two"
    with path.open("rb") as file:
        assert all_of(FileBody(file)) == b"one, two"


def test_file_of_a_length():
    """Of a file that grows no more is taken than was promised."""
    assert all_of(io.BytesIO(b"one, two"), 3) == b"one"


@pytest.mark.parametrize("body", [[b"one"], b"one", io.BytesIO(b"one")])
def test_broken_promise(body):
    """A body that is shorter than was promised does not look complete."""
    with pytest.raises(ValueError, match="the body has 3 bytes, and its Content-Length is 4"):
        all_of(body, 4)
    with pytest.raises(ValueError, match="the body has 3 bytes, and its Content-Length is 2"):
        all_of([b"one"], 2)


# What is pushed


@pytest.fixture
def producer():
    return Producer()


def test_pushed(producer):
    """Each piece is there when it is written."""
    source = pieces(producer, None)
    first = start(anext(source))
    assert verifyObject(IConsumer, producer.consumer)
    producer.consumer.write(b"one")
    assert result_of(first) == b"one"
    producer.consumer.write(b"two")
    producer.done.callback(None)
    assert result_of(start(collect(source))) == [b"two"]
    assert producer.calls == []


def test_pushed_whole(producer):
    """What has been written when it ends is taken before that is told."""
    producer.startProducing = lambda consumer: consumer.write(b"one") or producer.done
    producer.done.callback(None)
    assert all_of(producer) == b"one"


def test_pushed_too_fast(producer):
    """A producer is paused while nothing is taken, and resumed when much of that has been."""
    source = pieces(producer, None)
    first = start(anext(source))
    producer.consumer.write(b"x")
    assert result_of(first) == b"x"
    producer.consumer.write(bytes(HIGH_WATER - 1))
    assert producer.calls == []
    producer.consumer.write(b"yy")
    producer.consumer.write(b"z")
    assert producer.calls == ["pause"]
    assert len(result_of(start(anext(source)))) == HIGH_WATER - 1
    assert producer.calls == ["pause", "resume"]
    producer.done.callback(None)
    assert result_of(start(collect(source))) == [b"yy", b"z"]


def test_pushed_at_once(producer):
    """A producer that has written all when it is paused has ended, and is not resumed."""
    body = bytes(2 * HIGH_WATER)
    producer.startProducing = lambda consumer: consumer.write(body) or producer.done
    producer.done.callback(None)
    assert all_of(producer) == body
    assert producer.calls == ["pause"]


def test_pushed_and_fails(producer):
    """An error of the producer comes behind what it has written."""
    rest = start(collect(pieces(producer, None)))
    producer.consumer.write(b"one")
    producer.done.errback(OSError("no more"))
    with pytest.raises(OSError, match="no more"):
        result_of(rest)


def test_pushed_and_not_wanted(producer):
    """A producer of which no more is taken is told to stop, once."""
    source = pieces(producer, None)
    first = start(anext(source))
    producer.consumer.write(b"one")
    result_of(first)
    result_of(start(source.aclose()))
    producer.consumer.write(b"two")
    assert producer.calls == ["stop"]


def test_pushed_and_cancelled(producer):
    """Who waits for a piece may be cancelled."""
    waiting = start(anext(pieces(producer, None)))
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert producer.calls == ["stop"]


def test_pulled(producer):
    """A producer that writes when it is asked is asked for each piece, and no sooner."""
    written = iter([b"one", b"two"])
    producer.on_resume = lambda: producer.consumer.write(next(written))
    source = pieces(producer, None)
    first = start(anext(source))
    assert producer.calls == []
    producer.consumer.registerProducer(producer, False)
    assert (result_of(first), producer.calls) == (b"one", ["resume"])
    assert result_of(start(anext(source))) == b"two"
    producer.on_resume = lambda: producer.done.callback(None)
    assert result_of(start(collect(source))) == []
    assert producer.calls == ["resume"] * 3


def test_pulled_later(producer):
    """A producer that is asked, and writes later, is waited for; then it may push again."""
    source = pieces(producer, None)
    first = start(anext(source))
    producer.consumer.registerProducer(producer, False)
    assert not first.called
    producer.consumer.write(b"one")
    assert result_of(first) == b"one"
    producer.consumer.unregisterProducer()
    second = start(anext(source))
    assert producer.calls == ["resume"]
    producer.consumer.write(b"two")
    assert result_of(second) == b"two"


def test_registered_producers_are_paused(producer):
    """Who registers another producer has that paused."""
    other = Producer()
    pushed = _Pushed(producer)
    producer.consumer.registerProducer(other, True)
    producer.consumer.write(bytes(HIGH_WATER))
    assert (producer.calls, other.calls) == ([], ["pause"])
    assert len(result_of(start(pushed.take())) or b"") == HIGH_WATER
    assert other.calls == ["pause", "resume"]
