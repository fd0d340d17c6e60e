"""`wsgi.errors`: what applications print there is found in the log."""

from __future__ import annotations

import logging
import traceback

import pytest
from twisted.logger import LogLevel

from mynet.handlers.wsgi.errors import ErrorLog
from mynet.testing import make_request


@pytest.fixture
def texts(logged):
    """Call it for what has been logged, as errors, since the last call."""

    def take():
        events, logged.events = logged.events, []
        assert {event["log_level"] for event in events} <= {LogLevel.error}
        return [event["text"] for event in events]

    return take


@pytest.fixture
def errors():
    return ErrorLog(make_request("GET", "/a"))


def test_lines(errors, texts):
    """A line that is printed is an error in the log."""
    print("one", "two", file=errors)
    assert texts() == ["one two"]


def test_part_of_a_line(errors, texts):
    """A line waits for its end."""
    assert errors.write("one ") == 4
    assert texts() == []
    errors.write("two\nthree")
    assert texts() == ["one two"]
    errors.write("\n")
    assert texts() == ["three"]


def test_flush(errors, texts):
    """Flushing does not wait for it, and logs nothing where there is nothing."""
    errors.write("one")
    errors.flush()
    errors.flush()
    assert texts() == ["one"]


def test_traceback_stays_together(errors, texts):
    """What is written at once is one event, however many lines it has."""
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        errors.write(traceback.format_exc())
    (text,) = texts()
    assert text.startswith("Traceback")
    assert text.endswith("RuntimeError: a bug")


def test_writelines(errors, texts):
    """Several lines may be written."""
    errors.writelines(["one\n", "two\n", "three"])
    errors.flush()
    assert texts() == ["one", "two", "three"]


def test_curly_brackets(errors, texts):
    """What is printed is no format."""
    errors.write("{one}\n")
    assert texts() == ["{one}"]


def test_request(errors, logged):
    """A log observer can find out which request it was about."""
    errors.write("one\n")
    (event,) = logged.events
    logged.events.clear()
    assert event["request"].path == "/a"


def test_bytes(errors):
    """It is a text stream."""
    with pytest.raises(TypeError, match="takes a str, not bytes"):
        errors.write(b"one\n")


def test_logging(errors, texts):
    """The logging of the standard library writes there, as Flask's does."""
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(errors))
    logger.error("wrong")
    assert texts() == ["wrong"]
