"""ASGI's specifications of HTTP and of its extensions, clause by clause."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress

from mynet import App
from mynet.handlers.asgi import ASGIHandler
from mynet.testing import Client, Wire
from tests.handlers.asgi.driving import in_a_loop
from tests.handlers.asgi.hosting import (
    DISCONNECT,
    GET,
    Asked,
    Event,
    Page,
    answer_of,
    body,
    ok,
    post,
    start,
)

# Scopes and events


@in_a_loop
async def test_scope_has_plain_keys():
    """A scope is a dict whose keys are str, with a type and the version of ASGI."""
    app = Asked()
    await answer_of(app)
    assert type(app.scope) is dict
    assert all(type(key) is str for key in app.scope)
    assert app.scope["type"] == "http"
    assert app.scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}


@in_a_loop
async def test_app_is_called_once_for_each_request():
    """Each request of a connection has a call, and a scope, of its own."""
    app = Asked()
    page = Page(app)
    for _ in range(2):
        assert (await page.ask()).endswith(b"ok")
    first, second = app.scopes
    assert first is not second
    assert first["headers"] is not second["headers"]
    assert first["extensions"] is not second["extensions"]


@in_a_loop
async def test_scope_of_a_request():
    """The scope has what the request line and the fields say, decoded as it should be."""
    app = Asked()
    await answer_of(app, "PATCH", "/caf%C3%A9/%2Froom?a=1&b=%20", headers={"X-Twice": "1"})
    scope = app.scope
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "PATCH"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/caf\u00e9//room"
    assert scope["raw_path"] == b"/caf%C3%A9/%2Froom"
    assert scope["query_string"] == b"a=1&b=%20"
    assert scope["root_path"] == ""
    assert scope["client"] == ("192.0.2.1", 50000)
    assert scope["server"] == ("192.0.2.2", 80)
    assert (b"x-twice", b"1") in scope["headers"]


@in_a_loop
async def test_older_http():
    """The HTTP version is what the client speaks."""
    app = Asked()
    await Page(app).ask(b"GET / HTTP/1.0\r\n\r\n")
    assert app.scope["http_version"] == "1.0"


@in_a_loop
async def test_headers():
    """Names are lower-cased, values are as sent; repeated fields stay apart and in order."""
    app = Asked()
    await Page(app).ask(b"GET / HTTP/1.1\r\nHost: test\r\nX-A: One\r\nx-b: 2\r\nX-A: \xe9 \r\n\r\n")
    assert app.scope["headers"] == [
        (b"host", b"test"),
        (b"x-a", b"One"),
        (b"x-b", b"2"),
        (b"x-a", b"\xe9"),
    ]


@in_a_loop
async def test_headers_are_the_applications():
    """What an application does to its headers is not seen by the next request."""
    seen = []

    async def app(scope, receive, send):
        seen.append(list(scope["headers"]))
        scope["headers"].clear()
        await ok(scope, receive, send)

    page = Page(app)
    await page.ask()
    await page.ask()
    assert seen == [[(b"host", b"test")]] * 2


@in_a_loop
async def test_mounted():
    """Below a mount, root_path is what it took off the path; path and raw_path have it in front."""
    app = Asked()
    site = App()
    site.mount("/caf\u00e9", ASGIHandler(app, lifespan="off"))
    client = Client(site)
    await client.get("/caf%C3%A9/a%20b?c").asFuture(asyncio.get_running_loop())
    scope = app.scope
    assert (scope["root_path"], scope["path"]) == ("/caf\u00e9", "/caf\u00e9/a b")
    assert (scope["raw_path"], scope["query_string"]) == (b"/caf%C3%A9/a%20b", b"c")


@in_a_loop
async def test_root_path():
    """What a proxy has taken off is in front of path, too; raw_path is what this server got."""
    app = Asked()
    handler = ASGIHandler(app, lifespan="off", root_path="/api/")
    await Client(handler).get("/users").asFuture(asyncio.get_running_loop())
    scope = app.scope
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/users")
    assert scope["raw_path"] == b"/users"


@in_a_loop
async def test_unix_socket():
    """On a UNIX socket the server is its path and None, and the client has no address."""
    app = Asked()
    wire = Wire(ASGIHandler(app, lifespan="off"), client=UNIXAddress(None))
    wire.transport._server = UNIXAddress(b"/run/site.sock")
    wire.send(GET)
    assert app.scope["server"] == ("/run/site.sock", None)
    assert app.scope["client"] is None


@in_a_loop
async def test_path_that_is_not_utf_8():
    """A path that cannot be decoded is the client's mistake: 400."""
    app = Asked()
    assert (await answer_of(app, target="/%ff")).status == 400
    assert app.scopes == []


# The request


@in_a_loop
async def test_request_without_a_body():
    """There is one event, with no bytes, and no more."""
    app = Asked()
    await answer_of(app)
    assert app.events == [{"type": "http.request", "body": b"", "more_body": False}]


@in_a_loop
async def test_body_in_pieces():
    """A body is received as it arrives; the last of it says so."""
    app = Asked()
    page = Page(app)
    await page.ask(post(b"one", 9))
    assert [event["body"] for event in app.events] == [b"one"]
    await page.ask(b"two")
    assert (await page.ask(b"end")).endswith(b"ok")
    assert app.events == [
        {"type": "http.request", "body": b"one", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": True},
        {"type": "http.request", "body": b"end", "more_body": False},
    ]


@in_a_loop
async def test_chunked_body():
    """Chunks are decoded; where the end comes behind the last bytes it is an event without any."""
    app = Asked()
    page = Page(app)
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    await page.ask(head + b"3\r\none\r\n")
    assert (await page.ask(b"0\r\n\r\n")).endswith(b"ok")
    assert [(event["body"], event["more_body"]) for event in app.events] == [
        (b"one", True),
        (b"", False),
    ]


@in_a_loop
async def test_disconnect_after_the_response():
    """Asked for more after its response, an application is told that there is no client."""
    events = []

    async def app(scope, receive, send):
        await ok(scope, receive, send)
        events.append(await receive())

    await answer_of(app)
    assert events == [DISCONNECT]


@in_a_loop
async def test_disconnect_in_the_middle():
    """A client that goes is told of at once to who waits for that."""
    events = []

    async def app(scope, receive, send):
        await receive()
        events.append(await receive())
        events.append(await receive())

    page = Page(app)
    await page.ask()
    assert events == []
    await page.hang_up()
    assert events == [DISCONNECT, DISCONNECT]


@in_a_loop
async def test_disconnect_in_the_middle_of_a_body():
    """So it is while some of the body is still to come."""
    app = Asked()
    page = Page(app)
    await page.ask(post(b"one", 9))
    await page.hang_up()
    assert app.events[1:] == [DISCONNECT]


# The response


@in_a_loop
async def test_whole_response():
    """Status, fields in their order, and body are what was sent; the length is added."""

    async def app(scope, receive, send):
        await send(start(201, (b"x-b", b"1"), (b"x-a", b"\xe9"), (b"x-b", b"2")))
        await send(body(b"made"))

    response = await Page(app).ask()
    assert response.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"\r\nx-b: 1\r\nx-a: \xe9\r\nx-b: 2\r\n" in response
    assert response.endswith(b"Content-Length: 4\r\n\r\nmade")


@in_a_loop
async def test_optional_keys():
    """Headers, body, more_body and trailers may be left out, and unknown keys are ignored."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "new": object()})
        await send({"type": "http.response.body", "new": object()})

    response = await Page(app).ask()
    assert response.startswith(b"HTTP/1.1 404 ")
    assert response.endswith(b"Content-Length: 0\r\n\r\n")


def generated(*fields: Any) -> Iterable[Any]:
    yield from fields


@pytest.mark.parametrize(
    "headers",
    [
        [[b"x-a", b"1"], [b"x-b", b"2"]],
        ((b"x-a", b"1"), (b"x-b", b"2")),
        generated((b"x-a", b"1"), [b"x-b", b"2"]),
    ],
)
def test_headers_are_any_iterables(headers):
    """Fields may be lists, tuples, or whatever can be iterated."""

    @in_a_loop
    async def run():
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send(body(b"ok"))

        assert b"\r\nx-a: 1\r\nx-b: 2\r\n" in await Page(app).ask()

    run()


@in_a_loop
async def test_start_is_not_sent_before_a_body():
    """The head may be replaced until there is some of the body: it waits for that."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(start())
        await go_on.wait()
        await send(body(b"ok"))

    page = Page(app)
    assert await page.ask() == b""
    go_on.set()
    await page.settle()
    assert page.wire.take().endswith(b"ok")


@in_a_loop
async def test_body_is_flushed():
    """What was sent is on its way when send returns."""
    got = []

    async def app(scope, receive, send):
        await send(start())
        for piece in (b"one", b"two"):
            await send(body(piece, more_body=True))
            got.append(page.wire.take())
        await send(body())

    page = Page(app)
    end = await page.ask()
    assert got[0].endswith(b"\r\n\r\n3\r\none\r\n")
    assert got[1] == b"3\r\ntwo\r\n"
    assert end == b"0\r\n\r\n"


@in_a_loop
async def test_empty_first_body_sends_the_head():
    """A head may be sent ahead, by a body of no bytes with more to come."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"", more_body=True))
        await go_on.wait()
        await send(body(b"x"))

    page = Page(app)
    assert (await page.ask()).startswith(b"HTTP/1.1 200 OK\r\n")
    go_on.set()
    await page.settle()
    assert page.wire.take() == b"1\r\nx\r\n0\r\n\r\n"


@in_a_loop
async def test_content_length_of_a_stream():
    """A length that was declared is kept, and there are no chunks."""

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"4")))
        await send(body(b"on", more_body=True))
        await send(body(b"ly"))

    response = await Page(app).ask()
    assert b"\r\nContent-Length: 4\r\n" in response
    assert response.endswith(b"\r\n\r\nonly")


@pytest.mark.parametrize("more", [(), ((b"x-a", b"b"),)])
def test_transfer_encoding_is_ignored(more):
    """Transfer-Encoding may be sent, and is the server's to decide about."""

    @in_a_loop
    async def run():
        async def app(scope, receive, send):
            await send(start(200, (b"transfer-encoding", b"chunked"), *more))
            await send(body(b"ok"))

        response = await Page(app).ask()
        assert b"ransfer-" not in response
        assert response.endswith(b"Content-Length: 2\r\n\r\nok")

    run()


@in_a_loop
async def test_messages_after_the_end_are_ignored(told):
    """Once a response is complete further messages are ignored; the log says so."""

    async def app(scope, receive, send):
        await ok(scope, receive, send)
        await send(body(b"more"))
        await send(start())

    assert (await Page(app).ask()).endswith(b"\r\n\r\nok")
    assert all("after the end" in line for line in told)
    assert len(told) == 2


@in_a_loop
async def test_send_after_a_disconnect():
    """After its client has gone, send raises an OSError, which may be left to the server."""
    raised = []

    async def app(scope, receive, send):
        await receive()
        await receive()
        try:
            await send(start())
        except OSError as error:
            raised.append(error)
            raise

    page = Page(app)
    await page.ask()
    await page.hang_up()
    assert type(raised[0]) is not OSError


@in_a_loop
async def test_send_raises_in_the_middle_of_a_stream():
    """So it does while a response is streamed, also to who waits for a slow client."""
    raised = []

    async def app(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x" * 65536, more_body=True))
        except OSError:
            raised.append(True)
            raise

    page = Page(app)
    page.wire.stop_reading()
    await page.ask()
    assert raised == []
    await page.hang_up()
    assert raised == [True]


@in_a_loop
async def test_send_waits_for_slow_clients():
    """While the client does not read, no more is taken than the transport and one event hold."""
    sent = []

    async def app(scope, receive, send):
        await send(start())
        for _ in range(64):
            await send(body(b"x" * 65536, more_body=True))
            sent.append(65536)
        await send(body())

    page = Page(app)
    page.wire.stop_reading()
    await page.ask()
    assert sum(sent) <= 2 * 65536
    page.wire.read()
    await page.settle()
    for _ in range(64):
        await page.settle()
    assert len(sent) == 64
    assert page.wire.take().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)]
)
@pytest.mark.parametrize("pieces", [1, 3])
def test_body_that_may_not_be(method, status, pieces):
    """To HEAD, and with 204 and 304, the body that an application sends is dropped."""

    @in_a_loop
    async def run():
        async def app(scope, receive, send):
            await send(start(status))
            for _ in range(pieces - 1):
                await send(body(b"nobody", more_body=True))
            await send(body(b"nobody"))
            done.append(await receive())

        done: list[Event] = []
        page = Page(app)
        response = await page.ask(GET.replace(b"GET", method.encode()))
        assert response.startswith(b"HTTP/1.1 %d " % status)
        assert response.endswith(b"\r\n\r\n")
        assert b"chunked" not in response
        assert done == [DISCONNECT]

    run()


@in_a_loop
async def test_declared_length_to_head():
    """To HEAD, the length that a body would have may be declared without one."""

    async def app(scope, receive, send):
        await send(start(200, (b"content-type", b"text/css"), (b"content-length", b"1234")))
        await send(body())

    response = await Page(app).ask(GET.replace(b"GET", b"HEAD"))
    assert b"\r\nContent-Length: 1234\r\n" in response


# The state of the lifespan


@in_a_loop
async def test_state_is_a_copy():
    """Each request has a shallow copy of what the lifespan has put into its state."""
    pool = object()
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            scope["state"]["pool"] = pool
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["state"]))
        scope["state"]["mine"] = True
        await ok(scope, receive, send)

    loop = asyncio.get_running_loop()
    handler = ASGIHandler(app)
    await handler.start().asFuture(loop)
    for _ in range(2):
        await Client(handler).get("/").asFuture(loop)
    assert seen == [{"pool": pool}] * 2
    await handler.stop().asFuture(loop)


# Extensions


@in_a_loop
async def test_extensions_are_told():
    """The scope names the extensions, each with a dict; `tls` only where there is TLS."""
    app = Asked()
    await answer_of(app)
    assert app.scope["extensions"] == {
        "http.response.early_hint": {},
        "http.response.pathsend": {},
        "http.response.trailers": {},
        "http.response.zerocopysend": {},
    }


@in_a_loop
async def test_early_hints():
    """Hints become a 103 before the response, any number of times; nothing for HTTP/1.0."""

    async def app(scope, receive, send):
        await send(start())
        hint = {"type": "http.response.early_hint", "links": [b"</a.css>", b"</b.js>"]}
        await send(hint)
        await send(body(b"ok"))

    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.js>\r\n\r\nHTTP/1.1 200 OK\r\n"
    assert (await Page(app).ask()).startswith(hint)
    assert (await Page(app).ask(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def trailing(scope: Any, receive: Any, send: Any) -> None:
    """An application that sends trailers, in two events."""
    await send(start(200, (b"trailer", b"x-sum, x-b"), trailers=True))
    await send(body(b"ok"))
    kind = "http.response.trailers"
    await send({"type": kind, "headers": [(b"x-sum", b"1")], "more_trailers": True})
    await send({"type": kind, "headers": [(b"x-b", b"2")]})


@in_a_loop
async def test_trailers():
    """Trailers go behind the body to clients that say TE: trailers."""
    response = await Page(trailing).ask(b"GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n")
    assert response.endswith(b"\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n")


@in_a_loop
async def test_trailers_that_nobody_asked_for():
    """Other clients get none."""
    response = await Page(trailing).ask()
    assert response.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")


@in_a_loop
async def test_trailers_are_waited_for():
    """A response whose trailers are announced is complete only with them."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(start(200, trailers=True))
        await send(body(b"ok"))
        await go_on.wait()
        await send({"type": "http.response.trailers"})

    page = Page(app)
    assert not (await page.ask()).endswith(b"0\r\n\r\n")
    go_on.set()
    await page.settle()
    assert page.wire.take() == b"0\r\n\r\n"


@in_a_loop
async def test_path_send(tmp_path):
    """A path becomes the body, with its length unless that was declared."""
    path = tmp_path / "page.html"
    path.write_bytes(b"<p>" * 1000)

    async def app(scope, receive, send):
        await send(start(200, (b"content-type", b"text/html")))
        await send({"type": "http.response.pathsend", "path": str(path)})

    response = await Page(app).ask()
    assert b"\r\nContent-Length: 3000\r\n" in response
    assert response.endswith(b"\r\n\r\n" + b"<p>" * 1000)


@in_a_loop
async def test_path_send_is_all_of_a_body(told):
    """A path cannot be mixed with other bytes, and is sent only once."""
    raised = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", more_body=True))
        try:
            await send({"type": "http.response.pathsend", "path": "/etc/hosts"})
        except RuntimeError as error:
            raised.append(str(error))

    page = Page(app)
    await page.ask()
    assert "http.response.pathsend was sent, but expected was http.response.body" in raised[0]
    assert page.wire.transport.aborted
    assert told == ["<Request GET /> failed"]


@in_a_loop
async def test_zero_copy_send(tmp_path):
    """A file that is open is sent from its position, or from an offset, a part or all of it."""
    path = tmp_path / "letters"
    path.write_bytes(b"abcdefghij")
    kind = "http.response.zerocopysend"

    async def app(scope, receive, send):
        with path.open("rb") as file:
            file.seek(2)
            await send(start())
            await send(body(b"<", more_body=True))
            await send({"type": kind, "file": file, "count": 2, "more_body": True})
            await send({"type": kind, "file": file, "offset": 8, "more_body": True})
            await send({"type": kind, "file": file})

    response = await Page(app).ask()
    assert response.endswith(b"1\r\n<\r\n2\r\ncd\r\n2\r\nij\r\n6\r\nefghij\r\n0\r\n\r\n")


@in_a_loop
async def test_zero_copy_send_of_all(tmp_path):
    """A file that is the whole body is sent with its length; who opened it may close it."""
    path = tmp_path / "letters"
    path.write_bytes(b"abcdefghij")

    async def app(scope, receive, send):
        with path.open("rb") as file:
            await send(start())
            await send({"type": "http.response.zerocopysend", "file": file, "offset": 3})

    response = await Page(app).ask()
    assert response.endswith(b"Content-Length: 7\r\n\r\ndefghij")
