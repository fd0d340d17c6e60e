"""Calls and threads: how many, in which order, and what is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from mynet.handlers.wsgi.workers import Pool, Workers
from mynet.testing import result_of
from tests.handlers.wsgi.hosting import AtOnce, Inbox, Later


class Noting:
    """A call that notes when it is made."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.on_cancelled: Any = None
        self._notes = notes

    def run(self) -> None:
        self._notes.append(self.name)


class Crew:
    """Workers whose threads work when they are told to."""

    def __init__(self, threads: int = 1, queue: int = 10) -> None:
        self.pool = Later()
        self.workers = Workers(self.pool, threads, queue, AtOnce().callFromThread)
        self.notes: list[str] = []

    def add(self, name: str) -> bool:
        return self.workers.add(self.call(name))

    def call(self, name: str) -> Any:
        return Noting(name, self.notes)


def test_order():
    """Calls are made in the order in which they came."""
    crew = Crew()
    assert all(crew.add(name) for name in "abc")
    crew.pool.run()
    assert crew.notes == ["a", "b", "c"]


def test_no_more_threads_than_allowed():
    """The pool is asked for as many threads as may be at work, and for none that is not needed."""
    crew = Crew(threads=2)
    for name in "abcd":
        crew.add(name)
    assert len(crew.pool.work) == 2
    crew.pool.run()
    assert crew.notes == ["a", "b", "c", "d"]
    crew.add("e")
    assert len(crew.pool.work) == 1


def test_queue_limit():
    """Only so many calls wait; the next is refused until one of them has been made."""
    crew = Crew(threads=1, queue=2)
    assert [crew.add(name) for name in "abcd"] == [True, True, True, False]
    assert "1 threads at work, 3 calls wait" in repr(crew.workers)
    crew.pool.run()
    assert crew.add("e")


def test_no_queue():
    """Without a queue there are as many calls as threads."""
    crew = Crew(threads=2, queue=0)
    assert [crew.add(name) for name in "abc"] == [True, True, False]


def test_cancelled():
    """A call that is cancelled while it waits is not made, and its place is free."""
    crew = Crew(threads=1, queue=1)
    crew.add("a")
    call = crew.call("b")
    assert crew.workers.add(call)
    call.on_cancelled(call)
    assert crew.add("c")
    crew.pool.run()
    assert crew.notes == ["a", "c"]


def test_cancelled_when_it_runs():
    """A call that has begun is past being forgotten."""
    crew = Crew()
    call = crew.call("a")
    crew.workers.add(call)
    crew.pool.run()
    call.on_cancelled(call)
    assert crew.notes == ["a"]


def test_chores_come_first():
    """What is left to do of an earlier call does not wait for all the others."""
    crew = Crew()
    crew.add("a")
    crew.add("b")
    crew.workers.do(crew.notes.append, "chore")
    crew.pool.run()
    assert crew.notes == ["chore", "a", "b"]


def test_chore_alone():
    """It takes a thread where none is at work."""
    crew = Crew()
    crew.workers.do(crew.notes.append, "chore")
    assert crew.notes == []
    crew.pool.run()
    assert crew.notes == ["chore"]


def test_idle():
    """When no thread is at work any more, that is told."""
    crew = Crew(threads=2)
    assert result_of(crew.workers.when_idle()) is None
    crew.add("a")
    crew.add("b")
    idle = crew.workers.when_idle()
    crew.pool.work.pop(0)()
    assert not idle.called
    crew.pool.run()
    assert idle.called


def test_idle_is_told_once():
    """A chore that comes before the reactor has heard of that does not make it hear of it twice."""
    reactor = Inbox()
    pool = Later()
    workers = Workers(pool, 1, 0, reactor.callFromThread)
    workers.do(lambda: None)
    idle = workers.when_idle()
    pool.run()
    workers.do(lambda: None)
    pool.run()
    told: list[None] = []
    reactor.callFromThread(told.append, None)
    reactor.until(lambda: told)
    assert result_of(idle) is None


def test_end():
    """At the end nothing is begun, and those who wait are handed back."""
    crew = Crew()
    crew.add("a")
    calls = [crew.call("b"), crew.call("c")]
    for call in calls:
        crew.workers.add(call)
    assert crew.workers.end()[1:] == calls
    assert not crew.add("d")
    crew.pool.run()
    assert crew.notes == []


def test_chores_after_the_end():
    """What is left to do is done even when there are no threads any more."""
    crew = Crew()
    crew.workers.end()
    crew.workers.do(crew.notes.append, "chore")
    assert crew.notes == ["chore"]


def test_pool():
    """Its threads are started when they are needed, and let the process end."""
    pool = Pool(0, 2, "test")
    pool.start()
    reactor = Inbox()
    threads: list[Any] = []
    assert pool.threads == []
    pool.callInThread(reactor.callFromThread, lambda: threads.extend(pool.threads))
    reactor.until(lambda: threads)
    assert [thread.daemon for thread in threads] == [True]
    pool.stop()


@pytest.mark.parametrize("threads", [1, 3])
def test_real_threads(threads):
    """With real threads each call is made once, however many there are."""
    pool = Pool(0, threads, "test")
    pool.start()
    reactor = Inbox()
    workers = Workers(pool, threads, 1000, reactor.callFromThread)
    notes: list[str] = []
    names = [str(number) for number in range(500)]
    for name in names:
        assert workers.add(Noting(name, notes))  # type: ignore[arg-type]
    idle = workers.when_idle()
    reactor.until(lambda: idle.called)
    assert sorted(notes) == sorted(names)
    pool.stop()
