"""What a request says about the file that it wants."""

from __future__ import annotations

import pytest

from mynet.handlers.static.wishes import Wishes, read_wishes
from mynet.http.conditional import Conditions
from mynet.http.message import Request
from mynet.testing import MemoryExchange, make_request


def asking(section: bytes) -> Request:
    return Request(MemoryExchange(), "GET", b"/", "1.1", b"a.test", section, None, b"/", b"")


def test_nothing():
    """Most requests wish for nothing in particular."""
    assert read_wishes(make_request()) == Wishes("", None, None)


@pytest.mark.parametrize("more", [b"", b"X-Long: " + b"x" * 3000 + b"\r\n"])
def test_fields(more):
    """A request's fields are looked at once, and are what they are the second time."""
    section = (
        b"Host: a.test\r\nACCEPT-ENCODING: gzip, br\r\nAccept-Encoding: zstd\r\n"
        b'Range: bytes=0-1\r\nIf-Range: "a"\r\nIf-None-Match: "b"\r\n'
    ) + more
    expected = Wishes(
        "gzip, br,zstd", Conditions(if_none_match=b'"b"', if_range=b'"a"'), b"bytes=0-1"
    )
    assert read_wishes(asking(section)) == expected
    assert read_wishes(asking(section)) == expected
    assert read_wishes(asking(b"Host: a.test\r\n")) == Wishes("", None, None)


def test_several_ranges():
    """Of two Range fields it cannot be told which is meant: none is."""
    assert read_wishes(asking(b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n")).range is None


def test_fields_that_are_taken_apart():
    """Middleware that has looked at the fields makes no difference."""
    request = asking(b"Range: bytes=0-1\r\n")
    assert request.headers["range"] == "bytes=0-1"
    assert read_wishes(request) == Wishes("", None, b"bytes=0-1")
