"""Topics in the memory of one process.

Publishing is a loop over who was subscribed when it began, but for who has unsubscribed since.
What is published out of that loop (by who is told that a subscriber was closed, say) waits until
it is over, so that everybody gets the messages in one order, and the stack does not grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from mynet.realtime.topics import Subscriber, TopicError, TopicLimits, Topics, TopicStats
from mynet.websocket.message import Message

log = Logger()

Delivery = tuple[str, list[Subscriber], Message, Hashable | None]


class _Nobody:
    """Stands where somebody was who has unsubscribed since the message was published."""

    def __init__(self) -> None:
        self.spared = 0

    def deliver(self, message: Message, key: Hashable | None = None) -> None:
        self.spared += 1

    def on_close(self, call: Callable[[], object]) -> None: ...


class MemoryTopics(Topics):
    """Topics of this process alone; nothing is kept of a message that is published.

    Its Deferreds have fired when they are returned. Topics that two parts of a program are to
    share are one object that both are given.
    """

    def __init__(self, limits: TopicLimits | None = None) -> None:
        self.limits = limits or TopicLimits()
        self.stats = TopicStats()
        self._topics: dict[str, dict[Subscriber, None]] = {}
        self._subscribers: dict[Subscriber, set[str]] = {}
        """What each is subscribed to; until it is closed, even if that is nothing any more."""
        self._deliveries: deque[Delivery] = deque()
        """What is delivered right now, if anything is, and what waits for that."""
        self._delivering = False
        self._nobody = _Nobody()

    def __len__(self) -> int:
        """How many topics have subscribers."""
        return len(self._topics)

    # Topics

    def subscribe(self, topic: str, subscriber: Subscriber) -> Deferred[bool]:
        return maybeDeferred(self._subscribe, topic, subscriber)

    def unsubscribe(self, topic: str, subscriber: Subscriber) -> Deferred[bool]:
        topics = self._subscribers.get(subscriber)
        if topics is None or topic not in topics:
            return succeed(False)
        topics.remove(topic)
        self._remove(topic, subscriber)
        if self._delivering:
            self._spare(topic, subscriber)
        return succeed(True)

    def publish(
        self, topic: str, data: str | bytes | Message, key: Hashable | None = None
    ) -> Deferred[int]:
        message = data if isinstance(data, Message) else Message(data)
        subscribers = self._topics.get(topic)
        if subscribers is None:
            return maybeDeferred(self._publish_to_nobody, topic)
        self.stats.published += 1
        self._deliveries.append((topic, [*subscribers], message, key))
        count = len(subscribers)
        if not self._delivering:
            self._deliver_all()
        return succeed(count)

    def subscriber_count(self, topic: str) -> Deferred[int]:
        return succeed(len(self._topics.get(topic, ())))

    # Subscriptions

    def _subscribe(self, topic: str, subscriber: Subscriber) -> bool:
        self.limits.check_name(topic)
        topics = self._topics_of(subscriber)
        if topics is None or topic in topics:
            return False
        self._check_limits(topic, topics)
        topics.add(topic)
        self._topics.setdefault(topic, {})[subscriber] = None
        return True

    def _topics_of(self, subscriber: Subscriber) -> set[str] | None:
        """The topics of a subscriber; None if it is closed."""
        if subscriber not in self._subscribers:
            self._subscribers[subscriber] = set()
            try:
                subscriber.on_close(partial(self._forget, subscriber))
            except BaseException:
                self._forget(subscriber)
                raise
        return self._subscribers.get(subscriber)

    def _check_limits(self, topic: str, topics: set[str]) -> None:
        limits = self.limits
        if len(topics) >= limits.subscriptions:
            raise TopicError(f"One subscriber may have {limits.subscriptions} topics at most.")
        if topic not in self._topics and len(self._topics) >= limits.topics:
            raise TopicError(f"There may be {limits.topics} topics at most.")

    def _forget(self, subscriber: Subscriber) -> None:
        for topic in self._subscribers.pop(subscriber, ()):
            self._remove(topic, subscriber)

    def _remove(self, topic: str, subscriber: Subscriber) -> None:
        subscribers = self._topics[topic]
        del subscribers[subscriber]
        if not subscribers:
            del self._topics[topic]

    # Messages

    def _publish_to_nobody(self, topic: str) -> int:
        self.limits.check_name(topic)
        self.stats.published += 1
        return 0

    def _deliver_all(self) -> None:
        self._delivering = True
        try:
            while self._deliveries:
                _, subscribers, message, key = self._deliveries[0]
                try:
                    self._deliver(subscribers, message, key)
                finally:
                    self._deliveries.popleft()
        finally:
            self._delivering = False

    def _spare(self, topic: str, subscriber: Subscriber) -> None:
        """Deliver nothing any more to one who has unsubscribed, at no cost for the others."""
        for each, subscribers, _, _ in self._deliveries:
            if each == topic and subscriber in subscribers:
                subscribers[subscribers.index(subscriber)] = self._nobody

    def _deliver(
        self, subscribers: list[Subscriber], message: Message, key: Hashable | None
    ) -> None:
        failed = 0
        spared = self._nobody.spared
        for subscriber in subscribers:
            try:
                subscriber.deliver(message, key)
            except Exception:
                failed += 1
                log.failure("{subscriber} did not take a message", subscriber=subscriber)
        self.stats.failed += failed
        spared = self._nobody.spared - spared
        self.stats.delivered += len(subscribers) - failed - spared
