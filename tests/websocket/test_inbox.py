"""What waits to be received: how much of it may, and who is let go on (test_socket.py has more)."""

from __future__ import annotations

from typing import Any

import pytest

from mynet.testing import result_of
from mynet.websocket.closed import WebSocketDone
from mynet.websocket.inbox import OVERHEAD, Inbox
from tests.asking import start
from tests.websocket.line import Line


def make(receive_limit: int) -> tuple[Inbox, Any]:
    """An inbox, and the connection that it may pause."""
    inbox = Inbox()
    inbox.connection = Line(receive_limit=receive_limit).connection
    return inbox, inbox.connection


def test_order():
    """What came first is taken first; where there is nothing that is a mistake."""
    inbox, _ = make(1000)
    inbox.put("a")
    inbox.put(b"b")
    assert len(inbox) == 2
    assert [inbox.take(), inbox.take()] == ["a", b"b"]
    with pytest.raises(IndexError):
        inbox.take()


@pytest.mark.parametrize("size", [0, 1, 100])
def test_limit(size):
    """Up to the limit all may wait; beyond it the peer is paused, until all has been taken."""
    inbox, connection = make(3 * (size + OVERHEAD))
    for _ in range(3):
        inbox.put(bytes(size))
    assert not connection.is_reading_paused
    inbox.put(bytes(size))
    for _ in range(4):
        assert connection.is_reading_paused
        inbox.take()
    assert not connection.is_reading_paused


def test_one_that_is_waited_for():
    """What is waited for goes to who waits, and does not count, however large it is."""
    inbox, connection = make(0)
    for size in (0, 1000):
        waiting = start(inbox)
        inbox.put(bytes(size))
        assert result_of(waiting) == bytes(size)
    assert not connection.is_reading_paused


def test_end():
    """After the end all that was there can be had; then there is the end, again and again."""
    inbox, _ = make(0)
    inbox.put("a")
    inbox.end(WebSocketDone(4000, "bye"))
    assert result_of(start(inbox)) == "a"
    for _ in range(2):
        with pytest.raises(WebSocketDone, match="4000: bye"):
            result_of(start(inbox))
