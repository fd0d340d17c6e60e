"""From the path of a URL to names."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.handlers.static.names import Names, is_allowed, is_windows_trap, read_names


@pytest.mark.parametrize(
    ("path", "names", "is_folder"),
    [
        (b"/", (), True),
        (b"/a", ("a",), False),
        (b"/a/", ("a",), True),
        (b"/a/b.txt", ("a", "b.txt"), False),
        (b"/a%20b", ("a b",), False),
        (b"/a%2Eb", ("a.b",), False),
        (b"/%C3%A9", ("é",), False),
        (b"/\xc3\xa9", ("é",), False),
        (b"/a..b/c..", ("a..b", "c.."), False),
        (b"/100%", ("100%",), False),
        (b"/a%252e", ("a%2e",), False),
        (b"/...", None, False),
    ],
)
def test_what_paths_mean(path, names, is_folder):
    """A path is names with slashes between them, each percent-encoded once."""
    assert read_names(path) == (None if names is None else Names(names, is_folder))


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"a",
        b"//",
        b"//evil.test",
        b"//evil.test/%2e%2e",
        b"/a//b",
        b"/..",
        b"/../a",
        b"/a/../b",
        b"/a/..",
        b"/.",
        b"/./a",
        b"/%2e%2e/a",
        b"/%2E./a",
        b"/.%2e",
        b"/%2e",
        b"/..%2fa",
        b"/%2e%2e%2fa",
        b"/a%2fb",
        b"/%2fetc%2fpasswd",
        b"/..%5ca",
        b"/a\\b",
        b"/..\\a",
        b"/a%00.txt",
        b"/a\0",
        b"/%00",
    ],
)
@pytest.mark.parametrize("dotfiles", [False, True])
def test_what_no_path_means(path, dotfiles):
    """Nothing leads upwards, to the root of the system, or around a check, however written."""
    assert read_names(path, dotfiles) is None


@pytest.mark.parametrize("path", [b"/.git/config", b"/.env", b"/a/.htpasswd", b"/%2egit", b"/.a/"])
def test_names_with_a_dot_in_front(path):
    """What is hidden is not there, unless that is asked for."""
    assert read_names(path) is None
    assert read_names(path, True) is not None


def test_some_names_with_a_dot_in_front():
    """`/.well-known` can be served without all else that is hidden."""
    assert read_names(b"/.well-known/a", {".well-known"}) == Names((".well-known", "a"), False)
    assert read_names(b"/.well-known/.a", {".well-known"}) is None
    assert read_names(b"/.", {"."}) is None


@pytest.mark.parametrize(
    "name",
    ["con", "NUL", "aux.txt", "com1", "LPT9.tar.gz", "com¹", "CONIN$", "nul .txt",
     "a.txt:stream", "a.txt.", "a.txt ", "PROGRA~1"],
)  # fmt: skip
def test_names_that_windows_takes_for_others(name):
    """On Windows no name is a device, a stream, or another name for a file."""
    assert is_windows_trap(name)
    assert not is_allowed(name, dotfiles=True, windows=True)
    assert is_allowed(name, dotfiles=True, windows=False)


@pytest.mark.parametrize("name", ["console", "com", "com10", "null", "a.con", "a.b.txt", "é"])
def test_names_that_windows_takes_for_what_they_are(name):
    """And all others are served there, too."""
    assert is_allowed(name, dotfiles=False, windows=True)


@given(st.lists(st.binary(min_size=1).filter(lambda name: not set(name) & set(b"/\\\0"))))
def test_any_name_that_a_file_can_have(names):
    """A file of any name, in Unicode or not, can be asked for."""
    expected = tuple(map(os.fsdecode, names))
    allowed = not any(name in (".", "..") for name in expected)
    path = b"/" + "/".join(map(quote_from_bytes, names)).encode()
    found = read_names(path, dotfiles=True)
    assert found == (Names(expected, not names) if allowed else None)


@given(st.binary().map(lambda path: b"/" + path))
def test_whatever_is_sent(path):
    """Whatever a client makes up, what comes of it leads nowhere but down."""
    found = read_names(path, dotfiles=True)
    for name in () if found is None else found.names:
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\\0")
