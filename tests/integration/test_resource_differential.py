"""One tree of resources, served by twisted.web and by mynet: their answers are the same.

But for how a body is framed, that is: where twisted.web has chunks, mynet may have a length. And
twisted.web says that a response without a body (204) has one of no bytes (not so RFC 9110
section 8.6).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure
from twisted.web.server import Site

from mynet.handlers.resource import ResourceHandler
from tests.integration.apps.twisted_site import site
from tests.integration.serving import (
    TCP,
    Answer,
    Service,
    async_yield_fixture,
    in_thread,
    integration,
    number_of,
    reactor,
    read_answer,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*_Unsafe:DeprecationWarning")

FORM = b"Content-Type: application/x-www-form-urlencoded"
PARTS = b"Content-Type: multipart/form-data; boundary=part"
UPLOAD = (
    b'--part\r\nContent-Disposition: form-data; name="title"\r\n\r\nCat\r\n'
    b'--part\r\nContent-Disposition: form-data; name="file"; filename="cat.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\xff\x00\r\n--part--\r\n"
)
SAME_TIME = b"If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"

REQUESTS: list[tuple[str, list[bytes], bytes]] = [
    ("GET /", [], b""),
    ("HEAD /", [], b""),
    ("POST /", [], b""),
    ("PUT /", [], b"data"),
    ("DELETE /", [], b""),
    ("OPTIONS *", [], b""),
    ("GET /nothing", [], b""),
    ("GET /nothing/here?a=<b>", [], b""),
    ("GET /where/a/b%2Fc//d/?e=f", [], b""),
    ("GET /where?", [], b""),
    ("HEAD /where", [], b""),
    ("GET /form?a=1&a=2&b=&c", [], b""),
    ("POST /form?a=0", [FORM], b"a=1&b=%C3%A9+x"),
    ("POST /form", [FORM], b""),
    ("POST /form", [b"Content-Type: text/plain"], b"a=1"),
    ("POST /form", [PARTS], UPLOAD),
    ("POST /digest", [PARTS], UPLOAD),
    ("POST /digest", [], b"x" * 200_000),
    ("PUT /digest", [], b"hello"),
    ("POST /digest", [b"Expect: 100-continue"], b"hello"),
    ("GET /cookies", [b"Cookie: a=b; c=d=e;f", b"Cookie: g=h"], b""),
    ("GET /tagged", [], b""),
    ("HEAD /tagged", [], b""),
    ("GET /tagged", [b'If-None-Match: "one"'], b""),
    ("GET /tagged", [b'If-None-Match: "two"'], b""),
    ("GET /tagged", [SAME_TIME], b""),
    ("GET /later", [], b""),
    ("GET /template", [], b""),
    ("HEAD /template", [], b""),
    ("GET /broken", [], b""),
    ("HEAD /broken", [], b""),
    ("GET /status?code=204", [], b""),
    ("GET /status?code=404", [], b""),
    ("GET /status?code=none", [], b""),
    ("GET /gzip", [], b""),
    ("GET /gzip", [b"Accept-Encoding: gzip"], b""),
    ("GET /secret", [], b""),
    ("GET /secret", [b"Authorization: Basic bWU6cGFzcw=="], b""),
    ("GET /secret", [b"Authorization: Basic bWU6d3Jvbmc="], b""),
    ("GET /files", [], b""),
    ("GET /files/", [], b""),
    ("GET /files/small.txt", [], b""),
    ("HEAD /files/small.txt", [], b""),
    ("GET /files/empty.bin", [], b""),
    ("GET /files/large.html", [], b""),
    ("GET /files/none.txt", [], b""),
    ("GET /files/../small.txt", [], b""),
    ("GET /files/%2e%2e/small.txt", [], b""),
    ("GET /files/folder", [], b""),
    ("GET /files/large.html", [b"Range: bytes=0-9"], b""),
    ("HEAD /files/large.html", [b"Range: bytes=0-9"], b""),
    ("GET /files/large.html", [b"Range: bytes=-9"], b""),
    ("GET /files/large.html", [b"Range: bytes=199990-"], b""),
    ("GET /files/large.html", [b"Range: bytes=0-99999,150000-"], b""),
    ("GET /files/large.html", [b"Range: bytes=300000-"], b""),
    ("GET /files/large.html", [b"Range: nonsense"], b""),
    ("GET /session", [], b""),
    ("GET /session", [b"Cookie: TWISTED_SESSION=unknown"], b""),
    ("POST /session", [], b""),
]

BOUNDARY = re.compile(rb'boundary="([0-9a-f]+)"')
SESSION = re.compile(rb"TWISTED_SESSION=[0-9a-f]{64}")
FRAMING = {"Server", "Date", "Transfer-Encoding", "Connection"}


def messages(
    line: str, fields: Iterable[bytes], body: bytes, version: str = "1.1"
) -> Iterable[bytes]:
    fields = [b"Host: example.test", b"Connection: close", *fields]
    if body:
        fields.append(b"Content-Length: %d" % len(body))
    head = f"{line} HTTP/{version}\r\n".encode() + b"\r\n".join(fields) + b"\r\n\r\n"
    return head, body


def ask(port: IListeningPort, line: str, parts: Iterable[bytes]) -> Answer:
    """What is answered; interim responses are skipped."""
    client = TCP().connect(port)
    with client, client.makefile("rb") as file:
        for part in parts:
            client.sendall(part)
        answer = read_answer(file, line.split()[0])
        while answer.status < 200:
            answer = read_answer(file, line.split()[0])
        return answer


def essence(answer: Answer, port: int, framed: bool) -> tuple[int, list[tuple[str, str]], bytes]:
    """What must be the same: all but time, chance, and how the body is framed."""
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    raw, body = SESSION.sub(b"SESSION", head.encode("latin-1")), answer.body
    body = body.replace(b":%d/" % port, b":PORT/")
    if found := BOUNDARY.search(raw):
        raw, body = raw.replace(found[1], b"BOUNDARY"), body.replace(found[1], b"BOUNDARY")
    pairs = [line.split(": ", 1) for line in raw.decode("latin-1").split("\n")]
    left_out = FRAMING if framed else FRAMING | {"Content-Length"}
    fields = sorted((name, value) for name, value in pairs if name not in left_out)
    return answer.status, fields, body


@async_yield_fixture
async def theirs(tmp_path: Path) -> AsyncIterator[IListeningPort]:
    """The tree, served by twisted.web."""
    port = await TCP().server().listen(Site(site(tmp_path, reactor())))
    yield port
    await maybeDeferred(port.stopListening)


@async_yield_fixture
async def ours(tmp_path: Path) -> AsyncIterator[IListeningPort]:
    """The same, served by mynet."""
    (tmp_path / "small.txt").write_text("small")
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "large.html").write_bytes(bytes(range(200)) * 1000)
    (tmp_path / "folder").mkdir()
    service = Service(TCP(), ResourceHandler(site(tmp_path, reactor())), None)
    await service.start()
    yield service.port
    await service.stop()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@integration
async def test_same(theirs, ours, version, logged):
    """Whatever a client asks for, it gets the same answer, but for how its body is framed."""
    different: list[Any] = []
    for line, fields, body in REQUESTS:
        parts = messages(line, fields, body, version)
        expected = await in_thread(ask, theirs, line, parts)
        got = await in_thread(ask, ours, line, parts)
        framed = "Content-Length" in expected.headers and expected.status != 204
        right = essence(expected, number_of(theirs), framed)
        seen = essence(got, number_of(ours), framed)
        if seen != right:
            different.append((line, fields, seen, right))
    assert different == []
    taken: list[Failure] = [failure for failure in logged if failure.check(Exception)]
    assert {failure.type for failure in taken} == {ZeroDivisionError, ValueError}
    logged.clear()
