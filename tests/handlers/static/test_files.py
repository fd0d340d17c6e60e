"""A folder's files as a Handler."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mynet import App
from mynet.handlers.static import IMMUTABLE, StaticFiles, files, memory
from mynet.http.errors import HTTPError
from mynet.http.file import FileBody, read_resident
from mynet.http.message import Request, Response
from mynet.testing import Answer, Client, make_request, result_of
from tests.handlers.static.changing import rewrite

pytestmark = pytest.mark.usefixtures("settled")

OLD = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site, with something secret beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    (root / "docs" / "empty").mkdir(parents=True)
    write(root / "index.html", b"<h1>Home</h1>")
    write(root / "a.txt", b"0123456789")
    write(root / "docs" / "index.html", b"<h1>Docs</h1>")
    write(root / "docs" / "b.txt", b"b")
    write(root / ".env", b"secret")
    write(root / "large.bin", bytes(range(256)) * 4096)
    return root


def write(path: Path, data: bytes, modified: float = OLD) -> None:
    path.write_bytes(data)
    os.utime(path, (modified, modified))


def ask(handler: Any, target: str, method: str = "GET", **headers: str) -> Answer:
    """One client's request; `if_range` is the field If-Range."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return result_of(Client(handler).request(method, target, headers=fields))


# Files


@pytest.mark.parametrize(
    ("target", "body", "content_type"),
    [
        ("/a.txt", b"0123456789", "text/plain; charset=utf-8"),
        ("/%61.txt", b"0123456789", "text/plain; charset=utf-8"),
        ("/a.txt?v=1", b"0123456789", "text/plain; charset=utf-8"),
        ("/", b"<h1>Home</h1>", "text/html; charset=utf-8"),
        ("/docs/", b"<h1>Docs</h1>", "text/html; charset=utf-8"),
        ("/docs/b.txt", b"b", "text/plain; charset=utf-8"),
        ("/large.bin", bytes(range(256)) * 4096, "application/octet-stream"),
    ],
)
def test_files(root, target, body, content_type):
    """Each file is sent, with its type and its state, the second time as the first."""
    site = StaticFiles(root)
    for _ in range(2):
        answer = ask(site, target)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Last-Modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert "Vary" not in answer.headers
        assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize("target", ["/a.txt", "/large.bin", "/docs/"])
def test_head(root, target):
    """HEAD is answered as GET is, but for the body."""
    site = StaticFiles(root)
    for _ in range(2):
        head, answer = ask(site, target, "HEAD"), ask(site, target)
        assert (head.status, head.body) == (200, b"")
        assert head.headers == answer.headers


def test_an_empty_file(root):
    """A file may be empty."""
    write(root / "empty.txt", b"")
    answer = ask(StaticFiles(root), "/empty.txt")
    assert (answer.status, answer.body) == (200, b"")
    assert ask(StaticFiles(root), "/empty.txt", range="bytes=0-").status == 416
    assert ask(StaticFiles(root), "/empty.txt", range="bytes=-1").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(root, method):
    """Files are to be read; a client is told so."""
    answer = ask(StaticFiles(root), "/a.txt", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_the_root_is_a_file(root):
    """One file may be the answer to a route, or to all below a prefix."""
    app = App()
    favicon = StaticFiles(root / "a.txt")
    app.get("/favicon.ico")(favicon)
    app.mount("/all", favicon)
    for target in ("/favicon.ico", "/all/", "/all/x/y", "/all/x/"):
        assert ask(app, target).body == b"0123456789"


def test_content_types(root):
    """A site may know better what is in its files."""
    write(root / "a.log", b"")
    site = StaticFiles(root, content_types={".LOG": "text/x-log", ".txt": "text/plain; charset=x"})
    assert ask(site, "/a.log").headers["Content-Type"] == "text/x-log; charset=utf-8"
    assert ask(site, "/a.txt").headers["Content-Type"] == "text/plain; charset=x"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\0", "\u20ac"])
def test_fields_that_cannot_be_sent(root, value):
    """What cannot stand in a field is refused when the site is made, not when it is asked for."""
    with pytest.raises(ValueError, match="not a valid header field"):
        StaticFiles(root, cache_control=value)
    with pytest.raises(ValueError, match="not a valid header field"):
        StaticFiles(root, content_types={".txt": value})


def test_cache_control_of_all(root):
    """How long a file may be kept can be said of all."""
    site = StaticFiles(root, cache_control="no-cache")
    assert ask(site, "/a.txt").headers["Cache-Control"] == "no-cache"
    assert ask(site, "/").headers["Cache-Control"] == "no-cache"


def test_cache_control_by_pattern(root):
    """It can be said of some, of which the first pattern counts that fits; also in a 304."""
    patterns = {"docs/*": IMMUTABLE, "*.html": "no-cache", "d*": "private"}
    site = StaticFiles(root, cache_control=patterns)
    answer = ask(site, "/docs/b.txt")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = ask(site, "/docs/b.txt", if_none_match=answer.headers["ETag"])
    assert (again.status, again.headers["Cache-Control"]) == (304, IMMUTABLE)
    assert ask(site, "/docs/").headers["Cache-Control"] == IMMUTABLE
    assert ask(site, "/").headers["Cache-Control"] == "no-cache"
    assert "Cache-Control" not in ask(site, "/a.txt").headers


# What is not there


@pytest.mark.parametrize(
    "target",
    [
        "/no.txt", "/a.txt/", "/a.txt/b", "/no/", "/docs/no.txt", "/docs/empty/", "/A.TXT",
        "/.env", "/%2eenv", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
        "/..%5csecret.txt", "/docs/../../secret.txt", "/docs/%2e%2e/%2e%2e/secret.txt",
        "/a.txt%00", "/a.txt%00.html", "/%2fetc%2fpasswd", "//etc/passwd", "/" + "x" * 300,
        "/" + "x/" * 2000, "/%ff", "*",
    ],
)  # fmt: skip
def test_what_is_not_there(root, target):
    """What is not there, hidden, or elsewhere is 404, and nothing in the answer tells which."""
    answer = ask(StaticFiles(root, listing=False), target)
    assert answer.status == 404
    assert answer.text == "404 Not Found\n"


def test_hidden_files(root):
    """Names with a dot in front are served where that is asked for."""
    assert ask(StaticFiles(root, dotfiles=True), "/.env").body == b"secret"
    (root / ".well-known").mkdir()
    write(root / ".well-known" / "security.txt", b"x")
    (root / ".well").write_bytes(b"secret")
    for site in (
        StaticFiles(root, dotfiles=".well-known"),
        StaticFiles(root, dotfiles=[".well-known"]),
    ):
        assert ask(site, "/.well-known/security.txt").status == 200
        assert ask(site, "/.env").status == 404
        assert ask(site, "/.well").status == 404


def test_links(root):
    """Links inside are followed; links that lead out are where that is allowed."""
    (root / "in.txt").symlink_to("a.txt")
    (root / "out.txt").symlink_to("../secret.txt")
    (root / "out").symlink_to("..")
    assert ask(StaticFiles(root), "/in.txt").body == b"0123456789"
    for target in ("/out.txt", "/out/secret.txt", "/out", "/out/"):
        assert ask(StaticFiles(root), target).status == 404
    site = StaticFiles(root, follow_symlinks=True)
    assert ask(site, "/out.txt").text == "secret"
    assert ask(site, "/out/secret.txt").text == "secret"


def test_a_file_that_becomes_a_link(root):
    """A file that was sent, and is kept in memory, protects no link that takes its place."""
    site = StaticFiles(root)
    assert ask(site, "/a.txt").status == 200
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to("../secret.txt")
    assert ask(site, "/a.txt").status == 404


def test_special_files(root):
    """A pipe that nobody writes to holds nobody up."""
    os.mkfifo(root / "pipe")
    assert ask(StaticFiles(root), "/pipe").status == 404


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EACCES, 403), (errno.EPERM, 403), (errno.EMFILE, 503), (errno.ENFILE, 503)],
)
def test_what_the_system_refuses(root, monkeypatch, number, status):
    """What the server itself may not read is forbidden; having too much open is its own trouble."""

    def refuse(*args: Any, **named: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    answer = ask(StaticFiles(root), "/a.txt")
    assert answer.status == status
    assert os.strerror(number) not in answer.text


def test_what_is_wrong_with_the_system(root, monkeypatch):
    """A disk that fails is an error, which is logged with all that is known, and no 404."""

    def fail(*args: Any, **named: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        ask(StaticFiles(root), "/a.txt")


def test_starting_without_a_folder(root):
    """A site whose folder is not there does not start; one that is there does."""
    StaticFiles(root).start()
    StaticFiles(root / "a.txt").start()
    os.mkfifo(root / "pipe")
    for name in ("no", "pipe"):
        with pytest.raises(FileNotFoundError, match=f"{name}'"):
            StaticFiles(root / name).start()
    app = App()
    app.mount("/", StaticFiles(root / "no"))
    with pytest.raises(FileNotFoundError):
        result_of(Deferred.fromCoroutine(app.start()))
    assert repr(StaticFiles(root)) == f"<StaticFiles {root}>"


# Folders


def test_a_folder_has_a_slash(root):
    """A folder's page is sent with a slash behind its path, so that its links lead right."""
    answer = ask(StaticFiles(root), "/docs?a=1&b=2")
    assert answer.status == 307
    assert answer.headers["Location"] == "/docs/?a=1&b=2"


def test_a_folder_of_what_is_mounted(root):
    """The same where the folder is below a prefix."""
    app = App()
    app.mount("/static", StaticFiles(root))
    assert ask(app, "/static/docs").headers["Location"] == "/static/docs/"
    assert ask(app, "/static/docs/").status == 200
    assert ask(app, "/static/../secret.txt").status == 404


@pytest.mark.parametrize("root_path", ["", "/", "//evil.test", "/x"])
@pytest.mark.parametrize(
    "target", ["/docs", "//docs", "//evil.test/%2e%2e", "/\\evil.test", "/%5cdocs"]
)
def test_no_other_host(root, root_path, target):
    """Nobody is sent to another host, however the path is written."""
    request = make_request("GET", target)
    request.root_path = root_path
    try:
        response = StaticFiles(root)(request)
    except HTTPError:
        return
    assert isinstance(response, Response)
    assert re.match(r"/[^/\\]", response.headers["Location"])


def test_other_indexes(root):
    """The files that stand for a folder may have other names; the first that there is counts."""
    write(root / "docs" / "default.htm", b"default")
    site = StaticFiles(root, index=("empty", "home.htm", "default.htm", "index.html"))
    assert ask(site, "/docs/").body == b"default"
    assert ask(StaticFiles(root, index="default.htm"), "/docs/").body == b"default"
    assert ask(StaticFiles(root, index=()), "/docs/").status == 404


def test_a_new_index(root):
    """An index that comes before another is noticed after a second."""
    client = Client(StaticFiles(root, index=("index.htm", "index.html")))
    assert result_of(client.get("/")).body == b"<h1>Home</h1>"
    write(root / "index.htm", b"new")
    client.advance(1)
    assert result_of(client.get("/")).body == b"new"


@pytest_twisted.ensureDeferred
async def test_no_listing(root):
    """What is in a folder is nobody's business."""
    assert (await Client(StaticFiles(root)).get("/docs/empty/")).status == 404


@pytest_twisted.ensureDeferred
async def test_listing(root):
    """Where that is asked for a folder without an index is listed, and only what is served."""
    (root / "docs" / "index.html").unlink()
    (root / "docs" / ".hidden").write_bytes(b"")
    (root / "docs" / "a\\b").write_bytes(b"")
    (root / "docs" / "in").symlink_to("../a.txt")
    (root / "docs" / "out").symlink_to("../../secret.txt")
    client = Client(StaticFiles(root, listing=True))
    answer = await client.get("/docs/")
    assert answer.status == 200
    links = re.findall('href="([^"]*)"', answer.text)
    assert links == ["../", "./empty/", "./b.txt", "./in"]
    for link in links[1:]:
        assert (await client.get(f"/docs/{link[2:]}")).status == 200
    assert (await client.get("/")).body == b"<h1>Home</h1>"


@pytest_twisted.ensureDeferred
async def test_listing_the_root(root):
    """At the top there is nothing above."""
    (root / "index.html").unlink()
    answer = await Client(StaticFiles(root, listing=True)).get("/")
    assert re.findall('href="([^"]*)"', answer.text) == ["./docs/", "./a.txt", "./large.bin"]


@pytest_twisted.ensureDeferred
async def test_listing_that_the_system_refuses(root, monkeypatch):
    """A folder that cannot be read right now is answered as a file is."""

    def refuse(*args: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(files, "read_folder", refuse)
    answer = await Client(StaticFiles(root, listing=True)).get("/docs/empty/")
    assert answer.status == 503


def test_fallback(root):
    """A page that does its own routing is the answer to what is no file."""
    site = StaticFiles(root, fallback="index.html")
    for target in ("/users/5", "/users/", "/about", "/docs/empty/"):
        assert ask(site, target).body == b"<h1>Home</h1>"
    for target in ("/no.js", "/docs/no.css", "/../x", "/.env"):
        assert ask(site, target).status == 404
    assert ask(site, "/a.txt").body == b"0123456789"
    assert ask(StaticFiles(root, fallback="/docs/index.html"), "/x").body == b"<h1>Docs</h1>"
    assert ask(StaticFiles(root, fallback="no.html"), "/x").status == 404


# What the client has already


@pytest.mark.parametrize("target", ["/a.txt", "/large.bin"])
def test_conditions(root, target):
    """Who has a file gets it again only when it has changed."""
    site = StaticFiles(root)
    etag, date = (ask(site, target).headers[name] for name in ("ETag", "Last-Modified"))
    for method in ("GET", "HEAD"):
        for fields in ({"if_none_match": etag}, {"if_modified_since": date}):
            answer = ask(site, target, method, **fields)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers == {"ETag": etag}
    assert ask(site, target, if_match='"x"').status == 412
    assert ask(site, target, if_unmodified_since="Sun, 06 Nov 1994 08:49:36 GMT").status == 412
    assert ask(site, target, if_match=etag).status == 200
    rewrite(root / target[1:], b"changed")
    answer = ask(site, target, if_none_match=etag)
    assert (answer.status, answer.body) == (200, b"changed")


def test_a_file_that_was_written_just_now(root, monkeypatch):
    """What may change again unseen is never taken from memory, and its tag is weak."""
    monkeypatch.undo()
    site = StaticFiles(root)
    answer = ask(site, "/a.txt")
    assert answer.headers["ETag"].startswith('W/"')
    assert ask(site, "/a.txt", if_none_match=answer.headers["ETag"]).status == 304
    assert ask(site, "/a.txt", if_match=answer.headers["ETag"]).status == 412
    write(root / "a.txt", b"9876543210")
    assert ask(site, "/a.txt").body == b"9876543210"


def test_a_clock_of_the_system_that_is_slow(root, monkeypatch):
    """A file that changes without any sign of it is sent as it is as long as that may happen."""
    monkeypatch.undo()
    for module in (files, memory):
        monkeypatch.setattr(module, "mark_of", lambda status: (0, 0, 0, 0, 0))
    site = StaticFiles(root)
    for data in (b"9876543210", b"0123456789"):
        write(root / "a.txt", data)
        assert ask(site, "/a.txt").body == data


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_file_that_is_replaced(root, size):
    """From the moment a file is replaced the new one is sent, and only that."""
    site = StaticFiles(root)
    for number in range(20):
        write(root / "new", b"%d" % (number % 10) * size)
        (root / "new").rename(root / "a.txt")
        for _ in range(2):
            assert ask(site, "/a.txt").body == b"%d" % (number % 10) * size


def test_a_file_that_is_removed(root):
    """What is removed is gone at once; and what is there again is."""
    site = StaticFiles(root)
    assert ask(site, "/a.txt").status == 200
    (root / "a.txt").unlink()
    assert ask(site, "/a.txt").status == 404
    write(root / "a.txt", b"new")
    assert ask(site, "/a.txt").body == b"new"


def test_a_file_that_becomes_longer_while_it_is_read(root, monkeypatch):
    """What was promised is sent."""
    write(root / "a.txt", b"0123456789")
    original = read_resident

    def read(file, offset, size):
        data = original(file, offset, size)
        with (root / "a.txt").open("ab") as other:
            other.write(b"more")
        return data

    monkeypatch.setattr(files, "read_resident", read)
    assert ask(StaticFiles(root), "/a.txt").body == b"0123456789more"


def test_a_large_file_that_becomes_longer(root):
    """Of a file that grows while it is sent what was promised is sent."""

    def handler(request: Request) -> Any:
        response = StaticFiles(root)(request)
        with (root / "large.bin").open("ab") as other:
            other.write(b"more")
        return response

    assert ask(handler, "/large.bin").body == bytes(range(256)) * 4096


def test_a_large_file_that_becomes_shorter(root):
    """A file that shrinks while it is sent is broken off: nothing looks complete that is not."""

    def handler(request: Request) -> Any:
        response = StaticFiles(root)(request)
        os.truncate(root / "large.bin", 1000)
        return response

    with pytest.raises(ValueError, match="Content-Length"):
        ask(handler, "/large.bin")


def test_without_memory(root, monkeypatch):
    """Who has little memory has each file read each time."""
    reads = []

    def read(file, offset, size):
        reads.append(size)
        return read_resident(file, offset, size)

    monkeypatch.setattr(files, "read_resident", read)
    for size, expected in ((1_000_000, [10]), (0, [10, 10])):
        site = StaticFiles(root, memory=size)
        assert [ask(site, "/a.txt").body for _ in range(2)] == [b"0123456789"] * 2
        assert reads == expected
        reads.clear()


def test_middleware_may_change_a_response(root):
    """What middleware does to one response it has done to no other."""
    site = StaticFiles(root)

    def handler(request: Request) -> Any:
        response = site(request)
        assert isinstance(response, Response)
        assert "X-Seen" not in response.headers
        response.headers["X-Seen"] = "yes"
        return response

    for _ in range(3):
        assert ask(handler, "/a.txt").headers["X-Seen"] == "yes"


def test_what_does_not_fit_in_the_cache_of_the_system(root, monkeypatch):
    """What would have to be fetched from a disk is not waited for."""
    monkeypatch.setattr(files, "read_resident", lambda file, offset, size: None)
    response = StaticFiles(root)(make_request("GET", "/a.txt"))
    assert isinstance(response, Response)
    assert isinstance(response.body, FileBody)
    response.body.close()


# Parts


@pytest.mark.parametrize("target", ["/a.txt", "/large.bin"])
def test_one_range(root, target):
    """A download that broke off goes on where it was."""
    site = StaticFiles(root)
    whole = ask(site, target)
    answer = ask(site, target, range="bytes=5-")
    assert (answer.status, answer.body) == (206, whole.body[5:])
    size = len(whole.body)
    assert answer.headers["Content-Range"] == f"bytes 5-{size - 1}/{size}"
    assert answer.headers["ETag"] == whole.headers["ETag"]
    assert answer.headers["Content-Type"] == whole.headers["Content-Type"]
    assert ask(site, target, range="bytes=-2").body == whole.body[-2:]


def test_several_ranges(root):
    """Several parts come in one answer."""
    answer = ask(StaticFiles(root), "/a.txt", range="bytes=0-1,-2")
    assert answer.status == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert b"\r\n\r\n01\r\n" in answer.body
    assert b"\r\n\r\n89\r\n" in answer.body


def test_ranges_that_are_ignored(root):
    """What is malformed, wasteful, or no GET is answered with the whole."""
    site = StaticFiles(root)
    for field in ("bytes=5-4", "lines=1-2", "bytes=0-,0-", "bytes=" + ",".join(["0-0"] * 200)):
        assert ask(site, "/a.txt", range=field).status == 200
    assert ask(site, "/a.txt", "HEAD", range="bytes=0-1").status == 200


def test_ranges_that_there_are_not(root):
    """Who asks for what is behind the end is told where that is."""
    answer = ask(StaticFiles(root), "/a.txt", range="bytes=10-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */10"


def test_ranges_of_what_has_changed(root):
    """Who has a part of an old state gets the whole of the new one, and no mixture."""
    site = StaticFiles(root)
    old = ask(site, "/a.txt").headers
    for validator in (old["ETag"], old["Last-Modified"]):
        assert ask(site, "/a.txt", range="bytes=5-", if_range=validator).status == 206
    write(root / "a.txt", b"9876543210", OLD + 1)
    for validator in (old["ETag"], old["Last-Modified"]):
        answer = ask(site, "/a.txt", range="bytes=5-", if_range=validator)
        assert (answer.status, answer.body) == (200, b"9876543210")


def test_ranges_and_conditions(root):
    """Conditions come first: who has it all needs no part."""
    site = StaticFiles(root)
    etag = ask(site, "/a.txt").headers["ETag"]
    assert ask(site, "/a.txt", range="bytes=20-", if_none_match=etag).status == 304
    assert ask(site, "/a.txt", range="bytes=20-", if_match='"x"').status == 412


# Compressed forms


@pytest.fixture
def compressed(root: Path) -> Path:
    """With compressed forms beside some files."""
    for extension in (".br", ".zst", ".gz"):
        write(root / f"a.txt{extension}", extension.encode())
    write(root / "docs" / "index.html.gz", b"gz")
    return root


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b".br"),
        ("gzip, deflate", "gzip", b".gz"),
        ("zstd, gzip", "zstd", b".zst"),
        ("gzip;q=1, br;q=0.5", "gzip", b".gz"),
        ("identity", None, b"0123456789"),
        ("br;q=0", None, b"0123456789"),
        ("", None, b"0123456789"),
    ],
)
def test_compressed_forms(compressed, accepted, coding, body):
    """Each client gets the form that it likes best, and caches know on what that depends."""
    site = StaticFiles(compressed)
    for _ in range(2):
        answer = ask(site, "/a.txt", accept_encoding=accepted)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers.get("Content-Encoding") == coding
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Vary"] == "Accept-Encoding"


def test_compressed_forms_are_not_the_same(compressed):
    """Each form has its own tag, and a 304 is for that form only."""
    site = StaticFiles(compressed)
    plain = ask(site, "/a.txt").headers["ETag"]
    gzip = ask(site, "/a.txt", accept_encoding="gzip").headers["ETag"]
    assert plain != gzip
    assert ask(site, "/a.txt", accept_encoding="gzip", if_none_match=plain).status == 200
    answer = ask(site, "/a.txt", accept_encoding="gzip", if_none_match=gzip)
    assert (answer.status, answer.headers["Vary"]) == (304, "Accept-Encoding")


def test_ranges_of_compressed_forms(compressed):
    """A part is one of the form that is sent."""
    answer = ask(StaticFiles(compressed), "/a.txt", accept_encoding="gzip", range="bytes=1-1")
    assert (answer.status, answer.body) == (206, b"g")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Range"] == "bytes 1-1/3"


def test_a_compressed_index(compressed):
    """The index of a folder may be compressed, too."""
    answer = ask(StaticFiles(compressed), "/docs/", accept_encoding="gzip, br")
    assert (answer.body, answer.headers["Content-Type"]) == (b"gz", "text/html; charset=utf-8")


def test_a_compressed_form_that_is_asked_for(compressed):
    """Under its own name it is a file like any other, of its own type."""
    answer = ask(StaticFiles(compressed), "/a.txt.gz", accept_encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "application/gzip"


def test_old_compressed_forms(compressed):
    """A compressed form that is older than its file is of another state, and not sent."""
    write(compressed / "a.txt", b"new", OLD + 10)
    answer = ask(StaticFiles(compressed), "/a.txt", accept_encoding="gzip, br")
    assert answer.body == b"new"
    assert "Vary" not in answer.headers


def test_new_compressed_forms(root):
    """A compressed form that comes later, or goes, is noticed after a second."""
    client = Client(StaticFiles(root))
    fields = {"Accept-Encoding": "gzip"}
    assert result_of(client.get("/a.txt", headers=fields)).body == b"0123456789"
    write(root / "a.txt.gz", b"gz")
    client.advance(1)
    assert result_of(client.get("/a.txt", headers=fields)).body == b"gz"
    (root / "a.txt.gz").unlink()
    assert result_of(client.get("/a.txt", headers=fields)).body == b"0123456789"


def test_compressed_forms_that_lead_out(root):
    """A compressed form that leads out of the folder, or is none, is not sent."""
    (root / "a.txt.br").symlink_to("../secret.txt")
    os.mkfifo(root / "a.txt.gz")
    (root / "a.txt.zst").mkdir()
    answer = ask(StaticFiles(root), "/a.txt", accept_encoding="br, gzip, zstd")
    assert answer.body == b"0123456789"


def test_no_compressed_forms(compressed):
    """A site may send its files as they are."""
    answer = ask(StaticFiles(compressed, precompressed=False), "/a.txt", accept_encoding="br")
    assert answer.body == b"0123456789"
    assert "Vary" not in answer.headers


# Whatever is sent

PIECES = st.sampled_from(
    ["..", ".", "", "/", "%2e%2e", "%2f", "%5c", "%00", "secret.txt", "a.txt", "docs", "out",
     "root", ".env", "etc", "passwd", "..%2f", "%252e%252e"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.lists(st.one_of(PIECES, st.lists(PIECES).map("/".join))))
def test_nothing_outside_is_ever_sent(root, pieces):
    """However a client puts a path together, no secret is told, and nothing fails."""
    if not (root / "out").is_symlink():
        (root / "out").symlink_to("..")
    answer = ask(StaticFiles(root), f"/{'/'.join(pieces)}")
    assert answer.status in (200, 307, 404)
    assert b"secret" not in answer.body
    if answer.status == 307:
        assert re.match(r"/[^/\\]", answer.headers["Location"])


FIELDS = st.sampled_from(
    ["range", "if_range", "if_match", "if_none_match", "if_modified_since", "accept_encoding"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELDS, st.text(alphabet='bytes=0123456789-,*"W/gzip;q. ')))
def test_whatever_is_wished(compressed, fields):
    """Whatever a client wishes, it gets an answer that can be sent."""
    assert ask(StaticFiles(compressed), "/a.txt", **fields).status in (200, 206, 304, 412, 416)
