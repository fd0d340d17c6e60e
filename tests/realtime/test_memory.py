"""Topics in memory: who hears what, in which order, and that nobody keeps others from it."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mynet.realtime import MemoryTopics, TopicError, TopicLimits
from mynet.testing import result_of
from mynet.websocket.message import Message
from tests.realtime.listening import Listener


@pytest.fixture
def topics():
    return MemoryTopics()


def subscribed(topics, topic, count=1, then=None):
    """New listeners to a topic."""
    listeners = [Listener(then) for _ in range(count)]
    for listener in listeners:
        assert result_of(topics.subscribe(topic, listener))
    return listeners


# Publishing


def test_all_hear(topics):
    """All who are subscribed to a topic hear what is published there, and nobody else."""
    inside = subscribed(topics, "room", 3)
    (outside,) = subscribed(topics, "hall")
    assert result_of(topics.publish("room", "Hello")) == 3
    assert [listener.heard for listener in inside] == [["Hello"]] * 3
    assert outside.heard == []


def test_text_and_binary(topics):
    """Text is heard as text, and bytes as bytes."""
    (listener,) = subscribed(topics, "room")
    topics.publish("room", "é")
    topics.publish("room", b"\xff")
    assert listener.heard == ["é", b"\xff"]


def test_one_message_for_all(topics):
    """All hear the very same message: it is framed once, however many they are."""
    listeners = subscribed(topics, "room", 1000)
    topics.publish("room", "Hello")
    assert len({id(listener.messages[0]) for listener in listeners}) == 1


def test_message_made_before(topics):
    """A message goes to several topics without being framed for each."""
    message = Message("Hello")
    listeners = [*subscribed(topics, "room"), *subscribed(topics, "hall")]
    topics.publish("room", message)
    topics.publish("hall", message)
    assert all(listener.messages == [message] for listener in listeners)


def test_key(topics):
    """The key goes with the message, for those who want only the latest of each."""
    (listener,) = subscribed(topics, "prices")
    topics.publish("prices", "1", key="EUR")
    topics.publish("prices", "2", "USD")
    topics.publish("prices", "3")
    assert listener.keys == ["EUR", "USD", None]


def test_nobody_listens(topics):
    """What nobody listens to is published all the same, and leaves nothing behind."""
    assert result_of(topics.publish("room", "Hello")) == 0
    assert len(topics) == 0


def test_what_is_no_message(topics):
    """What can be no message is an error at once, whether anybody listens or not."""
    for _ in range(2):
        with pytest.raises(TypeError):
            topics.publish("room", object())
        subscribed(topics, "room")


def test_order(topics):
    """Messages are heard in the order in which they were published."""
    listeners = subscribed(topics, "room", 3)
    for number in range(100):
        topics.publish("room", str(number))
    assert all(each.heard == [str(number) for number in range(100)] for each in listeners)


def test_publishing_out_of_a_message(topics):
    """Who publishes while a message goes out has theirs heard after it, by everybody."""
    listeners: list[Listener] = []

    def answer():
        for listener in listeners:
            listener.then = None
        assert result_of(topics.publish("room", "answer")) == 3

    listeners += subscribed(topics, "room", 3, answer)
    topics.publish("room", "question")
    assert [listener.heard for listener in listeners] == [["question", "answer"]] * 3


def test_publishing_without_end(topics):
    """However many answers lead to answers, the stack does not grow."""
    (listener,) = subscribed(topics, "room")
    listener.then = lambda: len(listener.messages) < 10_000 and topics.publish("room", "again")
    topics.publish("room", "again")
    assert len(listener.messages) == 10_000


# Subscribing


def test_subscribed_twice(topics):
    """Who is subscribed twice hears a message once."""
    (listener,) = subscribed(topics, "room")
    assert result_of(topics.subscribe("room", listener)) is False
    topics.publish("room", "Hello")
    assert listener.heard == ["Hello"]


def test_unsubscribed(topics):
    """Who is unsubscribed hears no more; others do."""
    first, second = subscribed(topics, "room", 2)
    assert result_of(topics.unsubscribe("room", first)) is True
    topics.publish("room", "Hello")
    assert (first.heard, second.heard) == ([], ["Hello"])


def test_unsubscribed_without_need(topics):
    """To unsubscribe from what one is not subscribed to is no error."""
    (listener,) = subscribed(topics, "room")
    assert result_of(topics.unsubscribe("hall", listener)) is False
    assert result_of(topics.unsubscribe("room", Listener())) is False
    assert result_of(topics.subscriber_count("room")) == 1


def test_subscribed_while_a_message_goes_out(topics):
    """Who comes while a message goes out does not hear it, but the next."""
    late = Listener()
    subscribed(topics, "room", 2, partial(topics.subscribe, "room", late))
    topics.publish("room", "first")
    assert late.heard == []
    topics.publish("room", "second")
    assert late.heard == ["second"]


def test_unsubscribed_while_a_message_goes_out(topics):
    """Who goes because of a message has heard it; those who go before it reaches them do not."""
    listeners: list[Listener] = []

    def all_go():
        for listener in listeners:
            topics.unsubscribe("room", listener)

    listeners += subscribed(topics, "room", 3, all_go)
    assert result_of(topics.publish("room", "Go")) == 3
    assert [listener.heard for listener in listeners] == [["Go"], [], []]
    assert len(topics) == 0
    assert topics.stats.delivered == 1


def test_unsubscribed_before_a_message_that_waits(topics):
    """Who goes does not hear what was published and still waits, but does if they come again."""
    listeners: list[Listener] = []

    def go_and_come():
        first, second = listeners
        first.then = None
        topics.publish("room", "for who stays")
        topics.unsubscribe("room", second)
        topics.publish("hall", "elsewhere")
        topics.subscribe("room", second)
        topics.publish("room", "for all")

    listeners += subscribed(topics, "room", 2)
    listeners[0].then = go_and_come
    result_of(topics.subscribe("hall", listeners[1]))
    topics.publish("room", "Go")
    assert listeners[0].heard == ["Go", "for who stays", "for all"]
    assert listeners[1].heard == ["elsewhere", "for all"]
    assert topics.stats.delivered == 5


def test_count(topics):
    """One can ask how many listen."""
    assert result_of(topics.subscriber_count("room")) == 0
    listeners = subscribed(topics, "room", 3)
    assert result_of(topics.subscriber_count("room")) == 3
    topics.unsubscribe("room", listeners[0])
    listeners[1].close()
    assert result_of(topics.subscriber_count("room")) == 1


# The end of subscribers


def test_closed(topics):
    """Whose connection is over is in no topic any more, and empty topics are gone."""
    gone, here = subscribed(topics, "room", 2)
    topics.subscribe("hall", gone)
    gone.close()
    assert result_of(topics.publish("room", "Hello")) == 1
    assert (gone.heard, here.heard) == ([], ["Hello"])
    assert len(topics) == 1


def test_closed_before(topics):
    """Whose connection is over already is not subscribed."""
    listener = Listener()
    listener.close()
    assert result_of(topics.subscribe("room", listener)) is False
    assert len(topics) == 0


def test_closed_while_a_message_goes_out(topics):
    """A subscriber that is closed by a message keeps the others from nothing."""
    first, second = subscribed(topics, "room", 2)
    first.then = first.close
    topics.publish("room", "Hello")
    topics.publish("room", "again")
    assert (first.heard, second.heard) == (["Hello"], ["Hello", "again"])


def test_farewell(topics):
    """That somebody was closed by a message may be published at once, and is heard behind it."""
    first, *others = subscribed(topics, "room", 3)
    first.to_call.append(lambda: topics.publish("room", "One has gone"))
    first.then = first.close
    topics.publish("room", "Hello")
    assert [listener.heard for listener in others] == [["Hello", "One has gone"]] * 2


def test_coming_and_going(topics):
    """A connection that subscribes and unsubscribes all day long takes no more memory for it."""
    listener = Listener()
    for _ in range(100):
        topics.subscribe("room", listener)
        topics.unsubscribe("room", listener)
    assert len(listener.to_call) == 1


def test_nothing_is_kept(topics):
    """Of a subscriber whose connection is over nothing stays in memory."""
    (listener,) = subscribed(topics, "room")
    trace = weakref.ref(listener)
    listener.close()
    del listener
    gc.collect()
    assert trace() is None


# Errors


def test_bad_subscriber(topics, logged):
    """A subscriber that fails is logged and counted, and the others hear the message."""
    first, bad, last = subscribed(topics, "room", 3)
    bad.then = lambda: 1 / 0
    assert result_of(topics.publish("room", "Hello")) == 3
    assert first.heard == last.heard == ["Hello"]
    logged.take(ZeroDivisionError)
    assert (topics.stats.delivered, topics.stats.failed) == (2, 1)


def test_topics_go_on_after_an_interrupt(topics):
    """What stops the program in the middle of a message leaves topics that work."""
    (listener,) = subscribed(topics, "room", 1)

    def interrupt():
        raise KeyboardInterrupt

    listener.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        topics.publish("room", "first")
    listener.then = None
    topics.publish("room", "second")
    assert listener.heard == ["first", "second"]


def test_no_connection(topics):
    """Who cannot tell when it is closed is not subscribed, and the error is told."""
    listener = Listener()
    listener.to_call = None  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(AttributeError):
            result_of(topics.subscribe("room", listener))
    assert len(topics) == 0


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_bad_names(topics, name):
    """A name that cannot be is told to who subscribes, and to who publishes."""
    with pytest.raises(TopicError):
        result_of(topics.subscribe(name, Listener()))
    with pytest.raises(TopicError):
        result_of(topics.publish(name, "Hello"))
    assert topics.stats.published == 0


def test_too_many_subscriptions():
    """One connection cannot fill the memory with topics."""
    topics = MemoryTopics(TopicLimits(subscriptions=2))
    listener = Listener()
    for name in "ab":
        topics.subscribe(name, listener)
    with pytest.raises(TopicError, match="may have 2 topics at most"):
        result_of(topics.subscribe("c", listener))
    assert len(topics) == 2
    topics.unsubscribe("a", listener)
    assert result_of(topics.subscribe("c", listener))


def test_too_many_topics():
    """Many connections cannot either, and topics that are there still take subscribers."""
    topics = MemoryTopics(TopicLimits(topics=2))
    for name in "ab":
        subscribed(topics, name)
    with pytest.raises(TopicError, match="may be 2 topics at most"):
        result_of(topics.subscribe("c", Listener()))
    subscribed(topics, "a")
    assert len(topics) == 2


def test_stats(topics):
    """One can ask how much was published, and how much of it was delivered."""
    topics.publish("room", "nobody hears this")
    subscribed(topics, "room", 3)
    topics.publish("room", "Hello")
    stats = topics.stats
    assert (stats.published, stats.delivered, stats.failed) == (2, 3, 0)


# All of it


class Model(RuleBasedStateMachine):
    """Topics against what sets of listeners would do."""

    rooms = st.sampled_from("abc")
    people = st.integers(0, 4)

    def __init__(self):
        super().__init__()
        self.topics = MemoryTopics(TopicLimits(subscriptions=2))
        self.listeners = [Listener() for _ in range(5)]
        self.expected: list[list[str]] = [[] for _ in range(5)]
        self.members: dict[str, set[int]] = {room: set() for room in "abc"}

    def rooms_of(self, person):
        return {room for room, members in self.members.items() if person in members}

    @rule(room=rooms, person=people)
    def subscribe(self, room, person):
        """Somebody comes."""
        listener, rooms = self.listeners[person], self.rooms_of(person)
        done = self.topics.subscribe(room, listener)
        if not listener.closed and room not in rooms and len(rooms) == 2:
            with pytest.raises(TopicError):
                result_of(done)
            return
        is_new = not listener.closed and room not in rooms
        assert result_of(done) is is_new
        if is_new:
            self.members[room].add(person)

    @rule(room=rooms, person=people)
    def unsubscribe(self, room, person):
        """Somebody goes."""
        was = person in self.members[room]
        assert result_of(self.topics.unsubscribe(room, self.listeners[person])) is was
        self.members[room].discard(person)

    @rule(person=people)
    def close(self, person):
        """Somebody's connection is over."""
        self.listeners[person].close()
        for members in self.members.values():
            members.discard(person)

    @rule(room=rooms, text=st.text(max_size=3))
    def publish(self, room, text):
        """Something is said."""
        assert result_of(self.topics.publish(room, text)) == len(self.members[room])
        for person in self.members[room]:
            self.expected[person].append(text)

    @invariant()
    def agrees(self):
        """Everybody has heard what they should, and only topics with listeners are there."""
        assert [listener.heard for listener in self.listeners] == self.expected
        assert len(self.topics) == sum(1 for members in self.members.values() if members)
        for room, members in self.members.items():
            assert result_of(self.topics.subscriber_count(room)) == len(members)


TestModel = Model.TestCase
