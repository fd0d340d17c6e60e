"""Which upstream gets a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mynet.handlers.proxy.balancing import Balancer
from mynet.handlers.proxy.health import FailurePolicy
from mynet.handlers.proxy.member import Member
from mynet.handlers.proxy.upstream import Upstream


def pick(balancer: Balancer, tried: Sequence[Member] = ()) -> Member:
    """The one that is picked; there is one."""
    picked = balancer.pick(tried)
    assert picked is not None
    return picked


def members_of(*loads, clock=None) -> list[Member]:
    members = [
        Member(Upstream(f"http://{number}.test"), FailurePolicy(failures=1), None, clock or Clock())
        for number in range(len(loads))
    ]
    for member, load in zip(members, loads, strict=True):
        member.tunnels = load
    return members


def test_in_turn():
    """Of those that have equally few requests each gets one in turn."""
    members = members_of(0, 0, 0)
    balancer = Balancer(members)
    picked = [pick(balancer) for _ in range(6)]
    assert Counter(picked) == dict.fromkeys(members, 2)
    assert picked[:3] == picked[3:]


def test_least():
    """The one with the fewest in progress gets the next."""
    members = members_of(3, 1, 2)
    assert Balancer(members).pick() is members[1]


def test_tried():
    """One that was tried is not tried again."""
    members = members_of(3, 1, 2)
    balancer = Balancer(members)
    assert balancer.pick([members[1]]) is members[2]
    assert balancer.pick(members) is None


def test_one():
    """A single one is asked as long as it is not down, also if it failed time and again."""
    (member,) = members_of(9)
    member.record.failed(0)
    balancer = Balancer([member])
    assert balancer.pick() is member
    assert balancer.pick([member]) is None
    member.is_down = True
    assert balancer.pick() is None


def test_left_alone():
    """One that is left alone gets nothing until its time has come."""
    clock = Clock()
    members = members_of(0, 9, clock=clock)
    members[0].record.failed(0)
    balancer = Balancer(members)
    assert balancer.pick() is members[1]
    clock.advance(5)
    assert balancer.pick() is members[0]


def test_all_left_alone():
    """Where all are, the one whose time comes first is asked."""
    members = members_of(0, 9)
    members[0].record.failed(1)
    members[1].record.failed(0)
    assert Balancer(members).pick() is members[1]


def test_down():
    """One that is down gets nothing, not even where all others are left alone."""
    members = members_of(0, 0)
    members[0].is_down = True
    members[1].record.failed(0)
    balancer = Balancer(members)
    assert balancer.pick() is members[1]
    members[1].is_down = True
    assert balancer.pick() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=2))
def test_any(states):
    """Whatever they do, nobody has less to do and is well, or all that are up are not."""
    members = members_of(*(load for load, _, _ in states))
    for member, (_, down, failed) in zip(members, states, strict=True):
        member.is_down = down
        if failed:
            member.record.failed(0)
    picked = Balancer(members).pick()
    up = [member for member in members if not member.is_down]
    well = [member for member in up if not member.record.out_until]
    if picked is None:
        assert not up
    else:
        assert picked in (well or up)
        assert not well or picked.load == min(member.load for member in well)
