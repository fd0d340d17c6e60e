"""Upstreams are asked whether they are well."""

from __future__ import annotations

import pytest

from mynet.handlers.proxy import HealthCheck
from mynet.testing import result_of
from tests.asking import start
from tests.conversation import GET, reply
from tests.handlers.proxy.upstreams import HELLO, Setting, said

BAD = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def setting():
    setting = Setting(check=HealthCheck(path="/health?x", interval=5, timeout=3))
    setting.proxy.start()
    return setting


def is_down(setting):
    return setting.proxy._members[0].is_down


def answer(setting, data):
    """The upstream answers, and the time of the next question comes."""
    setting.server.line.say(data)
    setting.clock.advance(5)


def test_question(setting):
    """It is asked for the path of the check by the host of its URL, on connections for that."""
    assert setting.server.line.take() == b"GET /health?x HTTP/1.1\r\nHost: server0\r\n\r\n"
    first = setting.server.line
    answer(setting, HELLO)
    assert first.closed
    assert setting.server.line is not first
    assert setting.server.line.take().startswith(b"GET /health?x ")


def test_host():
    """Or by the host of the check."""
    setting = Setting(check=HealthCheck(host="app.example"))
    setting.proxy.start()
    assert b"\r\nHost: app.example\r\n" in setting.server.line.take()


def test_down_and_up(setting):
    """Two bad answers, and it is down; a good one, and it is up. The log tells both."""
    with said() as lines:
        answer(setting, BAD)
        assert not is_down(setting)
        answer(setting, BAD)
        assert is_down(setting)
        answer(setting, BAD)
        answer(setting, HELLO)
        assert not is_down(setting)
        answer(setting, HELLO)
    assert lines == [
        "http://server0 is down: it answers 500",
        "http://server0 is up",
    ]


def test_bad_answers_apart(setting):
    """Bad answers with good ones between them are forgiven."""
    for data in (BAD, HELLO, BAD, HELLO):
        answer(setting, data)
        assert not is_down(setting)


def test_silence(setting):
    """No answer in time is a bad answer, and its connection is cut off."""
    with said() as lines:
        for _ in range(2):
            line = setting.server.line
            setting.clock.advance(3)
            setting.clock.advance(0)
            assert line.closed
            setting.clock.advance(5)
    assert is_down(setting)
    assert "did not answer within 3 s" in lines[0]


def test_refused(setting):
    """And so is no connection."""
    setting.server.refuses = True
    answer(setting, BAD)
    setting.clock.advance(5)
    assert is_down(setting)


def test_statuses():
    """What a good answer is can be said."""
    setting = Setting(check=HealthCheck(statuses=[401], failures=1))
    setting.proxy.start()
    answer(setting, b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    assert not is_down(setting)
    answer(setting, HELLO)
    assert is_down(setting)


def test_down_gets_no_requests(setting):
    """While it is down requests are 503 at once, and when it is up they are answered."""
    for _ in range(2):
        answer(setting, BAD)
    assert reply(setting.client(GET)).status == 503
    answer(setting, HELLO)
    wire = setting.client(GET)
    setting.server.line.say(HELLO)
    assert reply(wire).status == 200


@pytest.mark.parametrize("data", [b"", HELLO])
def test_stop(setting, data):
    """When the proxy stops nobody is asked any more, and nothing is left behind."""
    if data:
        setting.server.line.say(data)
    with said() as lines:
        stopping = start(setting.proxy.stop())
        setting.clock.advance(0)
        result_of(stopping)
    assert lines == []
    assert setting.server.line.closed
    assert setting.clock.getDelayedCalls() == []


def test_start_again(setting):
    """A proxy that was stopped may start again."""
    start(setting.proxy.stop())
    setting.clock.advance(0)
    setting.proxy.start()
    assert setting.server.line.take().startswith(b"GET /health")


def test_unasked():
    """Without a check nobody is asked."""
    setting = Setting()
    setting.proxy.start()
    setting.clock.advance(60)
    assert setting.server.lines == []
