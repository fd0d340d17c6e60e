"""Topics over real connections, to clients some of whom read nothing: memory stays flat.

The connections are in memory, so that what waits for a client can be counted to the byte.
"""

from __future__ import annotations

import pytest

from mynet import App
from mynet.http.limits import KIB
from mynet.realtime import MemoryTopics
from mynet.testing import HIGH_WATER, Client, result_of
from mynet.websocket import WebSocketConnection
from mynet.websocket.codes import TRY_AGAIN_LATER
from mynet.websocket.frames import frame

SEND_LIMIT = 64 * KIB

PAYLOAD = "x" * 200


class Feed:
    """A topic that clients hear of, one of whom does not read."""

    def __init__(self, slow_consumer):
        app = App()
        self.topics = MemoryTopics()
        self.most = 0

        @app.websocket("/feed", slow_consumer=slow_consumer, send_limit=SEND_LIMIT)
        async def feed(socket):
            self.connections.append(socket.connection)
            async with self.topics.subscription("feed", socket):
                async for _ in socket:
                    pass

        self.connections: list[WebSocketConnection] = []
        self.client = Client(app)
        self.reader = result_of(self.client.websocket("/feed"))
        self.slow = result_of(self.client.websocket("/feed"))
        self.slow.stop_reading()

    @property
    def stats(self):
        return self.connections[1].shared.stats

    def publish(self, count):
        """Publish so many messages; the one client reads them all."""
        read = 0
        for number in range(count):
            self.topics.publish("feed", f"{number} {PAYLOAD}", key=number % 10)
            if not number % 100:
                read += len(self.reader.take())
                self.most = max(self.most, self.waiting())
        return read + len(self.reader.take())

    def waiting(self):
        """What waits for the slow client, in bytes: in the connection, and in its transport."""
        connection = self.connections[1]
        outbox = connection._outbox
        transport = connection.transport
        return (outbox.size if outbox else 0) + len(transport.waiting) + len(transport.received)


@pytest.mark.parametrize("slow_consumer", ["drop-oldest", "latest", "close", "wait"])
def test_nobody_waits(slow_consumer):
    """While one client reads nothing 100,000 messages reach the other, and no memory is taken."""
    feed = Feed(slow_consumer)
    assert feed.publish(100_000) == 100_000
    assert feed.most <= SEND_LIMIT + HIGH_WATER + KIB


def test_dropped():
    """What was dropped for a slow reader is counted, and it gets the newest when it reads again."""
    feed = Feed("drop-oldest")
    feed.publish(10_000)
    feed.slow.read()
    heard = [int(text.split()[0]) for text in feed.slow.take()]
    assert heard[-1] == 9_999
    assert heard == sorted(set(heard))
    assert len(heard) + feed.stats.dropped == 10_000


def test_latest():
    """A slow reader that wants only the latest of each key gets just that."""
    feed = Feed("latest")
    feed.publish(10_000)
    feed.slow.read()
    heard = [int(text.split()[0]) for text in feed.slow.take()]
    assert sorted(heard[-10:]) == list(range(9_990, 10_000))
    assert len(heard) + feed.stats.replaced + feed.stats.dropped == 10_000


@pytest.mark.parametrize("slow_consumer", ["close", "wait"])
def test_closed(slow_consumer):
    """Where nothing may be dropped a slow reader is closed, which is counted, and unsubscribed."""
    feed = Feed(slow_consumer)
    feed.publish(10_000)
    assert feed.stats.slow == 1
    feed.client.advance(30)
    assert feed.stats.closed[TRY_AGAIN_LATER] == 1
    assert result_of(feed.topics.subscriber_count("feed")) == 1


def test_framed_once(monkeypatch):
    """However many hear a message, it is framed once."""
    made = []

    def framed(first, payload):
        made.append(payload)
        return frame(first, payload)

    feed = Feed("drop-oldest")
    others = [result_of(feed.client.websocket("/feed")) for _ in range(20)]
    monkeypatch.setattr("mynet.websocket.message.frame", framed)
    feed.topics.publish("feed", PAYLOAD)
    assert [other.take() for other in others] == [[PAYLOAD]] * 20
    assert made == [PAYLOAD.encode()]
