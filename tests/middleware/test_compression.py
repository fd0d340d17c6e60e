"""Which responses are compressed, for whom, and what is told of it."""

from __future__ import annotations

import gzip

import pytest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mynet import App, Request, Response
from mynet.handlers.resource import ResourceHandler
from mynet.http.file import FileBody
from mynet.middleware.codings import decoder
from mynet.middleware.compression import compression
from mynet.testing import Client, Wire, result_of

TEXT = b"some text, and more of it\n" * 100

ALL = "gzip, deflate, br, zstd"


def serve(response, **options):
    """A handler that answers so; a new response each time."""
    return compression(**options)(lambda request: response())


def text(status=200, content_type="text/plain", body=TEXT, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, {"Content-Type": content_type, **fields})


def ask(handler, accept: str | None = "gzip", method="GET", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if accept is not None:
        fields["Accept-Encoding"] = accept
    return result_of(Client(handler).request(method, "/", headers=fields))


def plain(answer) -> bytes:
    """What a client makes of an answer."""
    coding = answer.headers.get("Content-Encoding")
    if coding is None:
        return bytes(answer.body)
    decodes = decoder(coding)
    data = b"".join(decodes.decode(answer.body))
    decodes.finish()
    return data


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed(coding):
    """A client gets what it can take, smaller, and is told what it is."""
    answer = ask(serve(text), coding)
    assert (answer.status, plain(answer)) == (200, TEXT)
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Length" not in answer.headers
    assert len(answer.body) < len(TEXT) / 10


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (ALL, "zstd"),
        ("gzip, br", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("*", "zstd"),
        ("*, zstd;q=0, br;q=0", "gzip"),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0", None),
        ("", None),
        (None, None),
    ],
)
def test_chosen(accept, coding):
    """The client's wish counts, then our preference; caches learn that it does in any case."""
    answer = ask(serve(text), accept)
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert plain(answer) == TEXT


def test_own_choice():
    """What is offered, and how hard it tries, can be told; the first that a client takes wins."""
    levels = {"gzip": 1, "br": 11}
    assert ask(serve(text, levels=levels), ALL).headers["Content-Encoding"] == "gzip"
    fast, small = (ask(serve(text, levels={"br": level}), ALL).body for level in (1, 11))
    assert len(small) < len(fast)
    assert "Content-Encoding" not in ask(serve(text, levels={}), ALL).headers


@pytest.mark.parametrize(
    ("levels", "match"), [({"gzip": 0}, "levels of gzip"), ({"lzw": 1}, "no content coding 'lzw'")]
)
def test_wrong_choice(levels, match):
    """A coding or level that does not exist is told at once."""
    with pytest.raises(ValueError, match=match):
        compression(levels=levels)


LEFT_ALONE = {
    "an image": lambda: text(content_type="image/png"),
    "no type": lambda: Response(TEXT),
    "small": lambda: text(body=b"small"),
    "small stream": lambda: text(body=[b"small"], Content_Length="5"),
    "encoded": lambda: text(Content_Encoding="br"),
    "forbidden": lambda: text(Cache_Control="private, No-Transform"),
    "a range": lambda: text(206, Content_Range="bytes 0-2599/9999"),
    "a range of nothing": lambda: text(416, body=b"", Content_Range="bytes */9999"),
    "no content": lambda: Response(b"", 204),
    "reset": lambda: Response(b"", 205),
}


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_left_alone(what):
    """What would not be smaller, or must not be changed, is just as the handler has it."""
    before, after = LEFT_ALONE[what](), ask(serve(LEFT_ALONE[what]))
    assert dict(after.headers) == dict(before.headers)


@pytest.mark.parametrize(
    "content_type",
    ["text/html; charset=utf-8", "TEXT/CSS", "application/json", "application/ld+json",
     "image/svg+xml", "application/wasm", "text/event-stream"],
)  # fmt: skip
def test_types(content_type):
    """Texts pay, however their type is written."""
    answer = ask(serve(lambda: text(content_type=content_type)))
    assert answer.headers["Content-Encoding"] == "gzip"


def test_own_types_and_minimum():
    """What pays can be told, and from which size on."""
    handler = serve(lambda: text(content_type="application/x-own", body=b"0" * 10),
                    types=["application/x-*"], minimum=10)  # fmt: skip
    assert ask(handler).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in ask(serve(text, types=[])).headers


def test_fields_that_no_longer_hold():
    """Of the fields that say something of the bytes, none tells what is not true."""
    handler = serve(lambda: text(
        Content_Length=str(len(TEXT)), ETag='"a"', Accept_Ranges="bytes", Vary="Cookie",
        Content_Digest="sha-256=:x:", Repr_Digest="sha-256=:x:", Own="kept",
    ))  # fmt: skip
    assert dict(ask(handler).headers) == {
        "Content-Type": "text/plain", "Content-Encoding": "gzip", "ETag": 'W/"a"',
        "Vary": "Cookie, Accept-Encoding", "Own": "kept",
    }  # fmt: skip
    as_it_is = ask(handler, None).headers
    assert (as_it_is["ETag"], as_it_is["Accept-Ranges"]) == ('"a"', "bytes")


def test_raw_fields():
    """Responses of hosts and proxies, whose fields are bytes, are compressed like any others."""
    handler = serve(lambda: Response.raw(TEXT, 200, [(b"content-type", b"text/plain")]))
    assert plain(ask(handler)) == TEXT


@pytest.mark.parametrize(
    ("asked", "etag", "vary"),
    [('W/"a"', 'W/"a"', "Accept-Encoding"), ('"a"', '"a"', None), ('W/"b"', '"a"', None)],
)
def test_not_modified(asked, etag, vary):
    """Who asks whether what it got compressed still holds is answered in the same terms."""
    handler = serve(lambda: Response(b"", 304, {"ETag": '"a"'}))
    answer = ask(handler, If_None_Match=asked)
    assert (answer.headers["ETag"], answer.headers.get("Vary")) == (etag, vary)


def test_head():
    """HEAD tells what GET would, also where the handler makes no body for it."""
    whole = serve(text)
    got, head = ask(whole), ask(whole, method="HEAD")
    assert dict(head.headers) == dict(got.headers)
    assert head.body == b""
    bodiless = serve(lambda: text(body=b"", Content_Length=str(len(TEXT))))
    wire = Wire(bodiless)
    wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert b"Content-Encoding: gzip\r\n" in wire.received
    assert b"Content-Length" not in wire.received
    assert "Content-Encoding" not in ask(serve(lambda: text(body=b"")), method="HEAD").headers


STREAMS = {
    "iterable": lambda path: text(body=iter([TEXT, TEXT])),
    "async iterable": lambda path: text(body=doubled()),
    "file": lambda path: text(body=path.open("rb")),
    "file with its length": lambda path: text(body=FileBody(path.open("rb"))),
    "large": lambda path: text(body=TEXT + TEXT),
}


async def doubled():
    yield TEXT
    yield TEXT


@pytest.mark.parametrize("kind", STREAMS)
def test_streams(kind, tmp_path):
    """Any body can be compressed, and is closed afterwards."""
    (tmp_path / "file").write_bytes(TEXT + TEXT)
    answer = ask(serve(lambda: STREAMS[kind](tmp_path / "file")))
    assert plain(answer) == TEXT + TEXT
    assert answer.headers["Content-Encoding"] == "gzip"


def test_large():
    """A large body is sent as it is compressed."""
    body = TEXT * 100
    wire = Wire(serve(lambda: text(body=body)))
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
    wire.advance(1)
    head, _, rest = wire.received.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert rest.endswith(b"0\r\n\r\n")
    assert gzip.decompress(unchunked(rest)) == body


def unchunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return whole


class Slowly(Resource):
    """What writes in its own time."""

    isLeaf = True

    def render_GET(self, request):
        self.request = request
        request.setHeader(b"content-type", b"text/event-stream")
        request.write(b"data: one\n\n")
        return NOT_DONE_YET


def test_events():
    """What is sent arrives, whoever pushes it: here a resource of twisted.web."""
    resource = Slowly()
    wire = Wire(compression()(ResourceHandler(resource)))
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    decodes = decoder("gzip")
    head, _, first = wire.take().partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert b"".join(decodes.decode(unchunked(first))) == b"data: one\n\n"
    resource.request.write(b"data: two\n\n")
    assert b"".join(decodes.decode(unchunked(wire.take()))) == b"data: two\n\n"
    resource.request.finish()
    assert b"".join(decodes.decode(unchunked(wire.take()))) == b""
    decodes.finish()


def test_client_goes():
    """When the client goes the producer is told."""
    resource = Slowly()
    wire = Wire(compression()(ResourceHandler(resource)))
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    ended: list[object] = []
    resource.request.notifyFinish().addErrback(ended.append)
    wire.hang_up()
    assert len(ended) == 1


def test_broken_stream():
    """A stream that fails, or is shorter than was promised, does not look complete."""
    short = serve(lambda: text(body=iter([TEXT]), Content_Length=str(len(TEXT) + 1)))
    wire = Wire(short)
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert not wire.received.endswith(b"0\r\n\r\n")
    assert wire.closed


def test_in_an_app():
    """It is used like any middleware, and errors with large pages are compressed as well."""
    app = App()
    app.use(compression())

    @app.error_handler(404)
    def missing(request: Request, error: Exception) -> str:
        return TEXT.decode()

    answer = ask(app)
    assert (answer.status, plain(answer)) == (404, TEXT)
    assert answer.headers["Content-Encoding"] == "gzip"
