"""Coroutines: what they may await, how they end, how they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock

from mynet.http.coroutines import Signal, go_on, start, wait_for
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


# Signals


class Listener:
    """A coroutine that waits for a signal, over and over, two calls deep."""

    def __init__(self, times: int = 3) -> None:
        self.signal = Signal()
        self.events: list[str] = []
        self._times = times

    async def listen(self) -> str:
        for _ in range(self._times):
            await self.hear()
        return "heard"

    async def hear(self) -> None:
        try:
            await self.signal
            self.events.append("fired")
        except (CancelledError, asyncio.CancelledError) as error:
            self.events.append(type(error).__module__)
            raise


@inlineCallbacks
def in_a_generator(coroutine: Coroutine[Any, Any, T]) -> Generator[Deferred[T], T, T]:
    return (yield Deferred.fromCoroutine(coroutine))


def begun(coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """A coroutine whose first step has been made."""
    return go_on(coroutine, coroutine.send(None))


TWISTED = {
    "ours": run,
    "ours, nested": lambda coroutine: run(wait_for(coroutine)),
    "ours, begun": lambda coroutine: run(begun(coroutine)),
    "fromCoroutine": Deferred.fromCoroutine,
    "fromCoroutine, nested": lambda coroutine: Deferred.fromCoroutine(wait_for(coroutine)),
    "fromCoroutine, begun": lambda coroutine: Deferred.fromCoroutine(wait_for(begun(coroutine))),
    "inlineCallbacks": in_a_generator,
    "a Deferred in ours": lambda coroutine: run(wait_for(Deferred.fromCoroutine(coroutine))),
}
"""What runs coroutines for Twisted: each gives a Deferred of one that waits."""

of_twisted = pytest.mark.parametrize("way", TWISTED.values(), ids=TWISTED)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def turn(loop: asyncio.AbstractEventLoop, times: int = 3) -> None:
    """Let a loop do what is due."""
    for _ in range(times):
        loop.call_soon(loop.stop)
        loop.run_forever()


@of_twisted
def test_signal(way):
    """A coroutine goes on each time that its signal is fired, while that is done."""
    listener = Listener()
    assert not listener.signal.is_awaited
    result = way(listener.listen())
    for number in range(3):
        assert listener.signal.is_awaited
        assert not result.called
        listener.signal.fire()
        assert listener.events == ["fired"] * (number + 1)
    assert not listener.signal.is_awaited
    assert result_of(result) == "heard"


def test_signal_in_a_task_of_asyncio(loop):
    """So it does in a task of asyncio's, in the next turn of the loop."""
    listener = Listener()
    task = loop.create_task(wait_for(listener.listen()))
    for number in range(3):
        turn(loop)
        assert listener.signal.is_awaited
        listener.signal.fire()
        assert not listener.signal.is_awaited
        assert listener.events == ["fired"] * number
    turn(loop)
    assert task.result() == "heard"


@of_twisted
def test_signal_that_nobody_waits_for(way):
    """To fire where nobody waits is nothing, and is not remembered."""
    listener = Listener(times=1)
    listener.signal.fire()
    result = way(listener.listen())
    assert listener.events == []
    listener.signal.fire()
    listener.signal.fire()
    assert (listener.events, result_of(result)) == (["fired"], "heard")


@of_twisted
def test_cancelled_signal(way):
    """Cancelled, a coroutine gets Twisted's error; nobody waits then, and to fire is nothing."""
    listener = Listener()
    result = way(listener.listen())
    listener.signal.fire()
    result.cancel()
    assert listener.events == ["fired", "twisted.internet.defer"]
    assert not listener.signal.is_awaited
    listener.signal.fire()
    with pytest.raises(CancelledError):
        result_of(result)
    again = way(listener.listen())
    for _ in range(3):
        listener.signal.fire()
    assert result_of(again) == "heard"


def test_cancelled_task_of_asyncio(loop):
    """Cancelled, a task of asyncio's gets asyncio's error."""
    listener = Listener()
    task = loop.create_task(wait_for(listener.listen()))
    turn(loop)
    task.cancel("enough")
    assert not listener.signal.is_awaited
    listener.signal.fire()
    turn(loop)
    assert task.cancelled()
    assert listener.events == ["asyncio.exceptions"]
    again = loop.create_task(listener.listen())
    for _ in range(3):
        turn(loop)
        listener.signal.fire()
    turn(loop)
    assert again.result() == "heard"


def test_signal_fired_and_cancelled(loop):
    """A task of asyncio's that is cancelled when its signal was just fired is cancelled."""
    listener = Listener()
    task = loop.create_task(listener.listen())
    turn(loop)
    listener.signal.fire()
    task.cancel()
    turn(loop)
    assert task.cancelled()


def test_signal_after_a_cancelled_task(loop):
    """A task of asyncio's is cancelled though another waits by the time that it gets to know."""
    listener = Listener(times=1)
    task = loop.create_task(listener.listen())
    turn(loop)
    task.cancel()
    other = run(listener.listen())
    turn(loop)
    assert task.cancelled()
    listener.signal.fire()
    assert result_of(other) == "heard"


def test_signal_after_a_task(loop):
    """One that was called is not cancelled with another that waits by then."""
    listener = Listener(times=1)
    task = loop.create_task(listener.listen())
    turn(loop)
    listener.signal.fire()
    other = run(listener.listen())
    other.cancel()
    turn(loop)
    assert task.result() == "heard"
    with pytest.raises(CancelledError):
        result_of(other)


@pytest.mark.parametrize("way", [run, Deferred.fromCoroutine])
def test_cancelled_and_waiting_again(way):
    """A coroutine that catches its cancellation may wait for the same signal again."""
    signal = Signal()

    async def listening() -> str:
        try:
            await signal
        except CancelledError:
            await signal
            return "went on"
        return "never"

    result = way(listening())
    result.cancel()
    assert signal.is_awaited
    signal.fire()
    if way is run:
        with pytest.raises(CancelledError):  # it was given up
            result_of(result)
    else:
        assert result_of(result) == "went on"
    assert not signal.is_awaited


def test_cancel_before_it_waits():
    """A coroutine that is cancelled while it runs is told when it comes to wait for a signal."""
    deferred, listener = Deferred[None](), Listener()

    async def cancelling() -> None:
        await deferred
        result.cancel()
        await listener.listen()

    result = run(cancelling())
    deferred.callback(None)
    assert listener.events == ["twisted.internet.defer"]
    with pytest.raises(CancelledError):
        result_of(result)


def test_signals_are_fired_from_within():
    """Who goes on may fire the signal of another, and wait for its own again."""
    one, two, order = Signal(), Signal(), list[str]()

    async def playing(name: str, mine: Signal, other: Signal) -> str:
        for _ in range(3):
            await mine
            order.append(name)
            other.fire()
        return name

    results = [run(playing("one", one, two)), run(playing("two", two, one))]
    for _ in range(3):
        one.fire()
    assert order[:2] == ["one", "two"]
    assert sorted(order) == ["one"] * 3 + ["two"] * 3
    assert [result_of(result) for result in results] == ["one", "two"]


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
