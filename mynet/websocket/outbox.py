"""What waits to be sent to one peer, because it takes less than it is sent.

Only messages wait here, unframed: what is dropped must not have been compressed, since the peer
would need it to inflate what follows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from mynet.websocket.message import Message
from mynet.websocket.policy import Policy
from mynet.websocket.stats import Stats

OVERHEAD = 256
"""What a waiting message costs besides its bytes: many small ones are no way round the limit."""


class Outbox:
    """First in, first out.

    But where the policy is `latest`, what comes under a key takes the place of what waits there.
    """

    __slots__ = ("_messages", "_policy", "_stats", "size")

    def __init__(self, policy: Policy, stats: Stats) -> None:
        """`stats` counts what is dropped."""
        self._policy = policy
        self._stats = stats
        self._messages: OrderedDict[Hashable, Message] = OrderedDict()
        self.size = 0
        """What waits, in bytes."""

    def __len__(self) -> int:
        return len(self._messages)

    def has_room_for(self, message: Message) -> bool:
        """Whether it may wait, too, without another being dropped for it."""
        size = self.size + message.size + OVERHEAD
        return not self._messages or size <= self._policy.send_limit

    def put(self, message: Message, key: Hashable | None = None) -> bool:
        """Let a message wait.

        Returns:
            False if it cannot, nor may another be dropped for it.
        """
        slow_consumer = self._policy.slow_consumer
        if slow_consumer == "latest" and key is not None and key in self._messages:
            self.size += message.size - self._messages[key].size
            self._messages[key] = message
            self._stats.replaced += 1
        else:
            if key is None or slow_consumer != "latest":
                key = object()
            self._messages[key] = message
            self.size += message.size + OVERHEAD
        return self._make_room(key)

    def _make_room(self, latest: Hashable) -> bool:
        """Drop what must be, if that may be, but not what has just come."""
        may_drop = self._policy.slow_consumer in ("drop-oldest", "latest")
        while self.size > self._policy.send_limit and len(self._messages) > 1:
            if not may_drop:
                return False
            oldest = next(key for key in self._messages if key != latest)
            self.size -= self._messages.pop(oldest).size + OVERHEAD
            self._stats.dropped += 1
        return True

    def take(self) -> Message:
        """The message that has waited longest, which waits no more.

        Raises:
            KeyError: There is none.
        """
        _, message = self._messages.popitem(last=False)
        self.size -= message.size + OVERHEAD
        return message
