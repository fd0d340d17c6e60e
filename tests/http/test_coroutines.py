"""Coroutines: what they may await, how they end, how they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from mynet.http.coroutines import start, wait_for
from mynet.testing import result_of

T = TypeVar("T")

VALUE: ContextVar[int] = ContextVar("VALUE", default=0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(
    coroutine: Coroutine[Any, Any, T], clock: Clock | None = None, context: Context | None = None
) -> Any:
    return start(coroutine, context or copy_context(), clock or Clock())


async def await_all(*deferreds: Deferred[int]) -> list[int]:
    return [await deferred for deferred in deferreds]


# Its result


def test_coroutine_that_need_not_wait():
    """It has run to its end, and costs no Deferred."""
    assert run(await_all()) == []
    assert run(await_all(succeed(1), succeed(2))) == [1, 2]


def test_coroutine_that_waits():
    """It goes on when what it awaits is there, in turn."""
    first, second = Deferred[int](), Deferred[int]()
    result = run(await_all(first, succeed(2), second))
    first.callback(1)
    assert not result.called
    second.callback(3)
    assert result_of(result) == [1, 2, 3]


def test_coroutine_that_fails_at_once():
    """What it raises is raised."""
    with pytest.raises(ValueError, match="broken"):
        run(await_all(fail(ValueError("broken"))))


def test_coroutine_that_fails_later():
    """What it raises later is the Deferred's failure."""
    deferred = Deferred[int]()
    result = run(await_all(deferred))
    deferred.errback(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        result_of(result)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_coroutine_that_raises_no_exception(error):
    """Once it has waited, it fails with whatever it raises, and nothing else does."""

    async def raising(deferred: Deferred[None]) -> None:
        await deferred
        raise error

    deferred = Deferred[None]()
    result = run(raising(deferred))
    deferred.callback(None)
    with pytest.raises(error):
        result_of(result)


def test_coroutine_that_catches():
    """What is awaited may fail, and be caught, as often as it likes."""

    async def catching(*deferreds: Deferred[int]) -> int:
        caught = 0
        for deferred in deferreds:
            try:
                await deferred
            except ValueError:
                caught += 1
        return caught

    later = Deferred[int]()
    result = run(catching(fail(ValueError()), later, succeed(1), fail(ValueError())))
    later.errback(ValueError())
    assert result_of(result) == 3


def test_many_results():
    """Very many results that are there already are no deep recursion."""
    assert len(run(await_all(*[succeed(1)] * 20000))) == 20000


def test_other_awaitables():
    """Anything that can be awaited can be run."""

    class Promise:
        def __await__(self) -> Generator[Any, Any, int]:
            return (yield from deferred.__await__()) + 1

    deferred = Deferred[int]()
    result = run(wait_for(Promise()))
    deferred.callback(1)
    assert result_of(result) == 2


# asyncio


def test_sleep_of_nothing(clock):
    """`asyncio.sleep(0)` lets what is due go first."""
    order: list[int] = []

    async def sleeping() -> str:
        for number in (1, 3):
            await asyncio.sleep(0)
            order.append(number)
        return "done"

    result = run(sleeping(), clock)
    clock.callLater(0, order.append, 2)
    assert order == []
    clock.advance(0)
    clock.advance(0)
    assert result_of(result) == "done"
    assert order == [1, 2, 3]


def test_futures_of_asyncio(clock):
    """Where an asyncio loop runs, its futures may be awaited."""
    loop = asyncio.new_event_loop()

    async def awaiting(*futures: asyncio.Future[int]) -> list[int]:
        return [await future for future in futures]

    one, two, three = (loop.create_future() for _ in range(3))
    result = run(awaiting(one, two, three), clock)
    one.set_result(1)
    two.set_result(2)
    loop.run_until_complete(asyncio.sleep(0))
    assert not result.called
    three.set_exception(ValueError("broken"))
    loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(ValueError, match="broken"):
        result_of(result)
    loop.close()


def test_cancelling_a_future_of_asyncio(clock):
    """Whoever waits for one is cancelled with it."""
    loop = asyncio.new_event_loop()
    events: list[str] = []

    async def awaiting(future: asyncio.Future[int]) -> None:
        try:
            await future
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    future: asyncio.Future[int] = loop.create_future()
    result = run(awaiting(future), clock)
    result.cancel()
    assert future.cancelled()
    loop.run_until_complete(asyncio.sleep(0))
    assert events == ["cancelled"]
    with pytest.raises(CancelledError):
        result_of(result)
    loop.close()


def test_what_belongs_to_another_loop():
    """Awaiting what nobody here understands fails where it is awaited."""

    class Foreign:
        def __await__(self) -> Generator[Any, Any, None]:
            yield "a message"

    async def awaiting() -> str:
        with pytest.raises(TypeError, match="cannot await this: 'a message'"):
            await Foreign()
        return "went on"

    assert result_of(run(awaiting())) == "went on"


# Cancelling


def test_cancel():
    """What it waits for is cancelled, wherever in it, and it ends there."""
    events: list[str] = []

    async def inner() -> None:
        try:
            await Deferred(lambda _: events.append("cancelled"))
        finally:
            events.append("inner")

    async def outer() -> None:
        await succeed(None)
        await inner()
        events.append("never")

    result = run(outer())
    result.cancel()
    assert events == ["cancelled", "inner"]
    with pytest.raises(CancelledError):
        result_of(result)


def test_cancel_sleep(clock):
    """Also `asyncio.sleep(0)`; nothing is left of it on the clock."""
    events: list[str] = []

    async def sleeping() -> None:
        try:
            await asyncio.sleep(0)
        except CancelledError:
            events.append("cancelled")
            raise

    result = run(sleeping(), clock)
    result.cancel()
    assert events == ["cancelled"]
    assert clock.getDelayedCalls() == []
    with pytest.raises(CancelledError):
        result_of(result)


def test_cancel_what_answers_all_the_same():
    """A coroutine that catches its cancellation may still have a result, at once."""

    async def catching() -> str:
        try:
            await Deferred()
        except CancelledError:
            return "all the same"
        return "never"

    result = run(catching())
    result.cancel()
    assert result_of(result) == "all the same"


def test_cancel_what_goes_on(logged):
    """One that goes on waiting has been given up; its errors are logged, its result is not."""

    async def going_on(deferred: Deferred[str]) -> str:
        try:
            await Deferred()
        except CancelledError:
            return await deferred
        return "never"

    for outcome in ("late", ValueError("late"), CancelledError()):
        deferred = Deferred[str]()
        result = run(going_on(deferred))
        result.cancel()
        with pytest.raises(CancelledError):
            result_of(result)
        if isinstance(outcome, str):
            deferred.callback(outcome)
        else:
            deferred.errback(outcome)
    logged.take(ValueError)


def test_cancel_twice():
    """It is cancelled once."""
    count: list[int] = []
    result = run(wait_for(Deferred(lambda _: count.append(1))))
    result.cancel()
    result.cancel()
    assert count == [1]
    with pytest.raises(CancelledError):
        result_of(result)


def test_cancel_from_within():
    """A coroutine may be the cause of its own cancellation."""
    deferred = Deferred[None]()

    async def cancelling() -> str:
        await deferred
        result.cancel()
        return "went on"

    result = run(cancelling())
    deferred.callback(None)
    with pytest.raises(CancelledError):
        result_of(result)


# Context


def test_context():
    """All of it runs in one context, which is its own."""

    async def counting(*deferreds: Deferred[None]) -> list[int]:
        seen = []
        for deferred in deferreds:
            token = VALUE.set(VALUE.get() + 1)
            seen.append(VALUE.get())
            await deferred
            seen.append(VALUE.get())
            VALUE.reset(token)
        return [*seen, VALUE.get()]

    deferreds = [Deferred[None]() for _ in range(2)]
    context = copy_context()
    context.run(VALUE.set, 10)
    result = run(counting(*deferreds), context=context)
    VALUE.set(100)
    for deferred in deferreds:
        deferred.callback(None)
    assert result_of(result) == [11, 11, 11, 11, 10]
    assert VALUE.get() == 100
