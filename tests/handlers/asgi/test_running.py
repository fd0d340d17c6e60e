"""Tasks that begin at once, compared with those of asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mynet.handlers.asgi.running import NoLoop, Tasks, begin_task, running_loop
from mynet.testing import result_of
from tests.handlers.asgi.driving import in_a_loop


class Boom(Exception):  # noqa: N818
    """An error."""


def test_first_step_is_taken_at_once(loop):
    """What never waits is done when the task is there; the rest takes its turns."""
    steps: list[str] = []

    async def course() -> None:
        steps.append("first")
        await asyncio.sleep(0)
        steps.append("second")

    async def run() -> None:
        task = begin_task(course(), asyncio.get_running_loop())
        assert steps == ["first"]
        assert not task.done()
        assert task in asyncio.all_tasks()
        await task
        assert steps == ["first", "second"]

    loop.run_until_complete(run())


async def returns() -> None:
    pass


async def raises() -> None:
    raise Boom


async def is_cancelled() -> None:
    raise asyncio.CancelledError


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def cancels_itself_and_waits() -> None:
    await cancels_itself()
    await asyncio.sleep(60)


async def waits() -> None:
    await asyncio.sleep(0)


async def waits_and_raises() -> None:
    await asyncio.sleep(0)
    raise Boom


async def waits_for_a_future() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.call_soon(future.set_result, 5)
    assert await future == 5


async def waits_for_a_future_that_fails() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.call_soon(future.set_exception, Boom())
    await future


async def is_called_back() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda task: called_back.append(task.done()))


async def has_a_timeout() -> None:
    async with asyncio.timeout(0):
        await asyncio.sleep(60)


async def awaits_what_cannot_be() -> None:
    class Wrong:
        def __await__(self) -> Any:
            yield 5

    await Wrong()


async def awaits_a_generator() -> None:
    class Wrong:
        def __await__(self) -> Any:
            yield (each for each in "")

    with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
        await Wrong()


async def waits_for_another_loop() -> None:
    other = asyncio.new_event_loop()
    other.close()
    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await other.create_future()


async def exits() -> None:
    raise SystemExit(3)


called_back: list[bool] = []

COURSES = [
    returns,
    raises,
    is_cancelled,
    cancels_itself,
    cancels_itself_and_waits,
    waits,
    waits_and_raises,
    waits_for_a_future,
    waits_for_a_future_that_fails,
    is_called_back,
    has_a_timeout,
    awaits_what_cannot_be,
    awaits_a_generator,
    waits_for_another_loop,
]


async def outcome(task: asyncio.Task[None]) -> tuple[str, bool, int, list[bool]]:
    """What comes of a task, as far as it can be seen."""
    called_back.clear()
    try:
        await task
        result = "returned"
    except (Exception, asyncio.CancelledError) as error:
        result = repr(error)
    await asyncio.sleep(0)
    return result, task.cancelled(), task.cancelling(), called_back[:]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("course", COURSES)
def test_as_asyncio_does(loop, course: Callable[[], Coroutine[Any, Any, None]], debug: bool):
    """Whatever a coroutine does, it has the same outcome as in a task of asyncio's."""
    loop.set_debug(debug)

    async def run() -> None:
        running = asyncio.get_running_loop()
        theirs = await outcome(running.create_task(course()))
        ours = await outcome(begin_task(course(), running))
        assert ours[:3] == theirs[:3]
        assert len(ours[3]) <= len(theirs[3])

    loop.run_until_complete(run())


def test_process_that_is_to_exit(loop):
    """That reaches whoever began the task, which is the current one again."""

    async def run() -> None:
        mine = asyncio.current_task()
        with pytest.raises(SystemExit):
            begin_task(exits(), asyncio.get_running_loop())
        assert asyncio.current_task() is mine
        gc.collect()

    loop.set_exception_handler(lambda loop, context: None)  # nobody asks the task for it
    loop.run_until_complete(run())


def test_is_a_task_of_asyncio(loop):
    """Who checks of what class it is finds a task of asyncio's, from the first step on."""

    async def course() -> None:
        for _ in range(2):
            task = asyncio.current_task()
            assert isinstance(task, asyncio.Task)
            assert isinstance(task, asyncio.Future)
            assert "<Task pending" in repr(task)
            await asyncio.sleep(0)

    async def run() -> None:
        await begin_task(course(), asyncio.get_running_loop())

    loop.run_until_complete(run())


def test_is_the_current_task(loop):
    """It is the current task in each of its steps; around it the one before is."""

    async def course(seen: list[Any]) -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    async def run() -> None:
        seen: list[Any] = []
        mine = asyncio.current_task()
        task = begin_task(course(seen), asyncio.get_running_loop())
        assert asyncio.current_task() is mine
        await task
        assert seen == [task, task]

    loop.run_until_complete(run())


def test_is_the_current_task_of_a_callback(loop):
    """So it is where no task runs."""
    seen: list[Any] = []

    async def course() -> None:
        seen.append(asyncio.current_task())

    def call() -> None:
        seen.append(begin_task(course(), loop))
        seen.append(asyncio.current_task(loop))
        loop.stop()

    loop.call_soon(call)
    loop.run_forever()
    assert seen[0] is seen[1]
    assert seen[2] is None


def test_context(loop):
    """It has one copy of the context for all its steps."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    async def course() -> None:
        token = variable.set(1)
        await asyncio.sleep(0)
        variable.reset(token)

    async def run() -> None:
        task = begin_task(course(), asyncio.get_running_loop())
        assert variable.get() == 0
        await task

    loop.run_until_complete(run())


def test_can_be_cancelled(loop):
    """A task that waits is cancelled like any other."""

    async def run() -> None:
        task = begin_task(asyncio.Event().wait(), asyncio.get_running_loop())  # type: ignore[arg-type]
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    loop.run_until_complete(run())


@pytest.mark.parametrize("course", [returns, waits])
def test_leaves_no_garbage(loop, course):
    """Nothing of a task is left for the garbage collector, which would cost more than the task."""

    async def run() -> int:
        running = asyncio.get_running_loop()
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                task = begin_task(course(), running)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert task.done()
                del task
            return gc.collect()
        finally:
            gc.enable()

    assert loop.run_until_complete(run()) == 0


def test_without_a_loop():
    """Where no loop runs that is said."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        with pytest.raises(NoLoop):
            running_loop()
    finally:
        asyncio._set_running_loop(running)


@in_a_loop
async def test_tasks_are_held_until_they_end():
    """What still runs is known, can be waited for, and cancelled."""
    tasks = Tasks()
    tasks.start(returns())
    assert tasks.running == set()
    assert result_of(tasks.ended()) is None
    for start in (tasks.start, tasks.start_soon):
        start(asyncio.sleep(60))
    assert len(tasks.running) == 2
    ended = tasks.ended()
    tasks.cancel()
    assert not ended.called
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended.called
    assert tasks.running == set()


@in_a_loop
async def test_nobody_waits_for_the_end_any_more():
    """To wait for the end may be cancelled."""
    tasks = Tasks()
    tasks.start(asyncio.sleep(60))
    ended = tasks.ended()
    ended.addErrback(lambda _: None)
    ended.cancel()
    tasks.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert tasks.running == set()
