"""`wsgi.input` of a body that is on its way: read in a thread, as fast as it arrives."""

from __future__ import annotations

import io
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.handlers.wsgi.input import READ_AHEAD, BodyError, Disconnected, Input
from mynet.http.body import RequestBody
from mynet.http.errors import ClientGone, HTTPError
from tests.conversation import Source
from tests.handlers.wsgi.hosting import TIMEOUT, AtOnce, Inbox

BODY = b"one\ntwo\r\n\nthree"

READS: dict[str, Callable[[Any], Any]] = {
    "read": lambda file: file.read(),
    "read(-1)": lambda file: file.read(-1),
    "read(n)": lambda file: [file.read(3), file.read(0), file.read(100), file.read(1)],
    "readline": lambda file: [file.readline(), file.readline(2), file.readline()],
    "readlines": lambda file: file.readlines(),
    "readlines(hint)": lambda file: [file.readlines(5), file.readlines(5)],
    "iter": list,
}


class Reading:
    """A body, its `wsgi.input`, and the thread that reads it."""

    def __init__(self, read: Callable[[Any], Any] | None = None) -> None:
        self.source = Source()
        self.reactor = Inbox()
        self.body = RequestBody(self.source, None, 1)
        self.raw = Input(self.body, self.reactor, self.reactor.callFromThread)
        self.file = io.BufferedReader(self.raw, 64)
        self.result: Any = None
        self._thread = Thread(target=self._run, args=(read,), daemon=True)
        if read is not None:
            self._thread.start()

    def _run(self, read: Callable[[Any], Any]) -> None:
        try:
            self.result = read(self.file)
        except OSError as error:
            self.result = error
        self.reactor.callFromThread(lambda: None)

    def until(self, condition: Callable[[], object]) -> None:
        self.reactor.until(condition)

    def until_wanted(self) -> None:
        """Until the thread waits for the body."""
        self.until(lambda: self.body.awaited)

    def until_read(self) -> Any:
        """What has been read, when that is over."""
        self.until(lambda: self.result is not None)
        self._thread.join(TIMEOUT)
        return self.result


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("way", READS)
def test_reads_as_files_do(way, size):
    """Each way to read gives what it gives of a file, however the body arrives."""
    reading = Reading(READS[way])
    reading.until_wanted()
    step = size or len(BODY)
    for start in range(0, len(BODY), step):
        reading.body.feed(BODY[start : start + step])
    reading.body.end()
    assert reading.until_read() == READS[way](io.BytesIO(BODY))


@pytest.mark.parametrize("way", READS)
def test_empty(way):
    """A body of no bytes is at its end."""
    reading = Reading(READS[way])
    reading.until_wanted()
    reading.body.end()
    assert reading.until_read() == READS[way](io.BytesIO())


def test_nothing_is_asked_for_before_it_is_read():
    """A client that waits for leave to send gets it when the application reads, not before."""
    reading = Reading()
    assert reading.source.calls == []
    reading = Reading(READS["read"])
    reading.until_wanted()
    assert reading.source.calls == ["want"]
    reading.body.end()
    reading.until_read()


def test_reads_what_is_here():
    """A line that has arrived can be read while the next has not."""
    reading = Reading(lambda file: file.readline())
    reading.until_wanted()
    reading.body.feed(b"one\ntw")
    assert reading.until_read() == b"one\n"


def test_client_waits_for_the_application():
    """What is not read is held up to a limit, and then the client has to wait."""
    reading = Reading()
    taken: list[bytes] = []
    first = Thread(target=lambda: taken.append(reading.raw.read(1)), daemon=True)
    first.start()
    reading.until_wanted()
    reading.body.feed(b"a" * READ_AHEAD)
    reading.body.feed(b"b")
    first.join(TIMEOUT)
    assert reading.body.buffered == 1
    assert reading.source.calls[-1] == "pause"
    rest = Thread(target=lambda: taken.append(reading.raw.read(READ_AHEAD)), daemon=True)
    rest.start()
    reading.until(lambda: not reading.body.buffered)
    rest.join(TIMEOUT)
    assert reading.source.calls[-1] == "resume"
    assert b"".join(taken) == b"a" * READ_AHEAD


def test_whole_of_a_large_body():
    """A body larger than what is held is read whole by one call."""
    reading = Reading(READS["read"])
    reading.until_wanted()
    whole = b"0123456789abcdef" * (READ_AHEAD // 4)
    for start in range(0, len(whole), 50_000):
        reading.body.feed(whole[start : start + 50_000])
    reading.body.end()
    assert reading.until_read() == whole


@pytest.mark.parametrize("way", READS)
def test_client_goes(way):
    """A read that waits for a client that has gone is an error of the network."""
    reading = Reading(READS[way])
    reading.until_wanted()
    reading.body.fail(ClientGone("gone"))
    assert isinstance(reading.until_read(), Disconnected)
    assert isinstance(reading.result, ConnectionError)


def test_what_came_before_is_read():
    """What had arrived before the client went can be read."""
    reading = Reading(lambda file: file.read(3))
    reading.until_wanted()
    reading.body.feed(b"abc")
    reading.body.fail(ClientGone("gone"))
    assert reading.until_read() == b"abc"


def test_every_read_fails():
    """An application that tries again gets the same error again."""

    def read_twice(file):
        with pytest.raises(Disconnected):
            file.read()
        file.read()

    reading = Reading(read_twice)
    reading.until_wanted()
    reading.body.fail(ClientGone("gone"))
    assert isinstance(reading.until_read(), Disconnected)


def test_broken_body():
    """A body that breaks a rule is an error of reading, which knows what to answer."""
    reading = Reading(READS["read"])
    reading.until_wanted()
    reading.body.fail(HTTPError(413, "too large"))
    error = reading.until_read()
    assert isinstance(error, BodyError)
    assert error.error.status == 413
    assert "too large" in str(error)


def test_answered():
    """Whoever reads after the answer has been sent gets an error, and does not wait for ever."""
    reading = Reading(READS["read"])
    reading.until_wanted()
    reading.body.detach()
    assert isinstance(reading.until_read(), Disconnected)


def test_told_before_it_is_read():
    """A client that went before the application began to read is noticed when it does."""
    reading = Reading()
    reading.raw.fail(Disconnected("gone"))
    with pytest.raises(Disconnected):
        reading.file.read()


def test_whole_bodies_do_not_fail():
    """A client that goes after its body is here has sent all of it."""
    reactor = AtOnce()
    body = RequestBody(Source(), None, 1)
    raw = Input(body, reactor, reactor.callFromThread)
    body.feed(b"abc")
    body.end()
    assert raw.read(1) == b"a"
    raw.fail(Disconnected("gone"))
    assert raw.read() == b"bc"


@given(
    st.lists(st.binary(min_size=1, max_size=100).map(lambda each: each.replace(b"a", b"\n"))),
    st.lists(st.tuples(st.sampled_from(["read", "readline"]), st.integers(0, 150))),
)
def test_any_reads(pieces, calls):
    """However a body arrives, and in whatever mixture it is read, nothing is lost or doubled."""
    reactor = AtOnce()
    body = RequestBody(Source(), None, 1)
    for piece in pieces:
        body.feed(piece)
    body.end()
    file = io.BufferedReader(Input(body, reactor, reactor.callFromThread), 64)
    same = io.BytesIO(b"".join(pieces))
    for name, size in calls:
        assert getattr(file, name)(size) == getattr(same, name)(size)
    assert file.read() == same.read()


def test_is_for_reading():
    """It is a file to read, and not to write."""
    assert Reading().file.readable()
    assert not Reading().file.writable()
