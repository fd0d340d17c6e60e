"""What is said of a file."""

from __future__ import annotations

import os
from time import time

import pytest

from mynet.handlers.static.representation import SETTLING, mark_of, represent
from tests.handlers.static.changing import rewrite


@pytest.fixture
def path(tmp_path):
    """Of a file that was written just now, of which some time ago is said."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    os.utime(path, (0, 784111777.5))
    return path


def tell(path, now=None, coding=None, more=()):
    return represent(os.stat(path), now or time() + 60, "text/plain", coding, list(more))


def test_the_fields(path):
    """A client is told the type, the state, when it was modified, and that it may have parts."""
    found = tell(path)
    assert list(found.fields) == [
        (b"Content-Type", b"text/plain"),
        (b"ETag", found.validators.etag),
        (b"Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"Accept-Ranges", b"bytes"),
    ]
    assert (found.size, found.content_type) == (5, b"text/plain")
    assert found.validators.modified == 784111777


def test_other_fields(path):
    """Whoever caches it is told how it is compressed, what it depends on, and for how long."""
    more = [(b"Vary", b"Accept-Encoding"), (b"Cache-Control", b"no-cache")]
    found = tell(path, coding="br", more=more)
    assert (b"Content-Encoding", b"br") in found.fields
    assert list(found.fields[-2:]) == more
    etag = (b"ETag", found.validators.etag)
    assert list(found.not_modified_fields) == [etag, *more]


def test_the_type_of_parts(path):
    """Several parts of a file are of another type, and all else is as for the whole."""
    found = tell(path)
    fields = found.part_fields(b"multipart/byteranges")
    assert fields[0] == (b"Content-Type", b"multipart/byteranges")
    assert fields[1:] == list(found.fields[1:])


def test_a_file_that_was_changed_just_now(path):
    """A file may change again without a new time: its tag is weak, and Last-Modified not told."""
    now = time()
    os.utime(path, (now, now))
    found = tell(path, now)
    assert found.validators.etag.startswith(b'W/"')
    assert found.validators.modified is None
    assert b"Last-Modified" not in dict(found.fields)
    assert not found.settled


def test_a_file_of_which_an_old_time_is_said(path):
    """What was written just now is new, whatever its time was set to."""
    found = tell(path, time())
    assert found.validators.etag.startswith(b'W/"')
    assert not found.settled


def test_a_file_that_has_settled(path):
    """Later its tag is strong, and another: it may have changed unseen before."""
    new, old = tell(path, time()), tell(path)
    assert old.validators.etag.startswith(b'"')
    assert new.validators.etag.removeprefix(b"W/") != old.validators.etag
    assert old.settled


@pytest.mark.parametrize("modified", [-5, 2**33, 253402300800])
def test_times_that_cannot_be(path, modified):
    """No Last-Modified is before 1970, or in the future (RFC 9110 section 8.8.2.1)."""
    os.utime(path, (0, modified))
    assert tell(path).validators.modified is None


def test_tags_differ(path, tmp_path):
    """Each change of a file, and each file, has its own tag, which tells nothing else."""
    tags = {tell(path).validators.etag}
    rewrite(path, b"olleh")
    tags.add(tell(path).validators.etag)
    (tmp_path / "b.txt").write_bytes(b"olleh")
    os.utime(tmp_path / "b.txt", (0, 784111777.5))
    (tmp_path / "b.txt").rename(path)
    tags.add(tell(path).validators.etag)
    path.write_bytes(b"longer")
    tags.add(tell(path).validators.etag)
    assert len(tags) == 4
    assert all(len(tag) == 20 for tag in tags)
    assert mark_of(os.stat(path)) == mark_of(os.stat(path))


@pytest.mark.parametrize("changed", ["inode", "device", "size", "modified", "status"])
def test_whatever_differs_is_another_state(changed):
    """One of the things that the system tells is enough to see that a file is another."""
    assert mark_of(told()) == mark_of(told())
    assert mark_of(told(**{changed: 1})) != mark_of(told())


def told(inode=0, device=0, size=0, modified=0, status=0):
    times = {"st_mtime_ns": modified, "st_ctime_ns": status}
    return os.stat_result((0, inode, device, 0, 0, 0, size, 0, 0, 0), times)


def test_settling():
    """The grain of the clocks of file systems is two seconds at most."""
    assert SETTLING == 2
