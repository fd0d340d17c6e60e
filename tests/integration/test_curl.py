"""What curl does in its own way, or alone."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import NamedTuple

import pytest

from mynet.http import HTTPError, Limits, Request, Response
from tests.integration.clients import Curl
from tests.integration.serving import (
    LARGE,
    SIZE,
    TIMEOUT,
    Serve,
    Service,
    async_yield_fixture,
    integration,
)

PIECES = [b"first, ", b"second, ", b"third"]
WHOLE = b"".join(PIECES)
DIGEST = hashlib.sha256(LARGE).hexdigest().encode()


def text(request: Request) -> Response:
    """Some text, of a known length."""
    return Response.text(f"{request.method} {request.target.decode()} for {request.host}")


def pieces(request: Request) -> Response:
    """Some text, of an unknown length."""
    return Response(iter(PIECES))


async def digest(request: Request) -> Response:
    """The SHA-256 of the body."""
    seen = hashlib.sha256()
    async for chunk in request:
        seen.update(chunk)
    return Response.text(seen.hexdigest())


async def form(request: Request) -> Response:
    """What the form of a photograph says."""
    form = await request.form()
    photo = form.file("photo")
    seen = hashlib.sha256(photo.file.read()).hexdigest()
    return Response.text(f"{form.text('title')}, {photo.filename}: {seen}")


def forbidden(request: Request) -> Response:
    """No, whatever is sent."""
    raise HTTPError(403)


def trailers(request: Request) -> Response:
    """A body, and what is known of it at its end only."""

    async def body() -> AsyncIterator[bytes]:
        for piece in PIECES:
            yield piece
        response.trailers["Count"] = str(len(PIECES))

    response = Response(body(), headers={"Trailer": "Count"})
    assert not response.trailers
    return response


def hints(request: Request) -> Response:
    """What will be needed, and then the page."""
    request.early_hints("</style.css>; rel=preload; as=style")
    return Response.html("<link rel=stylesheet href=/style.css>")


HANDLERS = (text, pieces, digest, form, forbidden, trailers, hints)


def site(request: Request) -> Response | Awaitable[Response]:
    """All of them, by name."""
    by_path = {f"/{handler.__name__}": handler for handler in HANDLERS}
    return by_path.get(request.path, text)(request)


class Output(NamedTuple):
    """What comes of running curl."""

    body: bytes
    heads: list[str]
    """All heads it received, with their status lines; trailers are one, too."""
    figures: str
    """What was asked for by --write-out."""


class Runner:
    """Runs curl, and sees what it tells."""

    def __init__(self, service: Service, program: str, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self._curl = Curl(service, program)
        self.reach = self._curl.reach

    def url(self, path: str) -> str:
        return self.service.url(path)

    def file(self, content: bytes) -> str:
        """A file with this content."""
        path = self.folder / "file"
        path.write_bytes(content)
        return str(path)

    async def __call__(self, *arguments: str, write: str = "") -> Output:
        heads = self.folder / "heads"
        options = ["--dump-header", str(heads), "--write-out", f"%{{stderr}}{write}"]
        run = await self._curl.run(*options, *arguments)
        sections = heads.read_bytes().decode("latin-1").split("\r\n\r\n")
        return Output(run.stdout, [each for each in sections if each], run.stderr.decode())


@async_yield_fixture
async def curl_to(serve: Serve, curl: str, tmp_path: Path) -> AsyncIterator[Runner]:
    """Curl, and a service that takes bodies of `SIZE` bytes."""
    service = await serve(site, Limits(body=SIZE, linger_timeout=TIMEOUT))
    yield Runner(service, curl, tmp_path)


# Versions and connections


@integration
async def test_old_version(curl_to):
    """HTTP/1.0 has no chunks: a body of unknown length ends with the connection."""
    output = await curl_to("--http1.0", curl_to.url("/pieces"))
    assert output.body == WHOLE
    (head,) = output.heads
    assert "\r\nConnection: close" in head
    assert "Transfer-Encoding" not in head


@integration
async def test_old_keep_alive(curl_to):
    """HTTP/1.0 keeps the connection if the client asks for it, and can."""
    url = curl_to.url("/text")
    keep = "Connection: keep-alive"
    output = await curl_to("--http1.0", "--header", keep, url, url, write="%{num_connects} ")
    assert output.figures == "1 0 "
    assert all("\r\nConnection: keep-alive" in head for head in output.heads)


@integration
async def test_keep_alive(curl_to):
    """One connection is enough, whatever the bodies are like, and errors in between."""
    urls = [curl_to.url(path) for path in ("/text", "/pieces", "/forbidden", "/trailers", "/text")]
    output = await curl_to(*urls, write="%{http_code}:%{num_connects} ")
    assert output.figures == "200:1 200:0 403:0 200:0 200:0 "


@integration
async def test_newer_version(curl_to):
    """A client that would rather speak HTTP/2 is answered in HTTP/1.1."""
    output = await curl_to("--http2", curl_to.url("/text"), write="%{http_version}")
    assert output.figures == "1.1"


@integration
async def test_other_targets(curl_to):
    """Targets that are whole URLs, as for proxies, or * are understood."""
    absolute = ["--request-target", "http://example.test/text?q"]
    output = await curl_to(*absolute, curl_to.url("/"))
    assert output.body == b"GET http://example.test/text?q for example.test"
    asterisk = ["--request", "OPTIONS", "--request-target", "*"]
    output = await curl_to(*asterisk, curl_to.url("/"))
    assert output.body.startswith(b"OPTIONS * for localhost")


@integration
async def test_head(curl_to):
    """HEAD brings the fields, and no body to wait for."""
    output = await curl_to("--head", curl_to.url("/text"), curl_to.url("/pieces"))
    assert "\r\nContent-Length: " in output.heads[0]
    assert [head.splitlines()[0] for head in output.heads] == ["HTTP/1.1 200 OK"] * 2


# Bodies


@integration
async def test_continue(curl_to):
    """A client that asks for leave to send a large body gets it when the handler reads."""
    patient = ["--header", "Expect: 100-continue", "--expect100-timeout", str(TIMEOUT)]
    file = curl_to.file(LARGE)
    output = await curl_to(*patient, "--upload-file", file, curl_to.url("/digest"))
    assert output.heads[0] == "HTTP/1.1 100 Continue"
    assert output.body == DIGEST


@integration
async def test_no_continue(curl_to):
    """If the handler does not read, nothing of the body is sent."""
    patient = ["--header", "Expect: 100-continue", "--expect100-timeout", str(TIMEOUT)]
    output = await curl_to(
        *patient,
        "--upload-file",
        curl_to.file(LARGE),
        curl_to.url("/forbidden"),
        write="%{http_code} %{size_upload}",
    )
    assert output.figures == "403 0"
    assert len(output.heads) == 1


@pytest.mark.parametrize("expect", ["", "100-continue"])
@pytest.mark.parametrize("chunked", [False, True])
@integration
async def test_too_large(curl_to, expect, chunked):
    """Who sends too much is told so while it sends, and may go on with something else."""
    options = ["--header", f"Expect: {expect}", "--expect100-timeout", str(TIMEOUT)]
    if chunked:
        options += ["--header", "Transfer-Encoding: chunked"]
    file = curl_to.file(LARGE + b".")
    output = await curl_to(
        *options,
        "--upload-file",
        file,
        curl_to.url("/digest"),
        "--next",
        *curl_to.reach,
        *("--write-out", "%{stderr} %{http_code}"),
        curl_to.url("/text"),
        write="%{http_code}",
    )
    assert output.figures == "413 200"
    assert b"The request body is larger than %d bytes." % SIZE in output.body


@integration
async def test_form(curl_to):
    """A form with a file arrives."""
    content = LARGE[: SIZE // 2]
    photo = f"photo=@{curl_to.file(content)};filename=cat.jpg"
    output = await curl_to("--form", "title=Cat", "--form", photo, curl_to.url("/form"))
    assert output.body == b"Cat, cat.jpg: " + hashlib.sha256(content).hexdigest().encode()


@integration
async def test_trailers(curl_to):
    """What is known only at the end of a body is told there."""
    output = await curl_to(curl_to.url("/trailers"))
    assert (output.body, output.heads[1:]) == (WHOLE, ["Count: 3\r\n"])
    output = await curl_to("--raw", curl_to.url("/trailers"))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in PIECES)
    assert output.body == chunks + b"0\r\nCount: 3\r\n\r\n"


@integration
async def test_early_hints(curl_to):
    """What a page will need is told before the page."""
    output = await curl_to(curl_to.url("/hints"))
    early, head = output.heads
    assert early == "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style"
    assert head.startswith("HTTP/1.1 200 OK\r\n")


# What is too much


@integration
async def test_too_long(curl_to):
    """Targets and heads that are too long have their own answers."""
    long = ["--header", f"Long: {'.' * 40_000}"]
    output = await curl_to(*long, curl_to.url("/text"), write="%{http_code}")
    assert output.figures == "431"
    output = await curl_to(curl_to.url(f"/{'.' * 10_000}"), write="%{http_code}")
    assert output.figures == "414"
