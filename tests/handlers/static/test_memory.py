"""Small files that are kept in memory."""

from __future__ import annotations

import os
from time import time

import pytest

from mynet.handlers.static.memory import KNOWN, Kept, Memory
from mynet.handlers.static.representation import mark_of, represent
from tests.handlers.static.changing import rewrite


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    return path


def read(path, body=None):
    status = os.stat(path)
    found = represent(status, time() + 60, "text/plain", None, [])
    return Kept(str(path), mark_of(status), path.read_bytes() if body is None else body, found)


def test_what_is_kept(path):
    """What was read is there again, as long as it is known what there is."""
    memory, kept = Memory(), read(path)
    assert memory.find(b"/a", "", 0) is None
    memory.keep(b"/a", (), None, kept, 0)
    assert memory.find(b"/a", "gzip", 0) is kept
    assert memory.find(b"/b", "gzip", 0) is None
    assert memory.find(b"/a", "gzip", KNOWN / 2) is kept
    assert memory.find(b"/a", "gzip", KNOWN) is None


def test_what_is_kept_of_each_form(path):
    """Each client has the form that it likes best, if that is kept."""
    memory, plain, small = Memory(), read(path), read(path, b"h")
    memory.keep(b"/a", ("gzip",), None, plain, 0)
    assert memory.find(b"/a", "gzip", 0) is None
    memory.keep(b"/a", ("gzip",), "gzip", small, 0)
    assert memory.find(b"/a", "gzip", 0) is small
    assert memory.find(b"/a", "br", 0) is plain


def test_another_form(path):
    """Once there is another compressed form, all is looked at anew."""
    memory, kept = Memory(), read(path)
    memory.keep(b"/a", (), None, kept, 0)
    memory.keep(b"/a", ("gzip",), "gzip", kept, 0)
    assert memory.find(b"/a", "", 0) is None
    assert memory.find(b"/a", "gzip", 0) is kept


@pytest.mark.parametrize("change", ["write", "append", "touch", "replace", "remove"])
def test_a_file_that_changes(path, change):
    """What has changed in any way is not sent as it was."""
    memory = Memory()
    memory.keep(b"/a", (), None, read(path), 0)
    old = os.stat(path)
    if change == "write":
        rewrite(path, b"olleh")
    elif change == "append":
        with path.open("ab") as file:
            file.write(b"!")
    elif change == "touch":
        os.utime(path, (1, 1))
    elif change == "replace":
        other = path.with_name("b.txt")
        other.write_bytes(b"olleh")
        os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
        other.rename(path)
    else:
        path.unlink()
    assert memory.find(b"/a", "", 0) is None


def test_a_file_that_is_replaced_by_a_link(path, tmp_path):
    """A link to another file is another file."""
    memory = Memory()
    memory.keep(b"/a", (), None, read(path), 0)
    (tmp_path / "b.txt").write_bytes(b"hello")
    path.unlink()
    path.symlink_to("b.txt")
    assert memory.find(b"/a", "", 0) is None


def test_no_more_is_kept_than_may_be(path):
    """Many files are kept in no more memory than there may be; the last of them remain."""
    memory = Memory(total=100_000)
    kept = read(path, b"x" * 5000)
    for number in range(100):
        memory.keep(b"/%d" % number, (), None, kept, 0)
        assert memory.size <= 100_000
    found = [number for number in range(100) if memory.find(b"/%d" % number, "", 0)]
    assert found == list(range(100 - len(found), 100))
    assert 10 <= len(found) <= 20


def test_long_paths_count(path):
    """What it costs to remember a long path is counted, too."""
    memory, kept = Memory(total=100_000), read(path)
    for number in range(100):
        memory.keep(b"/%d" % number + b"x" * 8000, (), None, kept, 0)
    assert len([n for n in range(100) if memory.find(b"/%d" % n + b"x" * 8000, "", 0)]) <= 12


def test_what_is_too_large(path):
    """What is larger than all that may be kept is not, and drives out all else."""
    memory = Memory(total=100_000)
    memory.keep(b"/a", (), None, read(path, b"x" * 100_000), 0)
    assert memory.find(b"/a", "", 0) is None
    assert memory.size == 0


def test_what_is_kept_again(path):
    """A file that is read again counts once, however often, and in each of its forms."""
    memory, kept = Memory(), read(path)
    memory.keep(b"/a", ("gzip",), None, kept, 0)
    once = memory.size
    memory.keep(b"/a", ("gzip",), None, kept, 0)
    assert memory.size == once
    memory.keep(b"/a", ("gzip",), "gzip", kept, 0)
    assert memory.size == 2 * once
    memory.keep(b"/a", ("gzip",), None, kept, KNOWN)
    assert memory.size == once
