"""Which paths go on to an upstream, and how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.handlers.proxy.target import has_dot_segments, join, path_and_query
from mynet.http import HTTPError
from mynet.testing import make_request

TARGETS = ("/", "/a/b", "/a//b/", "/%41%2f%25?%3f=%26&&=", "/a?", "/?a?b", "/...", "/.a", "/a.")
DOTTED = (
    "/.", "/..", "/a/..", "/a/../b", "/a/./b", "/%2e%2E/b", "/.%2e", "/a%2f..%2fb", "/..;x/b",
    "/a\\..\\b", "/%5c..", "/..%3b",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_target(target):
    """What the client asked for is what the upstream is asked for, to the letter."""
    assert path_and_query(make_request("GET", target)) == target.encode()


def test_absolute():
    """A target with a host in it goes on without: that is in Host."""
    assert path_and_query(make_request("GET", "http://test/a?b")) == b"/a?b"
    assert path_and_query(make_request("GET", "http://test")) == b"/"


def test_mounted():
    """What a mount has taken off does not go on."""
    request = make_request("GET", "/app/%41?q")
    request.mount(len("/app"))
    assert path_and_query(request) == b"/%41?q"


@pytest.mark.parametrize("target", DOTTED)
def test_dot_segments(target):
    """No path leads an upstream out of where it was handed to: that is answered 400."""
    with pytest.raises(HTTPError) as raised:
        path_and_query(make_request("GET", f"{target}?query"))
    assert raised.value.status == 400


def test_dots_in_query():
    """Dots in a query are none in a path."""
    assert path_and_query(make_request("GET", "/a?/../b")) == b"/a?/../b"


@given(st.from_regex(r"\A(?:/(?:[a-z%;]|%2e|%2f|\\|\.)*)+\Z"))
def test_no_server_sees_dot_segments(path):
    """However a server decodes and splits what goes on, it finds no dot segment."""
    if not has_dot_segments(path.encode()):
        decoded = path.replace("%2e", ".").replace("%2f", "/").replace("\\", "/")
        assert not {".", ".."} & {each.partition(";")[0] for each in decoded.split("/")}


@pytest.mark.parametrize(
    ("prefix", "target", "joined"),
    [
        (b"", b"/a", b"/a"),
        (b"/api", b"/a", b"/api/a"),
        (b"/api", b"/", b"/api/"),
        (b"/api", b"*", b"*"),
        (b"", b"*", b"*"),
        (b"/api", b"", b"/api/"),
        (b"", b"?q", b"/?q"),
    ],
)
def test_join(prefix, target, joined):
    """The prefix of an upstream's URL is put before the path, and `OPTIONS *` is left alone."""
    assert join(prefix, target) == joined
