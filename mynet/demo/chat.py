"""The chat's other side: what a browser sends, and a handler that people may copy.

Frames are JSON both ways; `mynet.demo.rooms` has those to the browser. What a client gets wrong
it is told in a frame, and its connection stays.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mynet import App
from mynet.demo.rooms import Frame, Guest, Rooms, clean, encode
from mynet.realtime import Topics
from mynet.websocket import WebSocket

LONGEST_TEXT = 1_000
"""Characters of what is said at once."""

LIMIT = 16 * 1024
"""Bytes of a frame: enough for a text of that length with each of its characters escaped."""

RATE = 5
BURST = 10
"""Frames a second that one connection may send, and how many at once after a pause."""


class Say(Frame):
    """To say something."""

    text: str


class Rename(Frame):
    """To take another name."""

    name: str


class Refused(Frame):
    """What a client is told whose frame was not taken."""

    text: str


decoder = msgspec.json.Decoder(Say | Rename)


class Pace:
    """How fast a client may go: a bucket of tokens, which fills as time passes."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since = seconds()
        self._tokens = float(BURST)

    def allows(self) -> bool:
        """Whether one more frame may be taken now."""
        now = self._seconds()
        self._tokens = min(BURST, self._tokens + (now - self._since) * RATE)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def add_chat(app: App, topics: Topics, rooms: Rooms, seconds: Callable[[], float]) -> None:
    """Add the chat to an app.

    Args:
        app: The app.
        topics: Where the rooms publish.
        rooms: The rooms.
        seconds: Tells the time, which only grows.
    """

    @app.websocket("/chat/{room}", max_message_size=LIMIT)
    async def chat(socket: WebSocket, room: str) -> None:
        name = socket.request.query.get("name", "")
        pace = Pace(seconds)
        async with (
            rooms.guest(room, name) as guest,
            topics.subscription(guest.room.topic, socket),
        ):
            await socket.send(encode(guest.welcome()))
            async for message in socket:
                refused = await take(guest, message, pace)
                if refused:
                    await socket.send(encode(refused))


async def take(guest: Guest, message: str | bytes, pace: Pace) -> Refused | None:
    """Do what a client asks; or tell why that cannot be."""
    if not pace.allows():
        return Refused(f"Not so fast, please: {RATE} messages a second are enough for everybody.")
    try:
        frame = decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refused(f"That was no message: {error}")
    if isinstance(frame, Rename):
        await guest.rename(frame.name)
    elif len(frame.text) > LONGEST_TEXT:
        return Refused(f"That is too long: {LONGEST_TEXT} characters are the most.")
    elif clean(frame.text, LONGEST_TEXT):
        await guest.say(frame.text.strip())
    return None
