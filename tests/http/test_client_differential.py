"""Fuzz: what comes of a request, whatever a server sends in answer, and however it ends.

A response, as h11 reads it; or an error of ours. Nothing else, and nothing is left over.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mynet.http.client_errors import ClientError
from mynet.http.client_limits import ClientLimits
from mynet.http.client_response import ClientResponse
from mynet.http.limits import KIB
from mynet.http.pool import Pool
from mynet.testing import result_of
from tests.http.test_client import CHUNKED, LONG, OK, UNTIL_CLOSE
from tests.http.test_response_reading import ask_h11, responses
from tests.server import Line, Server

ENDS = [Line.finish, Line.end, Line.reset]

Outcome = tuple[int, list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]]] | None
"""Status, fields, body and trailers; None where there was an error."""


async def _read(asked: Deferred[ClientResponse]) -> Outcome:
    response = await asked
    body = await response.read(64 * KIB)
    return response.status, list(response.raw_headers), body, list(response.trailers)


class Conversation:
    """Requests to a server that sends whatever it likes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.pool = Pool(self.server, ClientLimits(max_connections=1), clock=self.clock)

    def ask(self, method: str, data: bytes, cuts: list[int], end: Any = None) -> Outcome:
        """Ask, and be sent this, in pieces."""
        asked = self.pool.send(method, b"/", b"Host: a\r\n")
        reading = Deferred.fromCoroutine(_read(asked))
        line = self.server.line
        start = 0
        for stop in [*sorted(cuts), len(data)]:
            line.send(data[start : max(start, stop)])
            start = max(start, stop)
        if end is not None and not line.transport.disconnected:
            end(line)
        if not reading.called:
            self.clock.pump([1.0] * 100)
        return self._outcome(reading)

    def _outcome(self, reading: Deferred[Outcome]) -> Outcome:
        outcomes: list[Any] = []
        reading.addBoth(outcomes.append)
        (outcome,) = outcomes
        if isinstance(outcome, Failure):
            assert outcome.check(ClientError), outcome
            return None
        found: Outcome = outcome
        return found

    def finish(self) -> None:
        """All is over, and nothing waits."""
        assert self.pool.in_use == self.pool.waiting == 0
        done = self.pool.drain()
        self.clock.pump([1.0] * 5)
        assert result_of(done) is None
        assert self.clock.getDelayedCalls() == []


cuts = st.lists(st.integers(0, 200), max_size=5)
methods = st.sampled_from(["GET", "GET", "HEAD", "POST"])


@given(methods, responses, cuts, st.sampled_from([None, *ENDS]))
@example("GET", OK, [], None)
@example("GET", CHUNKED + b"0\r\n\r\n", [], None)
@example("GET", UNTIL_CLOSE + b"hello", [], Line.end)
@example("GET", LONG, [], Line.end)
@settings(max_examples=300)
def test_response_or_error(method, data, cuts, end):
    """Whatever a server sends, there is a response or an error in the end, and nothing is left."""
    conversation = Conversation()
    conversation.ask(method, data, cuts, end)
    conversation.finish()


@given(methods, responses, cuts)
@settings(max_examples=300)
def test_as_h11_reads_it(method, data, cuts):
    """What is given on as a response is what h11 makes of the same bytes."""
    found = Conversation().ask(method, data, cuts, Line.end)
    if found is None:
        return
    rest = data
    while rest.startswith(b"HTTP/1.1 1"):  # those before it are no part of it
        rest = rest[rest.index(b"\r\n\r\n") + 4 :]
    theirs = ask_h11(rest, method)
    assert theirs is not None
    assert (theirs[0], theirs[2], theirs[3]) == (found[0], found[2], found[3])
    assert [name for name, _ in theirs[1]] == [name for name, _ in found[1]]


@given(methods, st.lists(responses, min_size=1, max_size=3), cuts)
@example("GET", [OK, OK, OK], [])
@example("HEAD", [OK, OK[:-5], OK[:-5]], [])
@settings(max_examples=100)
def test_what_came_before_makes_no_difference(method, all_data, cuts):
    """A response is read the same on a connection that has served others, and after itself."""
    conversation = Conversation()
    for data in (*all_data, *all_data):
        again = conversation.ask(method, data, [])
        assert again == Conversation().ask(method, data, cuts)
    conversation.finish()
