"""A response of another server: its body, given at the pace of whoever wants it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet.http.client_errors import BadResponse, ResponseCut
from mynet.http.client_response import ClientResponse, ResponseBody
from mynet.http.response_reading import ResponseHead
from mynet.testing import result_of

HEAD = ResponseHead(200, "1.1", 5, True, b"A: b\r\n", b"")


class Origin:
    """Remembers what a body asks of its connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause_body(self) -> None:
        self.asked.append("pause")

    def resume_body(self) -> None:
        self.asked.append("resume")

    def abandon(self) -> None:
        self.asked.append("abandon")


@implementer(IConsumer)
class Consumer:
    """Keeps what it is given, and pauses its producer at each piece if it is told to."""

    def __init__(self, producer: Any = None) -> None:
        self.data = b""
        self._producer = producer

    def registerProducer(self, producer: object, streaming: bool) -> None:
        raise AssertionError("a body need not register")

    def unregisterProducer(self) -> None:
        raise AssertionError("a body need not register")

    def write(self, data: bytes) -> None:
        self.data += data
        if self._producer is not None:
            self._producer.pauseProducing()


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def body(origin: Origin) -> ResponseBody:
    return ResponseBody(origin, 5)


def response(body: bytes | ResponseBody) -> ClientResponse:
    return ClientResponse(HEAD, 5, body)


def test_interface(origin):
    """Whatever takes a body of Twisted's takes one of a response."""
    assert verifyObject(IBodyProducer, ResponseBody(origin, None))
    assert ResponseBody(origin, None).length is UNKNOWN_LENGTH
    assert ResponseBody(origin, 5).length == 5


def test_fields():
    """A response gives its fields to the letter, and taken apart."""
    answer = response(b"hello")
    assert (answer.status, answer.version, answer.length) == (200, "1.1", 5)
    assert answer.section == b"A: b\r\n"
    assert answer.raw_headers == [(b"a", b"b")]
    assert repr(answer) == "<ClientResponse 200>"


def test_pieces_are_given_on(body, origin):
    """What arrives is given on at once, and then that it was all."""
    consumer = Consumer()
    done = body.startProducing(consumer)
    assert origin.asked == ["resume"]
    body.feed(b"he")
    assert consumer.data == b"he"
    assert not done.called
    body.feed(b"llo")
    body.end()
    assert result_of(done) is None
    assert consumer.data == b"hello"


def test_what_came_before(body, origin):
    """What came before anybody wanted it is not lost, nor is the end."""
    body.feed(b"he")
    body.feed(b"llo")
    body.end()
    consumer = Consumer()
    assert result_of(body.startProducing(consumer)) is None
    assert consumer.data == b"hello"
    assert origin.asked == []


def test_failure_before_it_is_wanted(body):
    """Who comes after it was cut is told."""
    body.feed(b"he")
    body.fail(Failure(ResponseCut()))
    consumer = Consumer()
    with pytest.raises(ResponseCut):
        result_of(body.startProducing(consumer))


def test_pause(body, origin):
    """A consumer's pace is that of the connection."""
    body.startProducing(Consumer())
    body.pauseProducing()
    body.resumeProducing()
    assert origin.asked == ["resume", "pause", "resume"]


def test_pause_at_what_came_before(body, origin):
    """So it is while it gets what was there already."""
    body.feed(b"he")
    body.startProducing(Consumer(body))
    assert origin.asked == ["pause"]


def test_stop(body, origin):
    """To stop it cuts the connection off; its Deferred does not fire."""
    done = body.startProducing(Consumer())
    body.stopProducing()
    body.stopProducing()
    body.close()
    assert origin.asked == ["resume", "abandon"]
    assert not done.called


def test_cancel(body, origin):
    """So does to cancel its Deferred."""
    done = body.startProducing(Consumer())
    done.cancel()
    assert origin.asked == ["resume", "abandon"]
    with pytest.raises(CancelledError):
        result_of(done)


def test_unwanted(body, origin):
    """A body that nobody wants is closed, once, and not after its end."""
    response(body).close()
    response(body).close()
    assert origin.asked == ["abandon"]
    over = ResponseBody(origin, 5)
    over.end()
    response(over).close()
    over.pauseProducing()
    over.resumeProducing()
    response(b"hello").close()
    assert origin.asked == ["abandon"]


def test_once(body):
    """A body is produced once."""
    body.startProducing(Consumer())
    with pytest.raises(RuntimeError):
        body.startProducing(Consumer())


def test_read_whole():
    """A body that is here can be read, up to a limit."""
    assert response(b"hello").whole == b"hello"
    assert result_of(response(b"hello").read(5)) == b"hello"
    with pytest.raises(BadResponse, match="4 bytes"):
        result_of(response(b"hello").read(4))


def test_read(body):
    """So can one that still comes."""
    assert response(body).whole is None
    body.feed(b"he")
    done = response(body).read(5)
    body.feed(b"llo")
    body.end()
    assert result_of(done) == b"hello"


def test_read_too_much(body, origin):
    """Beyond the limit nothing more is read."""
    done = response(body).read(4)
    body.feed(b"hello")
    assert origin.asked == ["resume", "abandon"]
    with pytest.raises(BadResponse, match="4 bytes"):
        result_of(done)


@pytest.mark.parametrize("is_cut", [False, True])
def test_read_too_much_that_has_ended(body, is_cut):
    """So it is where all that comes was there before: whoever reads is told once."""
    body.feed(b"hello")
    if is_cut:
        body.fail(Failure(ResponseCut()))
    else:
        body.end()
    with pytest.raises(BadResponse, match="4 bytes"):
        result_of(response(body).read(4))


def test_read_what_was_closed(body):
    """Of a body that was given up nobody waits for the rest."""
    body.feed(b"hell")
    body.close()
    with pytest.raises(ResponseCut):
        result_of(response(body).read(5))


def test_read_fails(body):
    """Who reads a body is told that it was cut."""
    done = response(body).read(5)
    body.feed(b"hell")
    body.fail(Failure(ResponseCut()))
    with pytest.raises(ResponseCut):
        result_of(done)


def test_cancel_reading(body, origin):
    """To cancel the reading cuts the connection off."""
    done: Deferred[bytes] = response(body).read(5)
    done.cancel()
    assert origin.asked == ["resume", "abandon"]
    with pytest.raises(CancelledError):
        result_of(done)


def test_nothing_to_hand_over():
    """Only a 101 has a connection to hand over."""
    with pytest.raises(RuntimeError):
        response(b"").hand_over(Protocol())
