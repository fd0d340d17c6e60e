"""A body that is pushed, and whoever takes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from mynet.handlers.asgi.contract import ClientDisconnected
from mynet.handlers.asgi.stream import Streamed
from mynet.testing import result_of
from tests.handlers.asgi.driving import in_a_loop


class Consumer:
    """Takes what is written, and may have had enough."""

    def __init__(self, stream: Streamed, most: int = 99) -> None:
        self.got: list[bytes] = []
        self._stream = stream
        self._most = most

    def write(self, data: bytes) -> None:
        self.got.append(data)
        if len(self.got) >= self._most:
            self._stream.pauseProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        raise AssertionError

    def unregisterProducer(self) -> None:
        raise AssertionError


async def begin(stream: Streamed, *pieces: bytes) -> asyncio.Task[None]:
    """A task that writes these."""

    async def write() -> None:
        for piece in pieces:
            await stream.write(piece)

    task = asyncio.ensure_future(write())
    await asyncio.sleep(0)
    return task


@in_a_loop
async def test_is_a_producer():
    """It is a producer of bodies, whose length is not known."""
    stream = Streamed()
    verifyObject(IBodyProducer, stream)
    assert stream.length is UNKNOWN_LENGTH


@in_a_loop
async def test_waits_until_it_is_taken():
    """What is written waits until somebody takes it."""
    stream = Streamed()
    task = await begin(stream, b"one", b"two")
    assert not task.done()
    consumer: Any = Consumer(stream)
    sent = stream.startProducing(consumer)
    await task
    assert consumer.got == [b"one", b"two"]
    assert not sent.called
    stream.end()
    assert result_of(sent) is None


@in_a_loop
async def test_waits_for_who_takes_it():
    """What is written when there is enough waits, and goes out later."""
    stream = Streamed()
    consumer: Any = Consumer(stream, 1)
    stream.startProducing(consumer)
    task = await begin(stream, b"one", b"two")
    assert not task.done()
    assert consumer.got == [b"one"]
    stream.resumeProducing()
    await asyncio.sleep(0)
    assert consumer.got == [b"one", b"two"]
    stream.resumeProducing()
    await task


@pytest.mark.parametrize("started", [False, True])
def test_closed(started):
    """Whoever waits when it is closed, or writes afterwards, is told that nobody takes it."""

    @in_a_loop
    async def run():
        stream = Streamed()
        consumer: Any = Consumer(stream, 1)
        if started:
            stream.startProducing(consumer)
        task = await begin(stream, b"one", b"two")
        stream.stopProducing()
        stream.close()
        with pytest.raises(ClientDisconnected):
            await task
        with pytest.raises(ClientDisconnected):
            await stream.write(b"three")

    run()


@in_a_loop
async def test_waiting_is_cancelled():
    """Who waits may be cancelled; the others go on."""
    stream = Streamed()
    first, second = await begin(stream, b"one"), await begin(stream, b"two")
    first.cancel()
    await asyncio.sleep(0)
    consumer: Any = Consumer(stream)
    stream.startProducing(consumer)
    await second
    assert consumer.got == [b"two"]


@in_a_loop
async def test_ended_before_it_is_taken():
    """What has ended, or failed, before it is taken does so then."""
    stream = Streamed()
    stream.end()
    consumer: Any = Consumer(stream)
    assert result_of(stream.startProducing(consumer)) is None
    stream = Streamed()
    stream.fail(Failure(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        result_of(stream.startProducing(consumer))


@in_a_loop
async def test_failure():
    """Who takes it is told that it fails."""
    stream = Streamed()
    consumer: Any = Consumer(stream)
    sent = stream.startProducing(consumer)
    stream.fail(Failure(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        result_of(sent)


@pytest.mark.parametrize("started", [False, True])
def test_end_waits_for_what_was_written_before(started):
    """What another task has written before the end, and waits, is sent before that."""

    @in_a_loop
    async def run():
        stream = Streamed()
        consumer: Any = Consumer(stream, 1)
        sent: Any = None
        if started:
            sent = stream.startProducing(consumer)
        tasks = [await begin(stream, piece) for piece in (b"one", b"two", b"three")]
        stream.end()
        if not started:
            sent = stream.startProducing(consumer)
        at_the_end: list[bytes] = []
        sent.addCallback(lambda _: at_the_end.extend(consumer.got))
        for _ in range(4):
            await asyncio.sleep(0)
            stream.resumeProducing()
        assert at_the_end == [b"one", b"two", b"three"]
        await asyncio.gather(*tasks)

    run()


@in_a_loop
async def test_end_waits_for_nobody_who_is_cancelled():
    """Who was cancelled while it waited keeps nobody else."""
    stream = Streamed()
    consumer: Any = Consumer(stream, 1)
    sent = stream.startProducing(consumer)
    await begin(stream, b"one")
    task = await begin(stream, b"two")
    stream.end()
    task.cancel()
    await asyncio.sleep(0)
    assert result_of(sent) is None
    assert consumer.got == [b"one"]
    stream.close()
    await asyncio.sleep(0)


@in_a_loop
async def test_end_of_what_is_closed():
    """Who waits when it is closed is told so, also after the end."""
    stream = Streamed()
    consumer: Any = Consumer(stream, 1)
    stream.startProducing(consumer)
    await begin(stream, b"one")
    task = await begin(stream, b"two")
    stream.end()
    stream.stopProducing()
    with pytest.raises(ClientDisconnected):
        await task
