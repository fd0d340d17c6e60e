"""HTTP in a Twisted program that has a life of its own: a chat that the web sees, and joins.

`python twisted_program.py`; then `nc 127.0.0.1 8023` in one window, and in another:

    curl http://127.0.0.1:8080/                       what has been said
    curl http://127.0.0.1:8080/next                   what will be said next
    curl http://127.0.0.1:8080/ --data 'Hello, all'   say something

Both protocols share one `Room`, without locks: they run in one reactor. When the program is
stopped (Ctrl-C, SIGTERM), requests in progress are answered first.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import react
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from mynet import App, Request
from mynet.http import HTTPFactory

LONGEST = 1000
"""Bytes of a line."""


class Room:
    """Where lines are said, and heard."""

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque(maxlen=100)
        self.members: set[Chat] = set()
        self._waiting: list[Deferred[bytes | None]] = []

    def say(self, line: bytes) -> None:
        """Let everybody hear a line."""
        self.lines.append(line)
        for member in tuple(self.members):
            member.hear(line)
        self._tell(line)

    def next_line(self) -> Deferred[bytes | None]:
        """The next line that is said; None if the room is closed before."""
        waiting: Deferred[bytes | None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """Send everybody home."""
        for member in tuple(self.members):
            member.leave()
        self._tell(None)

    def _tell(self, line: bytes | None) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(line)


# The protocol that the program is about


class Chat(LineOnlyReceiver):
    """A member who comes with telnet or netcat."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    def __init__(self, room: Room) -> None:
        self.room = room

    def hear(self, line: bytes) -> None:
        """Somebody has said something."""
        self.transport.write(line + self.delimiter)

    def leave(self) -> None:
        """Go, when all has been heard."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.room.members.add(self)

    def lineReceived(self, line: bytes) -> None:
        self.room.say(line.rstrip(b"\r"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.room.members.discard(self)

    # IPushProducer

    def pauseProducing(self) -> None:
        """Who does not listen must go: what they have not heard fills our memory."""
        self.transport.abortConnection()

    def resumeProducing(self) -> None:
        """They go already."""

    def stopProducing(self) -> None:
        """They have gone."""


# Its other side, on the web


def web(room: Room) -> App:
    """The room, for browsers and curl."""
    app = App()

    @app.get("/")
    def lines(request: Request) -> str:
        """What was said last."""
        return "".join(f"{line.decode(errors='replace')}\n" for line in room.lines)

    @app.get("/next")
    async def next_line(request: Request) -> str | None:
        """What is said next, whenever that is."""
        line = await room.next_line()
        return None if line is None else f"{line.decode(errors='replace')}\n"

    @app.post("/")
    async def say(request: Request) -> None:
        """Say something: one line."""
        body = await request.read(LONGEST)
        room.say(b" ".join(body.splitlines()))

    return app


# The program


async def main(
    reactor: Any,
    http: str = "tcp:8080:interface=127.0.0.1",
    chat: str = "tcp:8023:interface=127.0.0.1",
) -> None:
    """Serve both, until the reactor is stopped."""
    room = Room()
    site = HTTPFactory(web(room), reactor=reactor)
    members = Factory.forProtocol(partial(Chat, room))
    ports = [
        await serverFromString(reactor, http).listen(site),
        await serverFromString(reactor, chat).listen(members),
    ]

    async def stop() -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        drained = site.drain(timeout=10)
        room.close()
        await drained

    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(stop()))
    await Deferred()


if __name__ == "__main__":
    react(main)
