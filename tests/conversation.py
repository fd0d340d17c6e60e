"""Conversations over HTTP/1.1 in memory: what to say, and what was answered.

Answers are read by h11, which is strict, and knows nothing of how mynet writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import h11
from multidict import CIMultiDict
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.testing import Wire

GET = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: example.test\r\n\r\n"

Way = tuple[bytes, int | None]

WAYS: dict[str, Way] = {
    "whole": (b"", None),
    "bytewise": (b"", 1),
    "followed": (BEHIND, None),
    "followed bytewise": (BEHIND, 1),
}
"""How bytes arrive: what comes behind them, and how many come at a time."""


def head(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"example.test") -> bytes:
    """A request head with these fields, each a whole line without its end, after a Host."""
    hosts = (b"Host: " + host,) if host else ()
    return b"".join(each + b"\r\n" for each in (line, *hosts, *fields)) + b"\r\n"


UPGRADE = head(b"Connection: keep-alive, Upgrade", b"Upgrade: other/2, Echo")
"""Asks for another protocol, which is `Echo`'s where that is served."""


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST request with these fields."""
    return head(*fields, line=b"POST / HTTP/1.1") + body


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body."""
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return sent + b"0\r\n" + trailers + b"\r\n"


@dataclass
class Reply:
    """One response, as its client sees it."""

    status: int
    headers: CIMultiDict[str]
    version: str
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    """The statuses of the interim responses before it."""
    complete: bool = False
    """Whether its end has been seen, by the frame that its head announced."""

    @property
    def text(self) -> str:
        """Its body, which must be UTF-8."""
        return self.body.decode()

    @property
    def closes(self) -> bool:
        """Whether it says that it is the last."""
        return "close" in self.headers.get("Connection", "").lower()


def replies(wire: Wire, *methods: str) -> list[Reply]:
    """What has been received since the last call: an answer to each method, GET by default.

    Raises:
        AssertionError: There are fewer answers, or something is behind them.
    """
    wire.advance(0)
    data, found = wire.take(), []
    for method in methods or ("GET",):
        reply, data = _read(data, method, wire.closed)
        assert reply is not None, f"no answer to {method} in {data!r}"
        found.append(reply)
    assert data == b"", "something follows the last answer"
    return found


def reply(wire: Wire, method: str = "GET") -> Reply:
    """The one answer that has been received since the last call, which must be complete."""
    (only,) = replies(wire, method)
    assert only.complete, only
    return only


def _read(data: bytes, method: str, closed: bool) -> tuple[Reply | None, bytes]:
    if not data:
        return None, b""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "test")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    if closed:
        client.receive_data(b"")
    found, interim = None, []
    for event in _events(client):
        if isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            pairs = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            version = event.http_version.decode()
            found = Reply(event.status_code, CIMultiDict(pairs), version, interim=interim)
        elif isinstance(event, h11.Data):
            assert found is not None
            found.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert found is not None
            found.trailers, found.complete = list(event.headers), True
    rest = client.trailing_data[0] if found and found.complete else b""
    return found, rest


def _events(client: h11.Connection) -> Iterator[h11.Event]:
    while True:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError as error:
            if "without sending complete message body" in str(error):
                return
            raise
        if isinstance(event, type | h11.ConnectionClosed):
            return
        yield event
        if isinstance(event, h11.EndOfMessage):
            return


class Recorder:
    """A handler that notes what it is asked, and answers with what it reads."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        """Those that were read to their ends."""

    @property
    def targets(self) -> list[bytes]:
        """What was asked for."""
        return [request.target for request in self.requests]

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        body = await request.read(None)
        self.bodies.append(body)
        return Response(body or request.target)


class Source:
    """The protocol's side of a request body: it notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def want_body(self) -> None:
        self.calls.append("want")

    def pause_body(self) -> None:
        self.calls.append("pause")

    def resume_body(self) -> None:
        self.calls.append("resume")


class Waiting:
    """A handler whose answers come when they are told to."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Deferred[Response]] = []
        self.cancelled: list[bytes] = []
        """The targets of those that were cancelled."""

    def __call__(self, request: Request) -> Deferred[Response]:
        answer: Deferred[Response] = Deferred(lambda _: self.cancelled.append(request.target))
        self.requests.append(request)
        self.answers.append(answer)
        return answer


class Echo(Protocol):
    """Another protocol, that notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[str | bytes] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)
        assert self.transport is not None
        self.transport.write(data.upper())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(f"lost: {type(reason.value).__name__}")


def assert_refused(data: bytes, status: int, way: Way, limits: Limits | None = None) -> None:
    """It is answered with that status; then the connection ends, and no handler hears of it."""
    behind, size = way
    handler = Recorder()
    wire = Wire(handler, limits)
    wire.send(data + behind, size)
    assert_last(wire, status)
    assert handler.requests == []


def assert_last(wire: Wire, status: int) -> None:
    """The one answer has that status, and says that it is the last; then the connection ends."""
    answer = reply(wire)
    assert (answer.status, answer.version) == (status, "1.1")
    assert answer.closes
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Date" in answer.headers
    assert wire.closed
    wire.send(BEHIND)
    wire.advance(Limits().linger_timeout + 1)
    assert wire.transport.disconnected
    assert not wire.transport.aborted
    assert wire.received == b""


def assert_accepted(data: bytes, limits: Limits | None = None, size: int | None = None) -> Recorder:
    """It is answered by the handler, and so is what comes behind it."""
    handler = Recorder()
    wire = Wire(handler, limits)
    wire.send(data, size)
    answer = reply(wire)
    assert answer.status == 200
    assert not answer.closes
    wire.send(GET)
    assert reply(wire).status == 200
    return handler
