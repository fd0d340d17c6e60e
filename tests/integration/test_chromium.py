"""What a page finds that fetches, uploads, downloads and listens, in Chromium."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred

from mynet.http import HTTPError, Request, Response
from tests.integration.certificates import Certificates
from tests.integration.serving import LARGE, SIZE, TIMEOUT, in_thread, integration

FLAGS = """
    --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --no-proxy-server
    --dump-dom
""".split()

PAGE = """
<!doctype html>
<title>What a page finds</title>
<body>
<img src="/loaded" alt="until it is here, the page is not">
<script>
const found = {};

async function look() {
    found.paths = [];
    for (const path of ["/1", "/2", "/3"])
        found.paths.push(await (await fetch(path)).text());
    const many = Array.from({length: 100}, (_, number) => `/many/${number}`);
    const answers = await Promise.all(many.map(async path => (await fetch(path)).text()));
    found.many = answers.join() === many.join();

    const head = await fetch("/large", {method: "HEAD"});
    found.head = [head.status, head.headers.get("content-length"), await head.text()];
    const missing = await fetch("/missing");
    found.missing = [missing.status, missing.statusText, await missing.text()];

    const large = await (await fetch("/large")).blob();
    found.upload = await (await fetch("/digest", {method: "POST", body: large})).text();
    const form = new FormData();
    form.append("title", "Caf\\u00e9");
    form.append("photo", large, "cat.jpg");
    found.form = await (await fetch("/form", {method: "POST", body: form})).text();

    const reader = (await fetch("/endless")).body.getReader();
    for (let size = 0; size < large.size; size += (await reader.read()).value.length);
    await reader.cancel();

    found.events = [];
    const source = new EventSource("/events");
    await new Promise(resolve => {
        source.onmessage = event => found.events.push(event.data);
        source.addEventListener("end", resolve);
    });
    source.close();
}

look().catch(error => { found.error = String(error); }).then(() => {
    document.body.append(Object.assign(document.createElement("pre"), {
        textContent: JSON.stringify(found),
    }));
    fetch("/looked_at", {method: "POST"});
});
</script>
"""


class Site:
    """What the page asks for."""

    def __init__(self) -> None:
        self.looked: Deferred[None] = Deferred()
        self.left: Deferred[None] = Deferred()

    async def __call__(self, request: Request) -> Response:
        handler = getattr(self, request.path[1:], None)
        if handler is None:
            return Response.text(request.path)
        response: Response = await handler(request)
        return response

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return Response.html(PAGE)

    async def loaded(self, request: Request) -> Response:
        """Something that it waits for until it has looked at all the rest."""
        await self.looked
        return Response(b"", 204)

    async def large(self, request: Request) -> Response:
        """A large body."""
        return Response(LARGE, content_type="application/octet-stream")

    async def missing(self, request: Request) -> Response:
        """An error."""
        raise HTTPError(404, "There is no such thing.")

    async def digest(self, request: Request) -> Response:
        """The SHA-256 of the body."""
        seen = hashlib.sha256()
        async for chunk in request:
            seen.update(chunk)
        return Response.text(seen.hexdigest())

    async def form(self, request: Request) -> Response:
        """What is in the form."""
        form = await request.form()
        photo = form.file("photo")
        return Response.text(f"{form.text('title')} {photo.filename} {photo.size}")

    async def endless(self, request: Request) -> Response:
        """A body without an end."""
        return Response(self.pieces())

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield LARGE[:65536]
        finally:
            self.left.callback(None)

    async def events(self, request: Request) -> Response:
        """Some events."""

        async def body() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"data: %d\n\n" % number
            yield b"event: end\ndata:\n\n"

        return Response(body(), content_type="text/event-stream")

    async def looked_at(self, request: Request) -> Response:
        """The page has seen it all."""
        self.looked.callback(None)
        return Response(b"", 204)


def trust(certificates: Certificates) -> str:
    """The option by which Chromium takes our certificate."""
    certificate = x509.load_pem_x509_certificate(certificates.server.certificate.read_bytes())
    key = certificate.public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    return f"--ignore-certificate-errors-spki-list={digest}"


def page_in(program: str, url: str, profile: Path, option: str) -> str:
    """The page as it is when all of it has been loaded."""
    run = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={profile}", option, url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)
@integration
async def test_page(serve, chromium, certificates, tmp_path):
    """A page in a browser finds everything as it should be."""
    site = Site()
    service = await serve(site)
    url = service.url("/page")
    dom = await in_thread(page_in, chromium, url, tmp_path, trust(certificates))
    found = re.search("<pre>(.*)</pre>", dom)
    assert found, dom
    assert json.loads(unescape(found[1])) == {
        "paths": ["/1", "/2", "/3"],
        "many": True,
        "head": [200, str(SIZE), ""],
        "missing": [404, "Not Found", "404 Not Found\nThere is no such thing.\n"],
        "upload": hashlib.sha256(LARGE).hexdigest(),
        "form": f"Café cat.jpg {SIZE}",
        "events": ["0", "1", "2"],
    }
    await site.left
    assert service.factory.stats.accepted < 20
