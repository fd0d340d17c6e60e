"""What waits for a slow peer: how much may, what is dropped for what, and that it is counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.message import Message
from mynet.websocket.outbox import OVERHEAD, Outbox
from mynet.websocket.policy import Policy, SlowConsumer
from mynet.websocket.stats import Stats

POLICIES: list[SlowConsumer] = ["wait", "drop-oldest", "latest", "close"]
DROPPING: list[SlowConsumer] = ["drop-oldest", "latest"]


def cost(*sizes: int) -> int:
    """What messages of these sizes count."""
    return sum(sizes) + OVERHEAD * len(sizes)


class Box(Outbox):
    """An outbox that can be looked at."""

    def __init__(self, slow_consumer: SlowConsumer, limit: int) -> None:
        self.stats = Stats()
        super().__init__(Policy(slow_consumer=slow_consumer, send_limit=limit), self.stats)

    def post(self, size: int, key: Hashable | None = None) -> Message:
        """Put a message of this size, which must be taken."""
        message = Message(bytes(size))
        assert self.put(message, key)
        return message

    def empty(self) -> list[Message]:
        """Take everything, and look that then there is nothing."""
        taken = [self.take() for _ in range(len(self))]
        assert (self.size, len(self)) == (0, 0)
        return taken

    @property
    def counted(self) -> tuple[int, int]:
        return self.stats.dropped, self.stats.replaced


@pytest.mark.parametrize("policy", POLICIES)
def test_order(policy):
    """What waits is sent in the order in which it came; equal messages are as many as they are."""
    box = Box(policy, 10_000)
    same = Message("same")
    sent = [box.post(3), same, box.post(2), same]
    box.empty()
    for message in sent:
        assert box.put(message)
    assert box.empty() == sent
    assert box.counted == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_size(policy):
    """Each message counts with its bytes, and with what it costs besides, until it is taken."""
    box = Box(policy, 10_000)
    for size in (0, 100, 5):
        box.post(size)
    assert box.size == cost(0, 100, 5)
    box.take()
    assert box.size == cost(100, 5)
    box.take()
    box.post(7)
    assert box.size == cost(5, 7)
    assert len(box) == 2


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_waits(policy):
    """An empty outbox is false, has no size, and gives nothing."""
    box = Box(policy, 100)
    assert not box
    with pytest.raises(KeyError):
        box.take()
    assert (box.size, len(box)) == (0, 0)


# Full


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("limit", [0, 1, cost(10), cost(10, 10)])
def test_room(policy, limit):
    """There is room up to the limit, and always in an empty box: something has to be sent."""
    box = Box(policy, limit)
    assert box.has_room_for(Message(bytes(1000)))
    box.post(10)
    room = limit - cost(10, 0)
    assert not box.has_room_for(Message(bytes(max(room + 1, 0))))
    if room >= 0:
        assert box.has_room_for(Message(bytes(room)))
    box.take()
    assert box.has_room_for(Message(bytes(1000)))


@pytest.mark.parametrize("policy", POLICIES)
def test_exactly_full(policy):
    """What just fits waits, and drops nothing."""
    box = Box(policy, cost(10, 20, 30))
    sent = [box.post(size) for size in (10, 20, 30)]
    assert not box.has_room_for(Message(b""))
    assert box.counted == (0, 0)
    assert box.empty() == sent


@pytest.mark.parametrize("policy", ["wait", "close"])
def test_beyond_the_limit(policy):
    """Where nothing is dropped, one byte more is too much, and said to be."""
    box = Box(policy, cost(10, 20))
    box.post(10)
    assert not box.put(Message(bytes(21)))
    assert box.counted == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_message_larger_than_the_limit(policy):
    """A message that is larger than all that may wait waits if it is the only one."""
    box = Box(policy, 100)
    assert box.empty() == []
    large = box.post(1000)
    assert box.empty() == [large]


# Dropping


@pytest.mark.parametrize("policy", DROPPING)
def test_oldest_is_dropped(policy):
    """Beyond the limit what has waited longest goes, as much of it as must, and is counted."""
    box = Box(policy, cost(10, 10, 10))
    for _ in range(3):
        box.post(10)
    first = box.post(10)
    assert (len(box), box.size, box.counted) == (3, cost(10, 10, 10), (1, 0))
    second = box.post(20 + OVERHEAD)
    assert (len(box), box.size, box.counted) == (2, cost(10, 20 + OVERHEAD), (3, 0))
    assert box.empty() == [first, second]


@pytest.mark.parametrize("policy", DROPPING)
def test_all_is_dropped_for_a_large_one(policy):
    """A message that is larger than the limit takes the place of all others."""
    box = Box(policy, cost(10, 10, 10))
    for _ in range(3):
        box.post(10)
    large = box.post(1000)
    assert box.counted == (3, 0)
    after = box.post(1)
    assert box.counted == (4, 0)
    assert large is not after
    assert box.empty() == [after]


@pytest.mark.parametrize("policy", DROPPING)
def test_flat(policy):
    """However much is sent to a peer that takes nothing, no more than the limit waits."""
    box = Box(policy, 50_000)
    for _ in range(5000):
        box.post(100)
        assert box.size <= 50_000
    assert len(box) == 50_000 // cost(100)
    assert box.counted == (5000 - len(box), 0)


# Keys


def test_latest():
    """Of what has the same key the latest is sent, where the first would have been."""
    box = Box("latest", 10_000)
    box.post(1, "a")
    other = box.post(2, "b")
    unnamed = [box.post(3), box.post(4)]
    latest = box.post(100, "a")
    assert (len(box), box.size, box.counted) == (4, cost(100, 2, 3, 4), (0, 1))
    latest = box.post(5, "a")
    assert (len(box), box.size, box.counted) == (4, cost(5, 2, 3, 4), (0, 2))
    assert box.empty() == [latest, other, *unnamed]


def test_latest_of_what_was_sent():
    """A key whose message was sent begins anew, behind all that waits."""
    box = Box("latest", 10_000)
    box.post(1, "a")
    other = box.post(2, "b")
    box.take()
    again = box.post(3, "a")
    assert box.counted == (0, 0)
    assert box.empty() == [other, again]


def test_latest_without_keys():
    """Messages without a key do not replace each other."""
    box = Box("latest", 10_000)
    sent = [box.post(1), box.post(1), box.post(1, 0), box.post(1, ""), box.post(1, ())]
    assert box.empty() == sent


def test_latest_makes_room():
    """A latest message that is larger than the one before pushes out what has waited longest."""
    box = Box("latest", cost(10, 10, 10))
    box.post(10)
    box.post(10, "a")
    last = box.post(10)
    latest = box.post(11, "a")
    assert box.counted == (1, 1)
    assert (box.size, len(box)) == (cost(11, 10), 2)
    assert box.empty() == [latest, last]


def test_latest_that_is_first():
    """A latest message that has waited longest is not itself dropped to make room for it."""
    box = Box("latest", cost(10, 10, 10))
    box.post(10, "a")
    box.post(10)
    last = box.post(10)
    latest = box.post(20, "a")
    assert box.counted == (1, 1)
    assert box.empty() == [latest, last]


def test_replacing_in_a_full_box():
    """Where the box is full, the latest still takes the place of one before, and drops nothing."""
    box = Box("latest", cost(10, 10))
    other = box.post(10, "b")
    box.post(10, "a")
    latest = [box.post(10, "a") for _ in range(100)]
    assert box.counted == (0, 100)
    assert box.empty() == [other, latest[-1]]


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "latest"])
def test_keys_mean_nothing_elsewhere(policy):
    """With another policy every message is sent, whatever its key."""
    box = Box(policy, 10_000)
    sent = [box.post(size, "a") for size in (1, 2, 3)]
    assert box.counted == (0, 0)
    assert box.empty() == sent


# Any


@given(
    st.sampled_from(DROPPING),
    st.integers(0, cost(10) * 4),
    st.lists(
        st.none() | st.tuples(st.integers(0, 1500), st.sampled_from([None, "a", "b", 3])),
        max_size=40,
    ),
)  # fmt: skip
def test_any_story(policy, limit, story):
    """Whatever comes and goes, what waits is what the rules say, and all the rest is counted."""
    box = Box(policy, limit)
    waiting: OrderedDict[Hashable, Message] = OrderedDict()
    dropped = replaced = 0
    for number, step in enumerate(story):
        if step is None:
            if waiting:
                assert box.take() is waiting.popitem(last=False)[1]
            continue
        size, key = step
        name = ("key", key) if key is not None and policy == "latest" else number
        replaced += name in waiting
        waiting[name] = box.post(size, key)
        while len(waiting) > 1 and cost(*(each.size for each in waiting.values())) > limit:
            waiting.popitem(last=False)
            dropped += 1
        assert box.size == cost(*(each.size for each in waiting.values()))
        assert box.counted == (dropped, replaced)
    assert box.empty() == list(waiting.values())
