"""A body that a thread writes: nothing is lost, and neither side gets far ahead of the other."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from mynet.handlers.wsgi.input import Disconnected
from mynet.handlers.wsgi.output import HIGH_WATER, LOW_WATER, Output
from mynet.http.outgoing import PIECE
from mynet.testing import result_of
from tests.handlers.wsgi.hosting import TIMEOUT, AtOnce, Inbox

MORE = HIGH_WATER + 1


T = TypeVar("T")


class Consumer:
    """A connection, which takes what it is given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)


class Watched(Condition):
    """A condition of which is known whether somebody has ever waited for it."""

    def __init__(self, reactor: Inbox) -> None:
        super().__init__()
        self.awaited = False
        self._reactor = reactor

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        self.awaited = True
        self._reactor.callFromThread(lambda: None)
        return super().wait_for(predicate, timeout)


class Writing:
    """An output, and a thread that writes to it."""

    def __init__(self, *parts: bytes, reactor: Any = None) -> None:
        self.reactor = reactor or Inbox()
        self.output = Output(None, self.reactor.callFromThread)
        self.condition = self.output._changed = Watched(self.reactor)
        self.consumer: Any = Consumer()
        self.error: BaseException | None = None
        self.thread = Thread(target=self._run, args=(parts,), daemon=True)
        if parts:
            self.thread.start()

    def _run(self, parts: tuple[bytes, ...]) -> None:
        try:
            for part in parts:
                self.output.write(part)
            self.output.finish()
        except BaseException as error:
            self.error = error

    def until_it_waits(self) -> None:
        self.reactor.until(lambda: self.condition.awaited)

    def start(self) -> Deferred[None]:
        return self.output.startProducing(self.consumer)

    def join(self) -> None:
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()


def at_once() -> Writing:
    return Writing(reactor=AtOnce())


def test_is_a_producer():
    """It is what a response may have for a body."""
    assert verifyObject(IBodyProducer, at_once().output)


def test_length():
    """Its length is the Content-Length, if there is one."""
    assert Output(5, print).length == 5
    assert Output(None, print).length is UNKNOWN_LENGTH


def test_before_it_is_asked():
    """What is written before the connection asks for it is sent when it does."""
    writing = at_once()
    writing.output.write(b"a")
    writing.output.write(b"b")
    done = writing.start()
    assert writing.consumer.received == b"ab"
    assert not done.called


def test_each_write_is_sent():
    """What is written is sent without waiting for more."""
    writing = at_once()
    writing.start()
    writing.output.write(b"a")
    assert writing.consumer.received == b"a"
    writing.output.write(b"b")
    assert writing.consumer.received == b"ab"


def test_nothing_is_written():
    """An empty part is no part, and holds up none behind it."""
    writing = at_once()
    writing.start()
    writing.output.write(b"")
    writing.output.write(b"a")
    assert writing.consumer.pieces == [b"a"]


def test_end():
    """When all has been written and sent, that is told."""
    writing = at_once()
    done = writing.start()
    writing.output.write(b"a")
    assert not done.called
    writing.output.finish()
    assert result_of(done) is None


def test_ended_before_it_is_asked():
    """All may have been written before it is sent."""
    writing = at_once()
    writing.output.write(b"a")
    writing.output.finish()
    assert result_of(writing.start()) is None
    assert writing.consumer.received == b"a"


def test_failure():
    """An application that fails breaks its response off."""
    writing = at_once()
    done = writing.start()
    writing.output.finish(Failure(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        result_of(done)


def test_failure_while_the_client_is_slow():
    """It does so also while nothing can be sent."""
    writing = at_once()
    done = writing.start()
    writing.output.pauseProducing()
    writing.output.write(b"a")
    writing.output.finish(Failure(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        result_of(done)


def test_one_trip_for_many():
    """While the reactor has not come to it, all that is written costs one call of it."""
    calls: list[Any] = []
    output = Output(None, lambda *call: calls.append(call))
    output.startProducing(Consumer())  # type: ignore[arg-type]
    for _ in range(10):
        output.write(b"a")
    output.finish()
    assert len(calls) == 1


def test_pause():
    """While the client is slow nothing is sent, and afterwards all that was written meanwhile."""
    writing = at_once()
    done = writing.start()
    writing.output.pauseProducing()
    writing.output.write(b"a")
    writing.output.write(b"b")
    writing.output.finish()
    assert writing.consumer.received == b""
    writing.output.resumeProducing()
    assert writing.consumer.received == b"ab"
    assert done.called


def test_pause_in_the_middle():
    """A connection that says so while it is given a piece gets no other one."""
    writing = at_once()

    class Full(Consumer):
        def write(self, data):
            super().write(data)
            writing.output.pauseProducing()

    writing.consumer = Full()
    writing.output.write(b"a" * (2 * PIECE + 1))
    writing.start()
    assert [len(piece) for piece in writing.consumer.pieces] == [PIECE]
    writing.output.resumeProducing()
    writing.output.resumeProducing()
    assert [len(piece) for piece in writing.consumer.pieces] == [PIECE, PIECE, 1]


def test_large_part():
    """What is written in one call goes in pieces, so that a slow client is seen to read."""
    writing = Writing(bytes(range(256)) * 1024)
    done = writing.start()
    writing.reactor.until(lambda: done.called)
    assert max(map(len, writing.consumer.pieces)) == PIECE
    assert writing.consumer.received == bytes(range(256)) * 1024


def test_thread_waits_for_the_client():
    """A thread whose client takes nothing waits, and goes on when much of it has been taken."""
    parts = [b"a" * (HIGH_WATER // 4)] * 8
    writing = Writing(*parts)
    writing.until_it_waits()
    assert writing.output._buffered == HIGH_WATER
    done = writing.start()
    writing.reactor.until(lambda: done.called)
    writing.join()
    assert writing.consumer.received == b"".join(parts)


def test_low_water_is_below():
    """It goes on before there is nothing to send."""
    assert 0 < LOW_WATER < HIGH_WATER


@pytest.mark.parametrize("end", ["close", "stopProducing"])
def test_client_goes_while_the_thread_waits(end):
    """A thread that waits for its client learns that it has gone."""
    writing = Writing(b"a" * MORE)
    writing.until_it_waits()
    getattr(writing.output, end)()
    writing.join()
    assert isinstance(writing.error, Disconnected)


def test_client_has_gone():
    """A thread that writes to nobody learns so, and what it had written is forgotten."""
    writing = at_once()
    writing.output.write(b"a")
    writing.output.close()
    with pytest.raises(Disconnected):
        writing.output.write(b"b")
    writing.output.finish()
    assert writing.output.gone


def test_closed_at_its_end():
    """Closing what has been sent does no harm."""
    writing = at_once()
    done = writing.start()
    writing.output.finish()
    writing.output.close()
    writing.output.resumeProducing()
    assert done.called
