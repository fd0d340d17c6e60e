"""The interface of topics: subscribe, publish, unsubscribe, count; wherever they are kept.

All verbs return Deferreds, since topics may be kept by another process. A coroutine awaits
them; a protocol's method may let them be, since an error is logged if nobody looks at it.
How messages get to other processes is no concern of this file, nor of who uses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Protocol

from twisted.internet.defer import Deferred

from mynet.websocket.message import Message


class Subscriber(Protocol):
    """Who may subscribe: a `WebSocket`, a `WebSocketConnection`, or anything like them."""

    def deliver(self, message: Message, key: Hashable | None = None) -> object:
        """Take a message.

        It must neither block nor raise: what to do for a slow reader is the subscriber's to
        decide. What it does raise is logged, and keeps the others from nothing.
        """

    def on_close(self, call: Callable[[], object]) -> object:
        """Call this once, when no message can be taken any more; at once if that is so."""


class TopicError(Exception):
    """No topic can have this name, or a limit is reached; the text tells which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLimits:
    """The limits of topics. What they count can be made by clients, so each has one."""

    topics: int = 100_000
    """That have subscribers. Each takes about half a KiB of memory."""

    subscriptions: int = 1_000
    """Of one subscriber."""

    name: int = 255
    """Characters of a topic's name."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that is out of its range, naming it."""
        for each in fields(self):
            if getattr(self, each.name) < 1:
                raise ValueError(f"limit {each.name} must be 1 at least")

    def check_name(self, topic: str) -> None:
        """See that a topic may have this name.

        Raises:
            TopicError: It may not.
        """
        if not topic:
            raise TopicError("The name of the topic is empty.")
        if len(topic) > self.name:
            raise TopicError(f"The name of the topic is longer than {self.name} characters.")


class TopicStats:
    """What has been done, in plain integers; read them whenever you like."""

    __slots__ = ("delivered", "failed", "published")

    def __init__(self) -> None:
        self.published = 0
        """Messages that were published, with or without subscribers."""
        self.delivered = 0
        """Messages that were taken by a subscriber, each counted for each of them."""
        self.failed = 0
        """Messages that a subscriber did not take, but raised an error."""


class Topics(Protocol):
    """Topics, each with its subscribers. One exists for as long as it has any."""

    def subscribe(self, topic: str, subscriber: Subscriber) -> Deferred[bool]:
        """Let a subscriber have what is published from now on, until it is closed.

        Returns:
            A Deferred of whether that is new: False where it was subscribed already, or is
            closed. It fails with `TopicError`.
        """
        ...

    def unsubscribe(self, topic: str, subscriber: Subscriber) -> Deferred[bool]:
        """Let a subscriber have no more of what is published.

        Returns:
            A Deferred of whether it was subscribed.
        """
        ...

    def publish(
        self, topic: str, data: str | bytes | Message, key: Hashable | None = None
    ) -> Deferred[int]:
        """Give a message to each who is subscribed now; it is framed once for all of them.

        All subscribers of a topic get its messages in the same order, and those of one
        publisher in the order in which they were published. Slow subscribers keep nobody
        waiting; what they miss, their own policy decides.

        Args:
            topic: Its name.
            data: The message: str is sent as text, bytes are sent as binary.
            key: What the message is about, for subscribers that want only the latest of each.

        Returns:
            A Deferred of how many subscribers there are, as far as it is known. It fails with
            `TopicError` if no topic can have this name.
        """
        ...

    def subscriber_count(self, topic: str) -> Deferred[int]:
        """How many are subscribed now; 0 where there is no such topic."""
        ...

    @asynccontextmanager
    async def subscription(self, topic: str, subscriber: Subscriber) -> AsyncIterator[None]:
        """Be subscribed within an `async with`.

        What was subscribed before stays so after.

        Raises:
            TopicError: As `subscribe`.
        """
        is_new = await self.subscribe(topic, subscriber)
        try:
            yield
        finally:
            if is_new:
                await self.unsubscribe(topic, subscriber)
