"""Flask on real sockets: pages, forms, streams both ways, files, and clients that leave."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from io import BytesIO
from threading import Event
from typing import Any

import flask
import pytest
from twisted.web.client import FileBodyProducer

from mynet import App
from mynet.handlers.wsgi import WSGIHandler
from mynet.http import Limits
from tests.integration.clients import Treq
from tests.integration.serving import (
    LARGE,
    PIECE,
    TIMEOUT,
    Service,
    async_yield_fixture,
    in_thread,
    integration,
    read_answer,
    read_chunk,
    until,
)


class Site(flask.Flask):
    """The application, and what is known of its streams."""

    def __init__(self) -> None:
        super().__init__("site")
        self.secret_key = "it is not"
        self.may_go_on = Event()
        self.stream_ended = Event()
        self.read = 0
        """How much of an upload has been read."""


def make_site() -> Site:  # noqa: C901  (all of its views are in it)
    site = Site()

    @site.get("/hello/<name>")
    def hello(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "tags": flask.request.args.getlist("tag"),
            "url": flask.request.url,
            "link": flask.url_for("hello", name="you"),
        }

    @site.post("/form")
    def form() -> str:
        photo = flask.request.files["photo"]
        return f"{flask.request.form['title']} {photo.filename} {len(photo.read())}"

    @site.post("/upload")
    def upload() -> str:
        seen = hashlib.sha256()
        while piece := flask.request.stream.read(PIECE):
            site.read += len(piece)
            seen.update(piece)
        return seen.hexdigest()

    @site.post("/ignored")
    def ignored() -> str:
        return "no, thank you"

    @site.get("/visits")
    def visits() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return str(flask.session["visits"])

    @site.get("/stream")
    def stream() -> flask.Response:
        def parts() -> Iterator[str]:
            try:
                yield f"first of {flask.request.path}"
                assert site.may_go_on.wait(TIMEOUT)
                yield "second"
            finally:
                site.stream_ended.set()

        return flask.Response(flask.stream_with_context(parts()))

    @site.get("/endless")
    def endless() -> flask.Response:
        def parts() -> Iterator[bytes]:
            try:
                while True:
                    yield LARGE[:PIECE]
            finally:
                site.stream_ended.set()

        return flask.Response(parts())

    @site.get("/file")
    def file() -> flask.Response:
        return flask.send_file(BytesIO(LARGE), download_name="large.bin", etag="large")

    @site.get("/source")
    def source() -> flask.Response:
        return flask.send_file(__file__, conditional=True)

    @site.get("/error")
    def error() -> str:
        raise RuntimeError("a bug")

    @site.get("/broken")
    def broken() -> flask.Response:
        def parts() -> Iterator[bytes]:
            yield b"some"
            raise RuntimeError("a bug in a stream")

        return flask.Response(parts())

    return site


@pytest.fixture
def site() -> Site:
    return make_site()


@async_yield_fixture
async def service(serve, site) -> AsyncIterator[Service]:
    handler = WSGIHandler(site)
    handler.start()
    yield await serve(handler)
    await handler.stop()


@integration
async def test_page(service):
    """A view has the path, the query, and its own URL."""
    async with aclosing(Treq(service)) as client:
        answer = await client.request("GET", "/hello/J%C3%BCrgen?tag=a&tag=b")
        page = json.loads(answer.body)
        assert (page["name"], page["tags"]) == ("J\u00fcrgen", ["a", "b"])
        assert page["url"].startswith(service.url("/hello/"))
        assert page["link"] == "/hello/you"


@integration
async def test_mounted(serve, site):
    """Below a mount links have the prefix."""
    app = App()
    app.mount("/old", WSGIHandler(site))
    await app.start()
    service = await serve(app)
    async with aclosing(Treq(service)) as client:
        page = json.loads((await client.request("GET", "/old/hello/me")).body)
        assert page["url"] == service.url("/old/hello/me")
        assert page["link"] == "/old/hello/you"
    await app.stop()


@integration
async def test_form(service):
    """A form has its fields and its file."""
    async with aclosing(Treq(service)) as client:
        files = {"photo": ("cat.jpg", "image/jpeg", FileBodyProducer(BytesIO(LARGE)))}
        response = await client.http.post(service.url("/form"), data={"title": "Cat"}, files=files)
        assert await response.text() == f"Cat cat.jpg {len(LARGE)}"


@pytest.mark.parametrize("body", [LARGE, [LARGE[:100], LARGE[100:]]], ids=["declared", "chunked"])
@integration
async def test_upload(service, body):
    """A large body is read as it comes, whether its length is known or not."""
    async with aclosing(Treq(service)) as client:
        answer = await client.request("POST", "/upload", body)
        assert answer.body.decode() == hashlib.sha256(LARGE).hexdigest()


@integration
async def test_upload_that_is_not_read(service):
    """A view that does not care for a body answers all the same."""
    async with aclosing(Treq(service)) as client:
        answer = await client.request("POST", "/ignored", LARGE[:PIECE])
        assert answer.body == b"no, thank you"


@integration
async def test_client_leaves_while_it_sends(service, site, logged):
    """A view that reads the body of a client that has gone is told so, and its thread is free."""

    def send_some() -> None:
        with service.connect() as client:
            client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            client.sendall(LARGE[:100_000])

    await in_thread(send_some)
    await until(lambda: site.read and not service.factory.connections)


@integration
async def test_session(service):
    """A session goes from request to request."""
    async with aclosing(Treq(service)) as client:
        first = await client.request("GET", "/visits")
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        second = await client.request("GET", "/visits", headers={"Cookie": cookie})
        assert (first.body, second.body) == (b"1", b"2")


@integration
async def test_stream(service, site):
    """The first part of a stream arrives before the second is made."""

    def read_stream() -> list[bytes]:
        with service.connect() as client, client.makefile("rb") as file:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            while file.readline() != b"\r\n":
                pass
            parts = [read_chunk(file)]
            assert not site.stream_ended.is_set()
            site.may_go_on.set()
            return [*parts, *iter(lambda: read_chunk(file), b"")]

    assert await in_thread(read_stream) == [b"first of /stream", b"second"]
    assert site.stream_ended.wait(TIMEOUT)


@integration
async def test_client_leaves_a_stream(service, site):
    """A stream whose client has gone ends."""

    def read_some() -> None:
        with service.connect() as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(PIECE)

    await in_thread(read_some)
    await until(site.stream_ended.is_set)


@pytest.mark.parametrize("transport", ["tcp"], indirect=True)
@integration
async def test_client_that_does_not_read(serve, site):
    """A client that does not read is cut off after a while, and so is the stream for it."""
    handler = WSGIHandler(site)
    service = await serve(handler, Limits(send_timeout=1))

    def wait_for_the_end() -> None:
        with service.connect() as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            assert site.stream_ended.wait(TIMEOUT)

    await in_thread(wait_for_the_end)
    await handler.stop()


@integration
async def test_files(service):
    """Files come whole, in part, or not again."""
    with open(__file__, "rb") as file:
        source = file.read()
    async with aclosing(Treq(service)) as client:
        assert (await client.request("GET", "/file")).body == LARGE
        answer = await client.request("GET", "/source")
        assert answer.body == source
        assert answer.headers["Content-Length"] == str(len(source))
        part = await client.request("GET", "/source", headers={"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, source[10:20])
        fields = {"If-None-Match": answer.headers["ETag"]}
        assert (await client.request("GET", "/source", headers=fields)).status == 304
        answer = await client.request("HEAD", "/source")
        assert (answer.status, answer.body) == (200, b"")


@integration
async def test_errors(service, caplog):
    """What is not there, and what fails, is answered by Flask, which logs."""
    caplog.set_level(logging.CRITICAL)
    async with aclosing(Treq(service)) as client:
        assert (await client.request("GET", "/nothing")).status == 404
        assert (await client.request("POST", "/visits")).status == 405
        answer = await client.request("GET", "/error")
        assert answer.status == 500
        assert b"a bug" not in answer.body


@integration
async def test_stream_that_fails(service, logged):
    """A stream that fails half-way does not look complete."""

    def read_all() -> bytes:
        with service.connect() as client, client.makefile("rb") as file:
            client.sendall(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            with suppress(OSError):  # the connection may be reset
                while piece := file.read1():
                    received += piece
            return received

    assert not (await in_thread(read_all)).endswith(b"0\r\n\r\n")
    assert [failure.type for failure in logged] == [RuntimeError]
    logged.clear()


@pytest.mark.parametrize("transport", ["tcp", "unix", "tls"], indirect=True)
@integration
async def test_many(service):
    """Requests at once are all answered, each with what it asked for."""

    def ask(number: int) -> str:
        with service.connect() as client, client.makefile("rb") as file:
            client.sendall(b"GET /hello/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            name: str = json.loads(read_answer(file).body)["name"]
            return name

    waiting = [in_thread(ask, number) for number in range(40)]
    assert [await each for each in waiting] == [str(number) for number in range(40)]
