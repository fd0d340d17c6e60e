"""Requests and responses as handlers see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from mynet.http.body import RequestBody
from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.file import FileBody
from mynet.http.message import Request, Response, Upgrade, error_response
from mynet.http.reading import split_target
from mynet.http.tls import TLS
from mynet.http.writing import response_fields
from mynet.testing import CLIENT, SERVER, MemoryExchange, make_request, result_of
from tests.conversation import Waiting


def request_of(target: bytes, headers: RawHeaders | bytes = (), host: bytes = b"a.test") -> Request:
    path_and_query = split_target(target)
    return Request(MemoryExchange(), "GET", target, "1.1", host, headers, None, *path_and_query)


# What was asked for


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query_string", "url"),
    [
        (b"/", "/", b"/", b"", "http://a.test/"),
        (b"/a%20b/%C3%A9?x=1", "/a b/é", b"/a%20b/%C3%A9", b"x=1", "http://a.test/a%20b/%C3%A9?x=1"),
        (b"/a?b?c", "/a", b"/a", b"b?c", "http://a.test/a?b?c"),
        (b"/?", "/", b"/", b"", "http://a.test/"),
        (b"//a", "//a", b"//a", b"", "http://a.test//a"),
        (b"http://a.test/a?b", "/a", b"/a", b"b", "http://a.test/a?b"),
        (b"http://a.test", "/", b"/", b"", "http://a.test/"),
        (b"*", "*", b"*", b"", "http://a.test"),
    ],
)  # fmt: skip
def test_targets(target, path, raw_path, query_string, url):
    """A request tells what was asked for, decoded and as it was sent."""
    request = request_of(target)
    assert (request.target, request.path, request.raw_path) == (target, path, raw_path)
    assert request.query_string == query_string
    assert request.url.to_text() == url
    assert repr(request) == f"<Request GET {target.decode()}>"


def test_path_that_is_not_utf8():
    """A path that nobody can decode is the client's mistake, seen when it is asked for."""
    request = request_of(b"/%ff")
    assert request.raw_path == b"/%ff"
    with pytest.raises(HTTPError, match="400"):
        _ = request.path


def test_query():
    """The fields of a query keep their order and their repetitions."""
    request = request_of(b"/?a=1&b=%C3%A9+%2B&a=2&c")
    assert list(request.query.items()) == [("a", "1"), ("b", "é +"), ("a", "2"), ("c", "")]
    assert request.query.getall("a") == ["1", "2"]
    assert request.query is request.query
    for wrong in (b"/?%ff", b"/?" + b"a&" * 1001):
        with pytest.raises(HTTPError, match="400"):
            _ = request_of(wrong).query


@pytest.mark.parametrize("host", ["", "a.test", "a.test:8080", "[::1]:80", "a.test:"])
def test_host(host):
    """The host is that which the client asked for."""
    request = request_of(b"/", host=host.encode())
    assert request.host == host
    assert request.url.to_text().startswith("http://")


def test_mount():
    """What a mount takes off the path is put before it in the URL."""
    request = request_of(b"/api/v%31/users%2F?a=b")
    assert request.path == "/api/v1/users/"
    request.mount(4)
    assert (request.root_path, request.raw_path, request.path) == (
        "/api", b"/v%31/users%2F", "/v1/users/",
    )  # fmt: skip
    request.mount(5)
    assert (request.root_path, request.raw_path) == ("/api/v%31", b"/users%2F")
    assert request.url.to_text() == "http://a.test/api/v%31/users%2F?a=b"
    assert request.target == b"/api/v%31/users%2F?a=b"


# Its fields


def test_replaced_headers():
    """Middleware that changes a request changes all views of its fields."""
    request = request_of(b"/", [(b"cookie", b"a=1"), (b"content-encoding", b"gzip")])
    assert (request.cookies["a"], request.headers["Content-Encoding"]) == ("1", "gzip")
    request.replace_headers([(b"cookie", b"a=2")])
    assert (dict(request.headers), request.cookies["a"]) == ({"cookie": "a=2"}, "2")
    assert request.raw_headers == request.peek_raw_headers() == [(b"cookie", b"a=2")]


@pytest.mark.parametrize(
    "given",
    [
        b"HTTP/1.1\r\nHost: a.test\r\nX-A:\tb \r\nx-a: c: d\r\nE:\r\nF: \xe9\r\n\r\n",
        [(b"host", b"a.test"), (b"x-a", b"b"), (b"x-a", b"c: d"), (b"e", b""), (b"f", b"\xe9")],
    ],
)
def test_fields(given):
    """The fields are there in order, and by name in any case, whichever protocol brought them."""
    request = request_of(b"/", given)
    assert request.raw_headers == [
        (b"host", b"a.test"), (b"x-a", b"b"), (b"x-a", b"c: d"), (b"e", b""), (b"f", b"\xe9"),
    ]  # fmt: skip
    assert request.headers.getall("X-A") == ["b", "c: d"]
    assert (request.headers["e"], request.headers["F"]) == ("", "é")
    assert "g" not in request.headers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""), ("", ""), ("text/plain", "text/plain"), ("TEXT/Html; charset=x", "text/html"),
        (" application/json ;a=b", "application/json"),
    ],
)  # fmt: skip
def test_content_type(value, expected):
    """The media type is told without its parameters, in lower case."""
    fields = {} if value is None else {"Content-Type": value}
    assert make_request(headers=fields).content_type == expected


def test_cookies():
    """Cookies may stand in more than one field; of two with one name the first counts."""
    request = request_of(b"/", [(b"cookie", b"a=1; b=2"), (b"x", b"y"), (b"cookie", b"a=3; c=4")])
    assert request.cookies == {"a": "1", "b": "2", "c": "4"}
    assert request_of(b"/").cookies == {}


# Where it came from


def test_addresses():
    """A request knows both ends of its connection, and whether it was encrypted."""
    exchange = MemoryExchange()
    request = make_request(exchange=exchange)
    assert (request.client, request.server) == (CLIENT, SERVER)
    assert (request.scheme, request.tls) == ("http", None)
    exchange.scheme = "https"
    exchange.tls = TLS("TLSv1.3", "x", None, None, None)
    assert request.url.scheme == "https"
    assert request.tls is exchange.tls


# Its body


class Collector(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


async def chunks_of(request: Request) -> list[bytes]:
    return [chunk async for chunk in request]


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_ways_to_read(body):
    """A body is read whole, in chunks, or into a protocol; also one that is not there."""
    assert result_of(make_request(body=body).read()) == body
    assert result_of(Deferred.fromCoroutine(chunks_of(make_request(body=body)))) == [body] * bool(
        body
    )
    collector = Collector()
    assert result_of(make_request(body=body).deliver(collector)) is None
    assert collector.data == body
    assert collector.reason is not None
    assert collector.reason.check(ConnectionDone)
    assert make_request(body=body).trailers == []


def test_no_body_asks_for_none():
    """Reading a body that is not there asks the client for nothing."""
    exchange = MemoryExchange()
    request = make_request(exchange=exchange)
    assert result_of(request.read()) == b""
    assert result_of(Deferred.fromCoroutine(chunks_of(request))) == []
    assert result_of(request.read()) == b""
    assert not exchange.wanted


def test_body_in_time():
    """A body that has not come is waited for; the trailers come with its end."""
    exchange = MemoryExchange()
    body = RequestBody(exchange, None, 10)
    request = Request(exchange, "POST", b"/", "1.1", b"a", [], body, b"/", b"")
    whole = request.read()
    assert exchange.wanted
    body.feed(b"x" * 10)
    body.end([(b"a", b"b")])
    assert result_of(whole) == b"x" * 10
    assert request.trailers == [(b"a", b"b")]


def test_limit():
    """It is read up to a limit, its own or the one given."""
    with pytest.raises(HTTPError, match="413"):
        result_of(make_request(body=b"x" * (1024 * 1024 + 1)).read())
    with pytest.raises(HTTPError, match="413"):
        result_of(make_request(body=b"hello").read(4))
    with pytest.raises(HTTPError, match="413"):
        result_of(make_request(body=b"[1]").json(limit=2))
    assert result_of(make_request(body=b"hello").read(None)) == b"hello"


@dataclass
class Item:
    name: str
    sizes: list[int]


def test_json():
    """JSON is decoded, and checked against a type where one is given."""
    assert result_of(make_request(body=b'{"a": [1, null, "\xc3\xa9"]}').json()) == {
        "a": [1, None, "é"]
    }
    body = b'{"name": "x", "sizes": [1, 2]}'
    assert result_of(make_request(body=body).json(Item)) == Item("x", [1, 2])
    assert result_of(make_request(body=b"[1]").json(list[int])) == [1]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nope", b"[1] x", b"'a'", b'"\xff"', b"NaN", b"[" * 100_000, b"\xff\xfe1\0"],
)
def test_json_that_is_none(body):
    """What is no JSON is the client's mistake: 400."""
    with pytest.raises(HTTPError, match=r"400.*not the JSON expected: "):
        result_of(make_request(body=body).json())


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[]", "array"),
        (b'{"name": "x"}', "`sizes`"),
        (b'{"name": "x", "sizes": [1, "y"]}', "sizes[1]"),
    ],
)
def test_json_that_is_not_expected(body, detail):
    """Nor is other JSON than was expected; the error tells where it differs."""
    with pytest.raises(HTTPError, match=r"400.*not the JSON expected: ") as caught:
        result_of(make_request(body=body).json(Item))
    assert detail in caught.value.detail


def test_form():
    """A form's fields and files are read; what is no form is told: 415."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    form = result_of(make_request("POST", headers=headers, body=b"a=1&a=2&b=+").form())
    assert list(form.items()) == [("a", "1"), ("a", "2"), ("b", " ")]
    with pytest.raises(HTTPError, match="415"):
        result_of(make_request("POST", body=b"a=1").form())


def test_files_of_a_form():
    """Its files are gone when the request is over."""
    body = b"--x\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\nhello\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    request = make_request("POST", headers=headers, body=body)
    form = result_of(request.form())
    uploaded: Any = form["f"]
    assert uploaded.read() == b"hello"
    request.finish()
    with pytest.raises(ValueError, match="closed"):
        uploaded.read()


# Its course


def test_state():
    """A request carries what middleware and handlers keep with it."""
    request, other = make_request(), make_request()
    request.state["user"] = "x"
    request.path_params["id"] = 5
    assert (request.state, other.state) == ({"user": "x"}, {})
    assert (request.path_params, other.path_params) == ({"id": 5}, {})


def test_finish(logged):
    """What is to be called in the end is called once, last first, whatever fails."""
    calls: list[int] = []
    request = make_request()
    request.on_finish(lambda: calls.append(1))
    request.on_finish(lambda: [][0])
    request.on_finish(lambda: calls.append(2))
    request.finish()
    request.finish()
    assert calls == [2, 1]
    request.on_finish(lambda: calls.append(3))
    assert calls == [2, 1, 3]
    logged.take(IndexError)


def test_forget():
    """What is not to be called any more is not, and the rest is."""
    calls: list[int] = []
    request = make_request()
    first, second = (lambda: calls.append(1)), (lambda: calls.append(2))
    request.forget(first)
    request.on_finish(first)
    request.on_finish(second)
    request.forget(first)
    request.finish()
    assert calls == [2]
    request.forget(second)


def test_notice_of_the_client_going():
    """A handler may ask to be told; when all is over it is told at once."""
    exchange = MemoryExchange()
    request = make_request(exchange=exchange)
    gone = [request.disconnected(), request.disconnected()]
    assert not any(each.called for each in gone)
    exchange.disconnect()
    assert [result_of(each) for each in gone] == [None, None]
    request.finish()
    assert result_of(request.disconnected()) is None


def test_early_hints():
    """Hints are links of an interim response, as long as there is one to come."""
    exchange = MemoryExchange()
    request = make_request(exchange=exchange)
    request.early_hints("</a>; rel=preload", "</b>; rel=preload")
    request.finish()
    request.early_hints("</c>; rel=preload")
    assert exchange.interim == [
        (103, [(b"link", b"</a>; rel=preload"), (b"link", b"</b>; rel=preload")])
    ]


# Responses


def test_response():
    """A response is what it was made with, and can be changed until it is sent."""
    response = Response()
    assert (response.status, response.body, response.content_type) == (200, b"", None)
    assert repr(response) == "<Response 200>"
    response = Response(b"x", 404, {"A": "b"}, "text/plain")
    assert response.content_type == "text/plain"
    assert dict(response.headers) == {"A": "b", "Content-Type": "text/plain"}
    response.headers["content-type"] = "text/html"
    assert response.content_type == "text/html"


def test_raw_response():
    """Fields that are bytes already go out as they are, and can still be changed as any others."""
    fields = [(b"Content-Type", b"text/x"), (b"set-cookie", b"a=\xe9"), (b"set-cookie", b"c")]
    response = Response.raw(b"hi", 201, fields)
    assert response.has_headers
    assert response.raw_headers is fields
    assert response.content_type == "text/x"
    assert response.headers.getall("Set-Cookie") == ["a=\xe9", "c"]
    response.headers["A"] = "b"
    assert list(response.raw_headers) == [*fields, (b"A", b"b")]
    assert list(Response(b"", 200, None, "text/x").raw_headers) == [(b"Content-Type", b"text/x")]
    with pytest.raises(ValueError, match="A: \u20ac"):
        Response(b"", headers={"A": "\u20ac"}).raw_headers  # noqa: B018


def test_raw_response_that_was_checked():
    """Fields need not be checked twice; what is changed afterwards is."""
    fields = [(b"content-type", b"text/x"), (b"content-length", b"2")]
    checked = response_fields(fields)
    response = Response.raw(b"hi", 200, fields, checked)
    assert response.check_fields() is checked
    response.headers["A"] = "b"
    assert response.check_fields().lines == b"content-type: text/x\r\nA: b\r\n"
    assert Response.raw(b"hi", 200, fields).check_fields() == checked
    with pytest.raises(ValueError, match="not a valid header field"):
        Response.raw(b"", 200, [(b"a b", b"")]).check_fields()


@pytest.mark.parametrize("headers", [{"A": "1", "B": "2"}, [("A", "1"), ("A", "2")], []])
def test_response_headers(headers):
    """Its fields may be a mapping, or pairs."""
    expected = list(headers.items()) if isinstance(headers, Mapping) else headers
    assert list(Response(headers=headers).headers.items()) == expected


def test_own_content_type():
    """A Content-Type among its fields is the one that counts."""
    response = Response(b"", 200, {"content-type": "a/b"}, "c/d")
    assert response.headers.getall("Content-Type") == ["a/b"]


def test_response_can_be_awaited():
    """Middleware may await whatever a handler returned."""

    async def middleware(result: Any) -> Response:
        response: Response = await result
        return response

    response = Response()
    for result in (response, succeed(response)):
        assert result_of(Deferred.fromCoroutine(middleware(result))) is response


def test_kinds():
    """Text, pages and JSON have their types; text is UTF-8."""
    for response, body, content_type in (
        (Response.text("é"), "é".encode(), "text/plain; charset=utf-8"),
        (Response.html("<p>é"), "<p>é".encode(), "text/html; charset=utf-8"),
        (Response.json({"é": [1, None]}), '{"é":[1,null]}'.encode(), "application/json"),
        (Response.json(Item("x", [])), b'{"name":"x","sizes":[]}', "application/json"),
    ):
        assert (response.body, response.content_type) == (body, content_type)
    assert Response.text("", 404).status == Response.json(1, 404).status == 404
    with pytest.raises(TypeError):
        Response.json(object())


def test_redirect():
    """A redirect leads elsewhere, with GET unless it says otherwise."""
    response = Response.redirect("/a")
    assert (response.status, response.headers["Location"], response.body) == (303, "/a", b"")
    for status in (301, 302, 303, 307, 308):
        assert Response.redirect("/a", status).status == status
    for status in (200, 300, 304, 306, 400):
        with pytest.raises(ValueError, match="redirect"):
            Response.redirect("/a", status)


def test_file(tmp_path):
    """A file has its length, and a type that makes nothing of it."""
    path = tmp_path / "a.html"
    path.write_bytes(b"hello")
    response = Response.file(path)
    assert isinstance(response.body, FileBody)
    assert response.body.length == 5
    assert response.content_type == "application/octet-stream"
    response.body.close()
    response = Response.file(str(path), "text/html")
    assert response.content_type == "text/html"
    response.body.close()  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError):
        Response.file(tmp_path / "b")
    with pytest.raises(IsADirectoryError):
        Response.file(tmp_path)


def test_cookie():
    """A cookie is set as carefully as can be, unless told otherwise."""
    response = Response()
    response.set_cookie("a", "b")
    response.set_cookie(
        "c", "", max_age=0, path="/x", domain="a.test", secure=False, http_only=False,
        same_site="None",
    )  # fmt: skip
    response.delete_cookie("a", path="/x", domain="a.test")
    assert response.headers.getall("Set-Cookie") == [
        "a=b; HttpOnly; Path=/; SameSite=Lax; Secure",
        'c=""; Domain=a.test; Max-Age=0; Path=/x; SameSite=None',
        'a=""; Domain=a.test; HttpOnly; Max-Age=0; Path=/x; SameSite=Lax; Secure',
    ]


@pytest.mark.parametrize(
    "value", ["a b", 'a"b', "a,b", "a;b", "a\\b", "é", "\n", "\0", "a\r\nb: c"]
)
def test_cookie_value_that_is_none(value):
    """What a cookie cannot carry has to be encoded by whoever sets it."""
    with pytest.raises(ValueError, match="not a value for a cookie"):
        Response().set_cookie("a", value)


@pytest.mark.parametrize("name", ["", "a b", "a;", "a=b", "a\r\n", "é", "path"])
def test_cookie_name_that_is_none(name):
    """A cookie's name is a token, and no attribute's."""
    with pytest.raises(CookieError):
        Response().set_cookie(name, "x")


def test_upgrade():
    """An upgrade is a response that names its protocol."""
    protocol = Protocol()
    upgrade = Upgrade("websocket", protocol, {"A": "b"})
    assert isinstance(upgrade, Response)
    assert (upgrade.status, upgrade.protocol) == (101, protocol)
    assert dict(upgrade.headers) == {"A": "b", "Upgrade": "websocket"}


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (HTTPError(404), b"404 Not Found\n"),
        (HTTPError(404, "Nothing here."), b"404 Not Found\nNothing here.\n"),
        (HTTPError(499), b"499 Error\n"),
    ],
)
def test_error_response(error, body):
    """An error is told in plain words, with its fields."""
    response = error_response(error)
    assert (response.status, response.body) == (error.status, body)
    assert response.content_type == "text/plain; charset=utf-8"
    response = error_response(HTTPError(405, headers={"Allow": "GET"}, close=True))
    assert response.headers["Allow"] == "GET"
    assert response.headers["Connection"] == "close"


def test_handler_is_any_callable():
    """What a handler is called with is all it needs to know."""
    waiting = Waiting()
    request = make_request()
    result = waiting(request)
    waiting.answers[0].callback(Response(b"x"))
    assert result_of(result).body == b"x"
