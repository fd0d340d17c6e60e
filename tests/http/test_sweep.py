"""Deadlines, in one sweep a second: for whoever has any, and only while somebody has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock

from mynet.http.sweep import INTERVAL, Sweep


class Member:
    """Remembers when its deadlines were looked at."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.looked: list[float] = []
        self._act = act

    def check_deadlines(self, now: float) -> None:
        self.looked.append(now)
        self._act()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweep(clock: Clock) -> Sweep[Member]:
    return Sweep(clock)


def advance(clock: Clock, seconds: int) -> None:
    clock.pump([1.0] * seconds)


def test_once_a_second(clock, sweep):
    """The deadlines of each member are looked at once a second, with the time that it is."""
    members = [Member() for _ in range(3)]
    for member in members:
        sweep.add(member)
    assert sweep.members == set(members)
    assert [member.looked for member in members] == [[]] * 3
    advance(clock, 3)
    assert [member.looked for member in members] == [[1.0, 2.0, 3.0]] * 3


def test_one_call(clock, sweep):
    """However many members there are, one call waits in the reactor; and none without them."""
    assert clock.getDelayedCalls() == []
    members = [Member() for _ in range(3)]
    for member in members:
        sweep.add(member)
        sweep.add(member)
    assert len(clock.getDelayedCalls()) == 1
    for member in members:
        assert len(clock.getDelayedCalls()) == 1
        sweep.discard(member)
    assert clock.getDelayedCalls() == []
    sweep.discard(members[0])
    advance(clock, 3)
    assert [member.looked for member in members] == [[]] * 3


def test_members_that_come_and_go(clock, sweep):
    """Each is looked at from when it came until it went."""
    first, second = Member(), Member()
    sweep.add(first)
    advance(clock, 1)
    sweep.add(second)
    advance(clock, 1)
    sweep.discard(first)
    advance(clock, 1)
    sweep.discard(second)
    advance(clock, 5)
    sweep.add(first)
    advance(clock, 1)
    assert (first.looked, second.looked) == ([1.0, 2.0, 9.0], [2.0, 3.0])


def test_time_that_stood_still(clock, sweep):
    """After a long pause of the machine one sweep is made, not one for each second."""
    member = Member()
    sweep.add(member)
    clock.advance(1000)
    assert member.looked == [1000.0]
    advance(clock, 1)
    assert member.looked == [1000.0, 1001.0]


def test_next_sweep(clock, sweep):
    """The time of the next sweep is known while there are members, and is not before now."""
    member = Member()
    clock.advance(100)
    sweep.add(member)
    assert sweep.next == clock.seconds() + INTERVAL == 101.0
    clock.advance(0.5)
    sweep.add(Member())
    assert sweep.next == 101.0
    clock.advance(0.5)
    assert (sweep.next, sweep.now) == (102.0, 101.0)


def test_next_sweep_is_known_in_a_sweep(clock):
    """A member that is looked at can set a deadline from the next sweep on."""
    seen: list[float] = []
    sweep: Sweep[Member] = Sweep(clock, lambda: seen.append(-1.0))
    sweep.add(Member(lambda: seen.append(sweep.next)))
    advance(clock, 2)
    assert seen == [-1.0, -1.0, 2.0, -1.0, 3.0]


def test_prepare(clock):
    """What is to be made ready is, when the first member comes and before each sweep."""
    prepared: list[float] = []
    member = Member()
    sweep = Sweep[Member](clock, lambda: prepared.append(clock.seconds()))
    assert prepared == []
    sweep.add(member)
    sweep.add(Member())
    assert prepared == [0.0]
    advance(clock, 2)
    assert (prepared, member.looked) == ([0.0, 1.0, 2.0], [1.0, 2.0])


# What members do when they are looked at


def test_member_that_goes(clock, sweep):
    """A member may go when it is looked at, as one does whose time is over; then nothing waits."""
    member = Member(lambda: sweep.discard(member))
    sweep.add(member)
    advance(clock, 3)
    assert member.looked == [1.0]
    assert clock.getDelayedCalls() == []
    sweep.add(member)
    assert len(clock.getDelayedCalls()) == 1


def test_member_that_sends_others_away(clock, sweep):
    """Who was sent away by another, in the same sweep, is not looked at any more."""
    members: list[Member] = []

    def leave_alone() -> None:
        for other in members:
            if not other.looked:
                sweep.discard(other)

    members += [Member(leave_alone) for _ in range(5)]
    for member in members:
        sweep.add(member)
    advance(clock, 2)
    assert sorted(member.looked for member in members) == [[]] * 4 + [[1.0, 2.0]]


def test_member_that_brings_others(clock, sweep):
    """Who comes in the middle of a sweep is looked at in the next."""
    others: list[Member] = []

    def bring() -> None:
        others.append(Member())
        sweep.add(others[-1])

    sweep.add(Member(bring))
    advance(clock, 3)
    assert [other.looked for other in others] == [[2.0, 3.0], [3.0], []]


def test_member_that_fails(clock, sweep, logged):
    """An error of one is logged; the others are looked at, then and later."""

    def fail() -> None:
        raise ZeroDivisionError

    members = [Member(), Member(fail), Member()]
    for member in members:
        sweep.add(member)
    advance(clock, 2)
    assert [member.looked for member in members] == [[1.0, 2.0]] * 3
    logged.take(ZeroDivisionError, ZeroDivisionError)


# Whose time


def test_clock(clock, sweep):
    """The time is that of the reactor that it was given."""
    clock.advance(5)
    assert (sweep.clock, sweep.now) == (clock, 5.0)


def test_global_reactor():
    """Unless it is given one it uses the reactor that runs."""
    sweep: Sweep[Member] = Sweep(None)
    assert sweep.clock is reactor
    member = Member()
    sweep.add(member)
    sweep.discard(member)
    assert member.looked == []
