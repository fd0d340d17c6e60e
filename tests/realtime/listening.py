"""Who listens in these tests."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from mynet.websocket.message import Message


class Listener:
    """A subscriber that takes all, and does something then if it is told to."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.messages: list[Message] = []
        self.keys: list[Hashable | None] = []
        self.then = then
        self.closed = False
        self.to_call: list[Callable[[], object]] = []

    @property
    def heard(self) -> list[str | bytes]:
        """What it has been told."""
        return [message.data for message in self.messages]

    def close(self) -> None:
        """Its connection is over."""
        self.closed = True
        for call in self.to_call:
            call()
        self.to_call = []

    # Subscriber

    def deliver(self, message: Message, key: Hashable | None = None) -> None:
        """Keep a message."""
        self.messages.append(message)
        self.keys.append(key)
        if self.then is not None:
            self.then()

    def on_close(self, call: Callable[[], object]) -> None:
        """Remember whom to call."""
        if self.closed:
            call()
        else:
            self.to_call.append(call)
