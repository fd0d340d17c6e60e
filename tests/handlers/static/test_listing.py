"""The page that lists a folder."""

from __future__ import annotations

import os
from html.parser import HTMLParser

import pytest

from mynet.handlers.static import listing as module
from mynet.handlers.static.listing import Entry, listing, read_folder
from mynet.http.message import Response


class Links(HTMLParser):
    """The links of a page, and their texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[list[str]] = []
        self._within = False
        self.tags: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self._within = tag == "a"
        if tag == "a":
            self.links.append([dict(attributes)["href"], ""])

    def handle_endtag(self, tag):
        self._within = False

    def handle_data(self, data):
        if self._within:
            self.links[-1][1] += data


def page_of(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def links_of(response):
    return Links(page_of(response)).links


def read(folder, is_shown=lambda name: True, resolve=os.stat):
    return read_folder(str(folder), is_shown, resolve)


def names_of(entries):
    return [entry.name for entry in entries]


def test_what_is_read(tmp_path):
    """Folders come first, then files, each by name whatever the case."""
    for name in ("b.txt", "A.txt", "c"):
        (tmp_path / name).write_bytes(b"12345")
    for name in ("z", "Y"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "c", (0, 784111777))
    entries, incomplete = read(tmp_path)
    assert names_of(entries) == ["Y", "z", "A.txt", "b.txt", "c"]
    assert [entry.is_folder for entry in entries] == [True, True, False, False, False]
    assert entries[-1] == Entry("c", False, 5, 784111777)
    assert not incomplete


def test_what_is_not_shown(tmp_path):
    """What is never served is not listed: what is hidden, special, or outside."""
    for name in (".env", "a.txt", "link", "out"):
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "inside.txt").symlink_to("a.txt")
    (tmp_path / "outside.txt").symlink_to("/etc/passwd")

    def resolve(name):
        if name == "outside.txt":
            raise FileNotFoundError(name)
        return os.stat(tmp_path / name)

    entries, _ = read(tmp_path, lambda name: not name.startswith("."), resolve)
    assert names_of(entries) == ["a.txt", "inside.txt", "link", "out"]


def test_very_many(tmp_path, monkeypatch):
    """Of a folder with very many files a page tells some, and that there are more."""
    monkeypatch.setattr(module, "LISTED", 5)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(b"")
    assert read(tmp_path)[1] is False
    (tmp_path / ".hidden").write_bytes(b"")
    assert read(tmp_path, lambda name: name[0] != ".")[1] is False
    (tmp_path / "5.txt").write_bytes(b"")
    entries, incomplete = read(tmp_path)
    assert (len(entries), incomplete) == (5, True)
    assert b"There are more than these 5" in page_of(listing((), entries, True))


def test_the_page():
    """The page has a link for each entry, and one upwards but at the top."""
    entries = [Entry("sub", True, 4096, 0), Entry("a.txt", False, 1536, 784111777)]
    response = listing(("x", "y"), entries, False)
    assert links_of(response) == [["../", "../"], ["./sub/", "sub/"], ["./a.txt", "a.txt"]]
    assert b"<title>/x/y/</title>" in page_of(response)
    assert b"1.5 KiB" in page_of(response)
    assert b"1994-11-06 08:49" in page_of(response)
    assert b"4.0 KiB" not in page_of(response)
    assert links_of(listing((), entries, False))[0] == ["./sub/", "sub/"]
    assert b"There are more" not in page_of(response)
    assert response.content_type == "text/html; charset=utf-8"


def test_the_page_may_do_nothing():
    """The page has no scripts, and could have none; it is not kept without asking."""
    response = listing((), [], False)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-cache"
    assert Links(page_of(response)).tags.isdisjoint({"script", "img", "link"})


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("a b.txt", "./a%20b.txt"),
        ("<script>alert(1)</script>", "./%3Cscript%3Ealert%281%29%3C%2Fscript%3E"),
        ('" onclick="x', "./%22%20onclick%3D%22x"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("a?b#c%d", "./a%3Fb%23c%25d"),
        ("é", "./%C3%A9"),
        ("&amp;", "./%26amp%3B"),
    ],
)
def test_odd_names(name, link):
    """A name is never markup, nor anything else in a link but the name."""
    response = listing((name,), [Entry(name, False, 0, 0)], False)
    assert links_of(response)[-1] == [link, name]
    assert Links(page_of(response)).tags.isdisjoint({"script"})


def test_names_that_are_not_unicode():
    """A file whose name is not Unicode has a link, and some text."""
    name = os.fsdecode(b"\xff.txt")
    response = listing((name,), [Entry(name, False, 0, 0)], False)
    assert links_of(response)[-1] == ["./%FF.txt", "�.txt"]


@pytest.mark.parametrize(
    ("modified", "text"),
    [
        (784111777.5, "1994-11-06 08:49"), (-5.0, "1970-01-01 00:00"),
        (253402300799.0, "9999-12-31 23:59"), (2.0**60, ""), (2.0**70, ""),
    ],
)  # fmt: skip
def test_times(modified, text):
    """A file with a time that no calendar has is listed without one."""
    page = page_of(listing((), [Entry("a", False, 0, modified)], False))
    assert f"<td>0 B<td>{text}\n".encode() in page


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**2, "5.0 MiB"),
        (3 * 1024**3, "3.0 GiB"), (7 * 1024**4, "7.0 TiB"), (7000 * 1024**4, "7000.0 TiB"),
    ],
)  # fmt: skip
def test_sizes(size, text):
    """Sizes are told in units that people can read."""
    assert f"<td>{text}<td>".encode() in page_of(listing((), [Entry("a", False, size, 0)], False))
