"""What waits for an application's receive(): order, limits, tasks that wait and are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from mynet.handlers.asgi.inbox import Event, Inbox
from mynet.websocket.inbox import OVERHEAD
from tests.handlers.asgi.looping import turn

END = {"type": "end"}


class Connection:
    """What an inbox asks of its connection."""

    def __init__(self, limit: int, inbox: Inbox) -> None:
        self.shared = self.policy = self
        self.receive_limit = limit
        self.calls: list[str] = []
        self.behind: list[tuple[Event, int]] = []
        """What arrives when it is resumed."""
        self._inbox = inbox

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")
        for event, size in self.behind:
            self._inbox.put(event, size)
        self.behind = []


def event(number: int) -> Event:
    return {"type": "message", "number": number}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def receive(loop, inbox) -> Iterator[Any]:
    """Begin to receive, in a task."""
    tasks: list[asyncio.Task[Event]] = []

    def begun() -> asyncio.Task[Event]:
        tasks.append(loop.create_task(inbox.receive()))
        turn(loop)
        return tasks[-1]

    yield begun
    for task in tasks:
        task.cancel()
    turn(loop)


def test_order(inbox, receive):
    """What has come is received in order, at once."""
    for number in range(3):
        inbox.put(event(number), 1)
    assert [receive().result() for _ in range(3)] == [event(0), event(1), event(2)]


def test_waiting(loop, inbox, receive):
    """Who comes before the message waits for it."""
    task = receive()
    assert not task.done()
    inbox.put(event(0), 1)
    inbox.put(event(1), 1)
    turn(loop)
    assert (task.result(), receive().result()) == (event(0), event(1))


def test_many_wait(loop, inbox, receive):
    """Of several tasks that wait, each gets a message, in the order in which they came."""
    first, second = receive(), receive()
    inbox.put(event(0), 1)
    turn(loop)
    assert (first.done(), second.done()) == (True, False)
    inbox.put(event(1), 1)
    turn(loop)
    assert (first.result(), second.result()) == (event(0), event(1))


def test_never_waits_in_vain(inbox):
    """A task that has not to wait takes no turn of the loop for it."""
    inbox.put(event(0), 1)
    with pytest.raises(StopIteration) as received:
        inbox.receive().send(None)
    assert received.value.value == event(0)


# Cancelling


def test_cancelled(loop, inbox, receive):
    """A task that is cancelled while it waits takes no message with it."""
    cancelled, other = receive(), receive()
    cancelled.cancel()
    turn(loop)
    inbox.put(event(0), 1)
    turn(loop)
    assert (cancelled.cancelled(), other.result()) == (True, event(0))


def test_cancelled_in_the_same_turn(loop, inbox, receive):
    """Nor does one that is cancelled just before the message comes."""
    cancelled, other = receive(), receive()
    cancelled.cancel()
    inbox.put(event(0), 1)
    turn(loop)
    assert (cancelled.cancelled(), other.result()) == (True, event(0))


@pytest.mark.parametrize("others", [0, 1])
def test_cancelled_too_late(loop, inbox, receive, others):
    """One that is cancelled when its message has come gives that back, to who waits or will."""
    cancelled = receive()
    other = receive() if others else None
    inbox.put(event(0), 1)
    cancelled.cancel()
    turn(loop)
    assert cancelled.cancelled()
    other = other or receive()
    assert other.result() == event(0)


def test_given_back_in_order(loop, inbox, receive):
    """What is given back is still the first, also before the end."""
    cancelled = receive()
    inbox.put(event(0), 1)
    inbox.put(event(1), 1)
    cancelled.cancel()
    inbox.end(END)
    turn(loop)
    assert [receive().result() for _ in range(3)] == [event(0), event(1), END]


def test_impatient(loop, inbox, receive):
    """Whoever waits with a timeout, again and again, leaves nothing behind."""
    for _ in range(100):
        receive().cancel()
        turn(loop)
    assert inbox._waiting == []


# Its end


def test_end(inbox, receive):
    """After all messages comes the end, and whoever asks again is told again."""
    inbox.put(event(0), 1)
    inbox.end(END)
    assert [receive().result() for _ in range(3)] == [event(0), END, END]


def test_end_is_told_to_all(loop, inbox, receive):
    """All who wait are told of the end, each in an event of its own."""
    tasks = [receive() for _ in range(3)]
    inbox.end(END)
    turn(loop)
    events = [task.result() for task in tasks]
    assert events == [END] * 3
    assert len({id(each) for each in events}) == 3


def test_asks_for_ever(loop, inbox):
    """An application that does not mind the end, and asks for ever, lets others go on."""
    inbox.end(END)

    async def careless() -> None:
        while True:
            await inbox.receive()

    task = loop.create_task(careless())
    turn(loop)
    task.cancel()
    turn(loop)
    assert task.cancelled()


# Its limit


def test_limit(inbox, receive):
    """Past the limit the peer waits, until all that is kept has been received."""
    connection: Any = Connection(100, inbox)
    inbox.connection = connection
    inbox.put(event(0), 100 - OVERHEAD)
    assert connection.calls == []
    inbox.put(event(1), 0)
    assert connection.calls == ["pause"]
    receive()
    assert connection.calls == ["pause"]
    connection.behind = [(event(2), 0)]
    assert receive().result() == event(1)
    assert connection.calls == ["pause", "resume"]
    assert receive().result() == event(2)


def test_paused_again(inbox, receive):
    """What comes at once when the peer may go on may be too much again."""
    connection: Any = Connection(0, inbox)
    inbox.connection = connection
    inbox.put(event(0), 0)
    connection.behind = [(event(1), 0)]
    receive()
    assert connection.calls == ["pause", "resume", "pause"]
    receive()
    assert connection.calls == ["pause", "resume", "pause", "resume"]


def test_who_waits_needs_no_room(loop, inbox, receive):
    """A message for who waits is kept by nobody, however large it is."""
    connection: Any = Connection(0, inbox)
    inbox.connection = connection
    task = receive()
    inbox.put(event(0), 1 << 30)
    turn(loop)
    assert (task.done(), connection.calls) == (True, [])


def test_nothing_is_asked_after_the_end(inbox, receive):
    """Of a connection that is over nothing is asked."""
    connection: Any = Connection(0, inbox)
    inbox.connection = connection
    inbox.put(event(0), 0)
    inbox.end(END)
    receive()
    assert connection.calls == ["pause"]
