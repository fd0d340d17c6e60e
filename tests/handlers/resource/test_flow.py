"""The body of a resource's response, between who writes it and who sends it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from mynet.handlers.resource.flow import HIGH_WATER, MOMENT, Flow
from mynet.testing import result_of


class Consumer:
    """Takes what is written; after each piece it pauses who writes, if it is slow."""

    def __init__(self, flow: Flow, slow: bool = False) -> None:
        self.flow = flow
        self.slow = slow
        self.data = b""
        self.error: Exception | None = None

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.data += data
        if self.slow:
            self.flow.pauseProducing()


class Producer:
    """Notes what it is told; when it is pulled it writes the next of its pieces."""

    def __init__(self, flow: Flow, pieces: int = 0) -> None:
        self.flow = flow
        self.pieces = pieces
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        if self.pieces:
            self.pieces -= 1
            self.flow.write(b"piece")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Cut:
    """Counts how often the flow is cut."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def cut() -> Cut:
    return Cut()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flow(cut: Cut, clock: Clock) -> Flow:
    return Flow([b"begun"], cut, clock)


def begin(flow: Flow, slow: bool = False) -> tuple[Consumer, Deferred[None]]:
    consumer: Any = Consumer(flow, slow)
    return consumer, flow.startProducing(consumer)


def test_interface(flow):
    """Whatever sends an IBodyProducer finds a whole one."""
    assert verifyObject(IBodyProducer, flow)


def test_writes(flow, cut):
    """What is written is sent in order, that from before it was sent too, until all has been."""
    flow.write(b" early")
    consumer, done = begin(flow)
    flow.write(b" late")
    assert not done.called
    flow.end()
    assert result_of(done) is None
    assert consumer.data == b"begun early late"
    assert cut.count == 0


def test_written_before_it_is_sent(flow):
    """Who has written everything before anything is sent need not wait for that."""
    flow.write(b" and ended")
    flow.end()
    consumer, done = begin(flow)
    assert result_of(done) is None
    assert consumer.data == b"begun and ended"


def test_push_producer_is_paused(flow):
    """A producer that pushes has the pace of the client."""
    consumer, _ = begin(flow, slow=True)
    producer = Producer(flow)
    flow.register(producer, True)
    assert producer.calls == ["pause"], "it comes while the client has not taken what was sent"
    flow.resumeProducing()
    flow.write(b"more")
    flow.write(b"more")
    assert producer.calls == ["pause", "resume", "pause"]
    flow.unregister()
    flow.resumeProducing()
    assert producer.calls == ["pause", "resume", "pause"]
    assert consumer.data == b"begunmoremore"


def test_push_producer_before_it_is_sent(flow):
    """Nor does a producer fill the memory while nothing takes what it writes."""
    producer = Producer(flow)
    flow.register(producer, True)
    flow.write(b"x" * HIGH_WATER)
    assert producer.calls == ["pause"]
    consumer, _ = begin(flow)
    assert producer.calls == ["pause", "resume"]
    assert len(consumer.data) == 5 + HIGH_WATER


def test_pull_producer(flow, clock):
    """A producer that is pulled is asked for more each time that it has written."""
    consumer, _ = begin(flow)
    producer = Producer(flow, pieces=2)
    flow.register(producer, False)
    flow.pull_soon()
    flow.pull_soon()
    assert producer.calls == [], "whoever registers it may have more to do"
    clock.advance(0)
    assert producer.calls == ["resume"] * 3
    assert consumer.data == b"begunpiecepiece"


def test_pull_producer_writes_nothing(flow, clock):
    """One that has not written when it was asked is asked again soon."""
    consumer, _ = begin(flow)
    producer = Producer(flow)
    flow.register(producer, False)
    flow.pull()
    for asked in (1, 2):
        assert producer.calls == ["resume"] * asked
        clock.advance(MOMENT)
    producer.pieces = 1
    clock.advance(MOMENT)
    assert consumer.data == b"begunpiece"
    flow.unregister()
    clock.advance(MOMENT)
    assert clock.getDelayedCalls() == []


def test_pull_producer_waits(flow, clock):
    """It is not asked while the client does not take what it wrote."""
    begin(flow, slow=True)
    producer = Producer(flow, pieces=9)
    flow.register(producer, False)
    flow.pull()
    clock.advance(0)
    assert producer.calls == []
    for asked in (1, 2):
        flow.resumeProducing()
        clock.advance(0)
        assert producer.calls == ["resume"] * asked


def test_pull_producer_before_it_is_sent(flow, clock):
    """It is not asked either when enough waits to be sent; then it goes on."""
    producer = Producer(flow, pieces=2 * HIGH_WATER)
    flow.register(producer, False)
    flow.pull()
    clock.advance(0)
    assert len(producer.calls) == -(-(HIGH_WATER - 5) // 5)
    producer.pieces = 1
    consumer, _ = begin(flow)
    clock.advance(0)
    assert producer.pieces == 0
    assert len(consumer.data) == HIGH_WATER - HIGH_WATER % 5 + 10


def test_pull_producer_that_ends(flow):
    """One that has unregistered itself is asked no more."""

    class Ending(Producer):
        def resumeProducing(self) -> None:
            super().resumeProducing()
            self.flow.unregister()
            self.flow.end()

    producer = Ending(flow, pieces=5)
    flow.register(producer, False)
    consumer, done = begin(flow)
    flow.pull()
    assert result_of(done) is None
    assert producer.calls == ["resume"]
    assert consumer.data == b"begunpiece"


def test_one_producer(flow):
    """Two producers at a time are a mistake of the application's."""
    flow.register(Producer(flow), True)
    with pytest.raises(RuntimeError, match="has not been unregistered"):
        flow.register(Producer(flow), True)


@pytest.mark.parametrize("streaming", [True, False])
def test_client_goes(flow, cut, streaming):
    """Nobody writes for a client that has gone; who tries is not bothered."""
    producer = Producer(flow)
    flow.register(producer, streaming)
    consumer, _ = begin(flow)
    flow.stopProducing()
    flow.close()
    flow.write(b"more")
    flow.end()
    assert producer.calls == ["stop"]
    assert consumer.data == b"begun"
    assert cut.count == 1


def test_sent(flow, cut):
    """Letting go of what was sent is not cutting it."""
    begin(flow)
    flow.end()
    flow.close()
    assert cut.count == 0


def test_fails(flow, cut):
    """A body that fails is known not to be whole by who sends it, and by who writes it."""
    producer = Producer(flow)
    flow.register(producer, True)
    _, done = begin(flow)
    flow.fail(Failure(ZeroDivisionError()))
    flow.fail(Failure(ValueError()))
    with pytest.raises(ZeroDivisionError):
        result_of(done)
    assert producer.calls == ["stop"]
    assert cut.count == 1


def test_fails_though_it_seems_to_end(flow):
    """A producer that ends the response when it is stopped does not make it look complete."""

    class Ending(Producer):
        def stopProducing(self) -> None:
            self.flow.end()

    flow.register(Ending(flow), True)
    _, done = begin(flow)
    flow.fail(Failure(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        result_of(done)


def test_producer_fails(flow, cut, clock):
    """A producer that fails where it is pulled breaks the body off."""

    class Failing(Producer):
        def resumeProducing(self) -> None:
            raise ZeroDivisionError

    flow.register(Failing(flow), False)
    with pytest.raises(ZeroDivisionError):
        flow.pull()
    _, done = begin(flow)
    flow.pull_soon()
    clock.advance(0)
    with pytest.raises(ZeroDivisionError):
        result_of(done)
    assert cut.count == 1


def test_not_taken(flow, cut):
    """What who sends does not take, such as more than was promised, breaks it off."""
    consumer, done = begin(flow)
    consumer.error = ValueError("longer than its Content-Length")
    flow.write(b"more")
    with pytest.raises(ValueError, match="longer"):
        result_of(done)
    assert cut.count == 1


def test_producer_that_cannot_be_stopped(flow, cut, logged):
    """An error of stopProducing is logged, and keeps nobody from learning of the end."""

    class Stubborn(Producer):
        def stopProducing(self) -> None:
            raise ZeroDivisionError

    flow.register(Stubborn(flow), True)
    flow.close()
    assert cut.count == 1
    logged.take(ZeroDivisionError)
