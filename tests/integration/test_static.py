"""Files, as curl and a browser get them, over what connections there are."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from re import findall
from typing import NamedTuple

import pytest
from twisted.internet.defer import Deferred, gatherResults

from mynet.handlers.static import StaticFiles
from tests.integration.clients import Curl
from tests.integration.serving import (
    LARGE,
    SIZE,
    Serve,
    Service,
    async_yield_fixture,
    in_thread,
    integration,
    pattern,
    read_answer,
)
from tests.integration.test_chromium import page_in

OLD = 784111777


class Site(NamedTuple):
    """A folder that is served."""

    service: Service
    root: Path
    curl: Curl

    def write(self, name: str, data: bytes) -> None:
        """Put a file there."""
        (self.root / name).write_bytes(data)
        os.utime(self.root / name, (OLD, OLD))

    async def get(self, path: str, *options: str) -> bytes:
        """What curl receives."""
        return (await self.curl.run(*options, self.service.url(path))).stdout


@async_yield_fixture
async def site(serve: Serve, curl: str, tmp_path: Path) -> AsyncIterator[Site]:
    root = tmp_path / "root"
    root.mkdir()
    service = await serve(StaticFiles(root, listing=True))
    site = Site(service, root, Curl(service, curl))
    site.write("large.bin", LARGE)
    site.write("small.txt", b"0123456789")
    yield site


@integration
async def test_downloads(site):
    """Files of any size come as they are, one after another on one connection."""
    urls = [site.service.url(path) for path in ("/small.txt", "/large.bin", "/small.txt")]
    run = await site.curl.run("--write-out", "%{stderr}%{num_connects} ", *urls)
    assert run.stdout == b"0123456789" + LARGE + b"0123456789"
    assert run.stderr.split() == [b"1", b"0", b"0"]


@integration
async def test_a_download_that_goes_on(site, tmp_path):
    """A download that broke off goes on where it was, and what comes of it is whole."""
    for start in (1, SIZE // 2, SIZE - 1):
        target = tmp_path / "downloaded"
        target.write_bytes(LARGE[:start])
        run = await site.curl.run(
            "--continue-at", "-", "--output", str(target), "--write-out", "%{size_download}",
            site.service.url("/large.bin"),
        )  # fmt: skip
        assert int(run.stdout) == SIZE - start
        assert target.read_bytes() == LARGE


@integration
async def test_ranges(site):
    """Parts come as they are, large and small."""
    assert await site.get("/large.bin", "--range", "5-14") == LARGE[5:15]
    assert await site.get("/large.bin", "--range", "1000000-") == LARGE[1000000:]
    assert await site.get("/large.bin", "--range", "-7") == LARGE[-7:]
    several = await site.get("/large.bin", "--range", "0-99,2000000-4999999")
    assert LARGE[:100] in several
    assert LARGE[2000000:5000000] in several
    code = await site.get("/small.txt", "--range", "10-", "--write-out", "%{http_code}")
    assert code.endswith(b"416")


@integration
async def test_what_is_there_already(site, tmp_path):
    """A file that is there already is not sent again, by its tag or its time."""
    etag = tmp_path / "etag"
    etag.write_bytes(b'"none"')
    code = ("--write-out", "%{http_code}", "--output", str(tmp_path / "downloaded"))
    url = "/small.txt"
    saved = ("--etag-save", str(etag))
    assert await site.get(url, *code, *saved, "--etag-compare", str(etag)) == b"200"
    assert await site.get(url, *code, "--etag-compare", str(etag)) == b"304"
    assert await site.get(url, *code, "--time-cond", "Sun, 06 Nov 1994 08:49:36 GMT") == b"200"


@integration
async def test_compressed(site):
    """A compressed form is sent to who asks for that, and is the same when it is unpacked."""
    site.write("large.bin.gz", gzip.compress(LARGE[:1000000], 1))
    assert await site.get("/large.bin", "--compressed") == LARGE[:1000000]
    assert await site.get("/large.bin") == LARGE


@integration
async def test_nothing_outside(site, tmp_path):
    """Whatever path a client sends, it gets nothing from outside of the folder."""
    (tmp_path / "secret.txt").write_text("secret")
    (site.root / "out").symlink_to("..")
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/out/secret.txt"):
        body = await site.get(path, "--path-as-is", "--write-out", "%{http_code}")
        assert body.endswith(b"404"), path
        assert b"secret" not in body


@integration
async def test_files_that_are_replaced(site):
    """While a file is replaced again and again each client gets one of them, and all of it."""
    contents = [pattern(3_000_000, start) for start in (0, 3_000_000, 6_000_000)]
    site.write("changing.bin", contents[0])
    places = iter(range(1000))

    def replace() -> None:
        site.write("new.bin", contents[next(places) % 3])
        (site.root / "new.bin").rename(site.root / "changing.bin")

    def download() -> None:
        with site.service.connect() as client, client.makefile("rb") as file:
            for _ in range(10):
                client.sendall(b"GET /changing.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = read_answer(file)
                assert answer.status == 200
                assert answer.body in contents

    downloads: list[Deferred[None]] = [in_thread(download) for _ in range(4)]
    done = gatherResults(downloads)
    while not done.called:
        await in_thread(replace)
    await done


@pytest.mark.parametrize("transport", ["tcp"], indirect=True)
@integration
async def test_a_file_that_becomes_shorter(site, logged):
    """A client that was promised more than there is gets cut off, which is logged."""

    def shorten() -> tuple[bytes, int]:
        with site.service.connect() as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = client.recv(65536)
            os.truncate(site.root / "large.bin", 1000)
            try:
                while data := client.recv(65536):
                    received += data
            except ConnectionResetError:
                pass
            return received, len(received)

    received, size = await in_thread(shorten)
    assert f"Content-Length: {SIZE}\r\n".encode() in received
    assert size < SIZE
    (failure,) = logged
    assert "short of its Content-Length" in failure.getErrorMessage()
    logged.clear()


@pytest.mark.parametrize("transport", ["tcp"], indirect=True)
@integration
async def test_a_listing_in_a_browser(site, chromium, tmp_path):
    """A browser shows the list of a folder, with names as they are, and none of them markup."""
    site.write('<b>é &amp; "x"\'.txt', b"")
    (site.root / "sub").mkdir()
    dom = await in_thread(page_in, chromium, site.service.url("/"), tmp_path, "--incognito")
    assert [unescape(each) for each in findall("<td><a [^>]*>([^<]*)</a>", dom)] == [
        "sub/",
        '<b>é &amp; "x"\'.txt',
        "large.bin",
        "small.txt",
    ]
