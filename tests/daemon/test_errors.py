"""The daemon's one error for its operator."""

from __future__ import annotations

import traceback

from mynet.daemon.errors import LONGEST, CannotStart


def test_one_line():
    """Whatever the system had to say, the operator reads one line."""
    assert str(CannotStart("no such\n  file")) == "no such file"


def test_printable():
    """What is told cannot command a terminal."""
    assert str(CannotStart("a\x1b[2J\x00 \udc80 ü 'b'")) == r"a\x1b[2J\x00 \udc80 ü 'b'"


def test_not_too_long():
    """A line has a limit, and its end, which says where, is kept."""
    line = str(CannotStart("begin " + "x" * 10_000 + " (app.py:1)"))
    assert len(line) == LONGEST
    assert line.startswith("begin x")
    assert line.endswith("x (app.py:1)")


def test_short_name():
    """What fails in a daemon reaches its parent in 100 bytes: the reason is among them."""
    error = CannotStart("Address already in use: cannot listen on ssl:443:" + "x" * 100)
    line = f"1 {traceback.format_exception_only(error)[-1].strip()}"
    assert "Address already in use: cannot listen" in line[:100]
