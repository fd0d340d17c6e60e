"""The rooms of the chat: who is in them, by which names, and what was said last.

A room is there as long as somebody is in it; nothing of it is kept after. What happens in one
is published to its topic, as a frame of JSON, and who hears that is not known here.
"""

from __future__ import annotations

import time
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import msgspec

from mynet import HTTPError
from mynet.realtime import Topics

LONGEST_NAME = 24
LONGEST_ROOM = 40
"""Characters of the names of people, and of rooms."""

KEPT = 30
"""How much of what was said is told to who comes later."""

MOST = 500
"""Rooms. What is kept of them is what costs memory: 60 MB, if all is said that can be."""

CAPACITY = 200
"""People in a room. Each hears all of them, so what a room costs grows with its square."""


class Frame(msgspec.Struct, tag_field="type", tag=str.lower):
    """A JSON object; its class's name, in lower case, is its `type`."""


class Said(Frame):
    """Somebody said something."""

    id: str
    """By which one that is heard twice, now and after coming back, can be told."""
    at: float
    """When; in seconds since 1970."""
    name: str
    text: str


class Joined(Frame):
    """Somebody came."""

    name: str


class Left(Frame):
    """Somebody went."""

    name: str


class Renamed(Frame):
    """Somebody has another name from now on."""

    name: str
    was: str


class Welcome(Frame):
    """What somebody is told who came: where and who they are, who is here, what was said last."""

    room: str
    name: str
    here: list[str]
    lines: list[Said]


def encode(frame: Frame) -> str:
    """A frame as text."""
    return msgspec.json.encode(frame).decode()


class Room:
    """A room."""

    def __init__(self, name: str, topics: Topics) -> None:
        self.name = name
        self.topic = f"chat/{name}"
        self.lines: deque[Said] = deque(maxlen=KEPT)
        self._topics = topics
        self._names: dict[str, str] = {}
        """The names, by what makes two of them the same."""

    @property
    def names(self) -> list[str]:
        """Who is here, in the order of their coming."""
        return list(self._names.values())

    async def publish(self, frame: Frame) -> None:
        """Let all who are here know."""
        await self._topics.publish(self.topic, encode(frame))

    def add(self, wanted: str) -> str:
        """Give somebody a name that is like the one they want, and that nobody else has here."""
        name = next(name for name in _numbered(wanted) if name.casefold() not in self._names)
        self._names[name.casefold()] = name
        return name

    def remove(self, name: str) -> None:
        """Take a name away."""
        del self._names[name.casefold()]


class Guest:
    """Somebody in a room."""

    def __init__(self, room: Room, wanted: str) -> None:
        self.room = room
        self.name = room.add(wanted)

    def welcome(self) -> Welcome:
        """What to tell them first."""
        return Welcome(self.room.name, self.name, self.room.names, list(self.room.lines))

    async def say(self, text: str) -> None:
        """Say something, which all hear, they too."""
        line = Said(uuid4().hex, time.time(), self.name, text)
        self.room.lines.append(line)
        await self.room.publish(line)

    async def rename(self, wanted: str) -> None:
        """Take another name."""
        was = self.name
        self.room.remove(was)
        self.name = self.room.add(wanted)
        if self.name != was:
            await self.room.publish(Renamed(self.name, was))


class Rooms:
    """All rooms that somebody is in."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._rooms: dict[str, Room] = {}

    def figures(self) -> dict[str, int]:
        """How many rooms there are, and people in them."""
        people = sum(len(room.names) for room in self._rooms.values())
        return {"rooms": len(self._rooms), "people": people}

    @asynccontextmanager
    async def guest(self, room_name: str, wanted: str) -> AsyncIterator[Guest]:
        """Be in a room, which those who are there already are told, and also of the end.

        Raises:
            HTTPError: 400, if no room can have this name; 503, if the room is full, or no
                other can be opened.
        """
        room = self._room(clean(room_name, LONGEST_ROOM))
        guest = Guest(room, wanted)
        try:
            await room.publish(Joined(guest.name))
            yield guest
        finally:
            room.remove(guest.name)
            if not room.names:
                del self._rooms[room.name]
            await room.publish(Left(guest.name))

    def _room(self, name: str) -> Room:
        """A room in which there is a place."""
        if not name:
            raise HTTPError(400, "This is no name for a room.")
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= MOST:
                raise HTTPError(503, "There are too many rooms.")
            room = self._rooms[name] = Room(name, self._topics)
        elif len(room.names) >= CAPACITY:
            raise HTTPError(503, "This room is full.")
        return room


def clean(text: str, longest: int) -> str:
    """A name as all can read it: in one line, of characters that are seen, and not too long."""
    seen = "".join(each for each in text if each.isspace() or unicodedata.category(each)[0] != "C")
    return " ".join(unicodedata.normalize("NFKC", seen).split())[:longest].strip()


def _numbered(wanted: str) -> Iterator[str]:
    name = clean(wanted, LONGEST_NAME) or "Guest"
    yield name
    for number in count(2):
        yield f"{name} {number}"
