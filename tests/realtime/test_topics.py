"""What all topics promise, wherever they are kept."""

from __future__ import annotations

import pytest

from mynet.realtime import MemoryTopics, TopicError, TopicLimits
from mynet.testing import result_of
from tests.realtime.listening import Listener


@pytest.fixture
def topics():
    return MemoryTopics()


def test_limits_are_positive():
    """A limit that would let nothing through is refused where it is set, by its name."""
    for name in ("topics", "subscriptions", "name"):
        with pytest.raises(ValueError, match=rf"limit {name} must be"):
            TopicLimits(**{name: 0})


def test_names():
    """A name may be as long as the limit says, and is not empty."""
    limits = TopicLimits(name=4)
    limits.check_name("room")
    with pytest.raises(TopicError, match="longer than 4 characters"):
        limits.check_name("rooms")
    with pytest.raises(TopicError, match="empty"):
        limits.check_name("")


async def begin(topics, listener):
    async with topics.subscription("room", listener):
        await topics.publish("room", "inside")
    await topics.publish("room", "outside")


def test_subscription(topics):
    """A coroutine is subscribed within its `async with`, and not after."""
    listener = Listener()
    coroutine = begin(topics, listener)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert listener.heard == ["inside"]
    assert len(topics) == 0


def test_subscription_that_fails(topics):
    """An error within the `async with` ends the subscription, and is not lost."""
    listener = Listener()

    async def fail():
        async with topics.subscription("room", listener):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail().send(None)
    assert result_of(topics.subscriber_count("room")) == 0


def test_subscription_within_another(topics):
    """What was subscribed before an `async with` is so after it."""
    listener = Listener()
    topics.subscribe("room", listener)
    with pytest.raises(StopIteration):
        begin(topics, listener).send(None)
    assert listener.heard == ["inside", "outside"]


def test_subscription_to_a_bad_name(topics):
    """An `async with` whose topic cannot be is never entered."""

    async def enter():
        async with topics.subscription("", Listener()):
            pytest.fail("entered")

    with pytest.raises(TopicError):
        enter().send(None)
