"""`wsgi.file_wrapper`, by itself: what it gives, and which files the system may send."""

from __future__ import annotations

import gzip
import io
import os

import pytest

from mynet.handlers.wsgi.files import FileWrapper, SentFile, regular_file, rest_of


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_iteration():
    """It gives a file in blocks of the size that is asked for."""
    assert list(FileWrapper(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]


def test_default_size():
    """It may be made of a file alone."""
    assert list(FileWrapper(io.BytesIO(b"a" * 10000))) == [b"a" * 8192, b"a" * 1808]


def test_close():
    """Closing it closes what it wraps."""
    file = io.BytesIO()
    FileWrapper(file).close()
    assert file.closed


def test_close_its_iterator():
    """Closing its iterator does so, too: middleware may have nothing else."""
    file = io.BytesIO()
    iter(FileWrapper(file)).close()
    assert file.closed


def test_close_what_cannot_be_closed():
    """What it wraps needs only `read`."""

    class Readable:
        def read(self, size):
            return b""

    wrapper = FileWrapper(Readable())
    assert list(wrapper) == []
    wrapper.close()


@pytest.mark.parametrize(("mode", "buffering"), [("rb", -1), ("rb", 0), ("r+b", -1)])
def test_regular_file(path, mode, buffering):
    """An open file on disk is one that the system may send."""
    with open(path, mode, buffering) as file:
        assert regular_file(file) is file


def test_text_file(path):
    """A file of text is not one of bytes."""
    with path.open() as file:
        assert regular_file(file) is None


def test_unpacked_file(tmp_path):
    """What gives other bytes than the file has must be read, though there is a descriptor."""
    with gzip.open(tmp_path / "file.gz", "wb") as file:
        file.write(b"abc")
    with gzip.open(tmp_path / "file.gz") as file:
        assert file.fileno() > 0
        assert regular_file(file) is None


def test_pipe():
    """A pipe has no length."""
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as file:
        assert regular_file(file) is None


@pytest.mark.parametrize("make", [io.BytesIO, object])
def test_no_file(make):
    """What is in memory has no descriptor."""
    assert regular_file(make()) is None


def test_rest(path):
    """A file is sent from where it stands, also where more of it has been read ahead."""
    with path.open("rb") as file:
        file.read(3)
        assert rest_of(file) == (3, 7)
        file.seek(20)
        assert rest_of(file) == (20, 0)


def test_closing_is_for_the_application(path):
    """What the server does to close such a file is told to whoever wants to do that."""
    calls = []
    with path.open("rb") as file:
        sent = SentFile(file, 2, 3, lambda: calls.append("close"))
        assert (sent.offset, sent.length) == (2, 3)
        sent.close()
        assert calls == ["close"]
        assert not file.closed
