"""The opening handshake: who is let in, and what is not fooled."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.errors import HTTPError
from mynet.http.limits import Limits
from mynet.http.reading import HeadReader, parse_fields
from mynet.websocket.deflate import Deflate, Extension, make_offer
from mynet.websocket.handshake import (
    Handshake,
    HandshakeError,
    accept_key,
    check_origin,
    check_request,
    check_response,
    choose_subprotocol,
    make_key,
    parse_extensions,
    parse_origins,
    request_head,
    response_headers,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # to that key: RFC 6455 section 1.3

Fields = list[tuple[bytes, bytes]]

REQUEST = [
    (b"host", b"example.test"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]
RESPONSE = [
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-accept", ACCEPT),
]


def but(fields: Fields, name: bytes, *values: bytes) -> Fields:
    """Fields with other values for one name."""
    rest = [(each, value) for each, value in fields if each != name]
    return rest + [(name, value) for value in values]


def check(*fields: tuple[bytes, bytes]) -> Handshake:
    return check_request("GET", "1.1", [*REQUEST, *fields])


def refusal(method: str = "GET", version: str = "1.1", headers: Fields = REQUEST) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        check_request(method, version, headers)
    return caught.value


# A server's part


def test_key():
    """A client is answered with what only this protocol makes of its key."""
    assert accept_key(KEY) == ACCEPT


def test_plain_request():
    """The least that a client has to send is enough."""
    assert check() == Handshake(KEY, (), [], None)


def test_browser():
    """A browser's handshake says what it offers, and which page asks."""
    handshake = check(
        (b"origin", b"https://example.test"),
        (b"sec-websocket-protocol", b"chat.v2, chat"),
        (b"sec-websocket-protocol", b"Chat"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        (b"sec-websocket-extensions", b"x-webkit-deflate-frame"),
    )
    assert handshake.origin == "https://example.test"
    assert handshake.subprotocols == ("chat.v2", "chat", "Chat")
    assert handshake.extensions == [
        Extension("permessage-deflate", (("client_max_window_bits", None),)),
        Extension("x-webkit-deflate-frame"),
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (b"upgrade", [b"WebSocket"]), (b"upgrade", [b"h2c, websocket"]),
        (b"upgrade", [b"h2c", b"WEBSOCKET"]), (b"connection", [b"keep-alive, Upgrade"]),
        (b"connection", [b"keep-alive", b"upgrade"]), (b"connection", [b"keep-alive ,\tUPGRADE"]),
    ],
)  # fmt: skip
def test_tokens(name, values):
    """Firefox keeps the connection alive, proxies write in small letters: all are let in."""
    assert check_request("GET", "1.1", but(REQUEST, name, *values)).key == KEY


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_method(method):
    """A method that opens no WebSocket is answered with the one that does."""
    error = refusal(method, headers=[])
    assert (error.status, error.headers) == (405, {"Allow": "GET"})


@pytest.mark.parametrize(
    "headers",
    [
        [], but(REQUEST, b"upgrade"), but(REQUEST, b"upgrade", b"h2c"),
        but(REQUEST, b"upgrade", b"websockets"), but(REQUEST, b"upgrade", b"websocket/13"),
        but(REQUEST, b"connection"), but(REQUEST, b"connection", b"keep-alive"),
        but(REQUEST, b"sec-websocket-version", b"8"),
        but(REQUEST, b"sec-websocket-version", b"13, 8"),
        but(REQUEST, b"sec-websocket-version", b""),
    ],
)  # fmt: skip
def test_upgrade_required(headers):
    """Who asks for no WebSocket, or one of another version, learns how to."""
    error = refusal(headers=headers)
    assert error.status == 426
    assert error.headers == {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize("version", ["1.0", "2"])
def test_http_version(version):
    """The handshake is HTTP/1.1."""
    assert refusal(version=version).status == 400


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (b"sec-websocket-version", []), (b"sec-websocket-version", [b"13", b"13"]),
        (b"sec-websocket-key", []), (b"sec-websocket-key", [KEY, KEY]),
        (b"sec-websocket-key", [b""]), (b"sec-websocket-key", [KEY[:-1]]),
        (b"sec-websocket-key", [KEY[:-4]]), (b"sec-websocket-key", [base64.b64encode(bytes(15))]),
        (b"sec-websocket-key", [base64.b64encode(bytes(17))]), (b"sec-websocket-key", [b"*" * 24]),
        (b"sec-websocket-key", [b"-" + KEY[1:]]),
        (b"sec-websocket-protocol", [b"a b"]), (b"sec-websocket-protocol", [b"a,,b,a"]),
        (b"sec-websocket-protocol", [b"a/b"]), (b"sec-websocket-protocol", [b"\xe9"]),
        (b"sec-websocket-protocol", [b"a, a"]), (b"sec-websocket-protocol", [b"a", b"b, a"]),
        (b"sec-websocket-extensions", [b";"]), (b"sec-websocket-extensions", [b"a", b"b c"]),
        (b"origin", [b"https://example.test", b"https://example.test"]),
    ],
)  # fmt: skip
def test_bad_request(name, values):
    """A handshake that is not as RFC 6455 has it is refused, and told what is wrong."""
    error = refusal(headers=but(REQUEST, name, *values))
    title = name.decode().lower()
    assert error.status == 400
    assert title in error.detail.lower()


@pytest.mark.parametrize("value", [b"", b",", b" ,\t", b"%b,", b",%b", b", %b ,,", b" ,,%b"])
def test_empty_elements(value):
    """Empty elements of a list are skipped, also where a proxy has left nothing else of it."""
    for name, element in ((b"upgrade", b"websocket"), (b"connection", b"Upgrade")):
        values = [value.replace(b"%b", element), *([] if b"%b" in value else [element])]
        assert check_request("GET", "1.1", but(REQUEST, name, *values)).key == KEY
    value = value.replace(b"%b", b"a")
    fields = [(b"sec-websocket-protocol", value), (b"sec-websocket-extensions", value)]
    handshake = check(*fields)
    there = b"a" in value
    assert handshake.subprotocols == (("a",) if there else ())
    assert handshake.extensions == ([Extension("a")] if there else [])


@given(
    st.sampled_from(["upgrade", "connection", "sec-websocket-key", "sec-websocket-version",
                     "sec-websocket-protocol", "sec-websocket-extensions", "origin"]),
    st.lists(st.binary(max_size=40) | st.text('a;=", \\\t', max_size=12).map(str.encode)),
)  # fmt: skip
def test_any_request(name, values):
    """Whatever stands in the fields, it is a handshake, or an answer that says what is wrong."""
    try:
        check_request("GET", "1.1", but(REQUEST, name.encode(), *values))
    except HTTPError as error:
        told = error
    else:
        return
    assert told.status in (400, 426)
    assert told.detail


@pytest.mark.parametrize(
    ("offered", "supported", "chosen"),
    [
        (("a", "b"), ("b", "a"), "b"), (("a", "b"), ("c", "a"), "a"), (("a",), ("A", "b"), None),
        ((), ("a",), None), (("a",), (), None),
    ],
)  # fmt: skip
def test_subprotocol(offered, supported, chosen):
    """Of what the client offers, the server takes what it likes best itself."""
    assert choose_subprotocol(offered, supported) == chosen


def test_response():
    """The 101 says what was chosen, and nothing of what was not."""
    assert response_headers(KEY) == [("Sec-WebSocket-Accept", ACCEPT.decode())]
    assert response_headers(KEY, "chat", "permessage-deflate") == [
        ("Sec-WebSocket-Accept", ACCEPT.decode()),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ]
    assert response_headers(KEY, headers=[("X-A", "b")])[1:] == [("X-A", "b")]


@pytest.mark.parametrize(
    "name",
    [
        "Sec-WebSocket-Accept", "sec-websocket-protocol", "SEC-WEBSOCKET-EXTENSIONS", "Upgrade",
        "Connection", "content-length", "Transfer-Encoding",
    ],
)  # fmt: skip
def test_fields_of_the_handshake(name):
    """What the handshake decides cannot be said otherwise by a field that is added."""
    with pytest.raises(ValueError, match=f"^{name} is for the handshake to set"):
        response_headers(KEY, headers=[("X-A", "b"), (name, "c")])


# Extensions


@pytest.mark.parametrize(
    ("value", "extensions"),
    [
        (b"a", [Extension("a")]),
        (b" a ,\tb ", [Extension("a"), Extension("b")]),
        (b"a;b;c=d", [Extension("a", (("b", None), ("c", "d")))]),
        (b"a ; b = c ;d", [Extension("a", (("b", "c"), ("d", None)))]),
        (b'a; b="c"; d="\\e\\"' + b'f"', None),
        (b'a; b="c\\d", e', [Extension("a", (("b", "cd"),)), Extension("e")]),
        (b"a; b=1; b=2", [Extension("a", (("b", "1"), ("b", "2")))]),
    ],
)  # fmt: skip
def test_extensions(value, extensions):
    """Extensions are taken apart as RFC 6455 section 9.1 writes them."""
    if extensions is None:
        with pytest.raises(ValueError, match="token"):
            parse_extensions([value])
    else:
        assert parse_extensions([value]) == extensions
        assert parse_extensions([value, b"z"]) == [*extensions, Extension("z")]


@pytest.mark.parametrize(
    "value",
    [
        b"a;", b"a; ;b", b"a;,b", b",;", b"a b,", b"a;=b", b"a;b=", b"a b", b"a;b c",
        b"a;b=c d", b'a;b="', b'a;b="c', b'a;b=""', b'a;b="c d"', b'a;b="c;d"', b'a;b="c"d',
        b'"a"', b"a=b", b"a/b", b"\xe9", b'a;b="\xe9"', b"a\x00", b"a\n", b'a;b="c\\"',
    ],
)  # fmt: skip
def test_malformed_extensions(value):
    """What is malformed is not guessed at."""
    for values in ([value], [b"x", value], [value, b"x"]):
        with pytest.raises(ValueError, match=r"^Sec-WebSocket-Extensions .*\.$"):
            parse_extensions(values)


@pytest.mark.parametrize("part", [b";a", b"; a = b ", b" ", b'"', b';a="\\', b"a,", b";", b'\\"'])
@pytest.mark.parametrize("start", [b"a", b'a; b="'])
def test_extensions_without_end(start, part):
    """Reading a field of many repetitions takes time as it is long, not as its square."""
    with suppress(ValueError):
        parse_extensions([start + part * 100_000])
    with pytest.raises(ValueError, match="malformed"):
        parse_extensions([start + part * 100_000 + b"/"])


# Origins


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "example.test"), ("https://example.test", "example.test"),
        ("http://example.test", "example.test"), ("https://Example.test", "EXAMPLE.TEST"),
        ("https://example.test", "example.test:443"), ("http://example.test", "example.test:80"),
        ("https://example.test:443", "example.test"), ("http://example.test:8080",
         "example.test:8080"), ("http://example.test", "example.test:"),
        ("http://[::1]:8080", "[::1]:8080"), ("http://[::1]", "[::1]"),
    ],
)  # fmt: skip
def test_same_origin(origin, host):
    """A page may speak with the host and port that it comes from."""
    check_origin(origin, host, None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.test", "example.test"), ("https://example.test.evil.test", "example.test"),
        ("https://sub.example.test", "example.test"), ("http://example.test:81", "example.test"),
        ("http://example.test", "example.test:81"), ("http://example.test", "example.test:443"),
        ("https://example.test", "example.test:80"), ("null", "example.test"), ("null", "null"),
        ("", ""), ("", "example.test"), ("example.test", "example.test"), ("http://", ""),
        ("//example.test", "example.test"), ("https://example.test/", "example.test"),
        ("https://user@example.test", "example.test"), ("http://example.test:", "example.test"),
        ("https://example.test https://evil.test", "example.test"),
        ("https://example.test\n", "example.test"), ("https://\xe9", "\xe9"),
        ("chrome-extension://abc", "example.test"), ("file://", "example.test"),
        ("x://example.test:80", "example.test"), ("x://example.test:80", "example.test:80"),
        ("chrome-extension://example.test", "example.test"), ("x://abc", "abc:"),
    ],
)  # fmt: skip
def test_other_origin(origin, host):
    """A page of another origin, or of none, gets 403: it would act as the user."""
    with pytest.raises(HTTPError) as caught:
        check_origin(origin, host, None)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("origin", "origins"),
    [
        (None, ["https://a.test"]), ("https://a.test", ["https://b.test", "https://a.test"]),
        ("https://A.test", ["HTTPS://a.TEST:443"]),
        ("https://a.test:8443", ["https://a.test:8443"]),
        ("https://a.test:443", ["https://a.test"]), ("null", ["null"]), ("null", ["*"]),
        ("chrome-extension://abc", ["chrome-extension://abc"]), (None, []), ("nonsense", ["*"]),
    ],
)  # fmt: skip
def test_allowed_origin(origin, origins):
    """A page of an origin that is named may open a WebSocket, from wherever it comes."""
    check_origin(origin, "example.test", origins)
    check_origin(origin, "example.test", parse_origins(origins))


@pytest.mark.parametrize(
    ("origin", "origins"),
    [
        ("https://example.test", []), ("https://example.test", ["https://a.test"]),
        ("http://a.test", ["https://a.test"]), ("https://a.test", ["https://a.test:8443"]),
        ("https://a.test.evil.test", ["https://a.test"]), ("null", ["https://a.test"]),
        ("nonsense", ["https://a.test"]), ("*", ["https://a.test"]),
    ],
)  # fmt: skip
def test_origin_not_allowed(origin, origins):
    """Where origins are named, those alone are let in, and not even the same host."""
    with pytest.raises(HTTPError) as caught:
        check_origin(origin, "example.test", origins)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "origins", [["a.test"], ["https://a.test/"], ["https://*.a.test/x"], ["https://"], "*"]
)
def test_no_origins(origins):
    """What could never match a page is an error where it is named, not a riddle later."""
    with pytest.raises(ValueError, match=r"^(not an origin|origins are)"):
        parse_origins(origins)


# A client's part


def test_keys():
    """Each connection has a key of its own that a server takes."""
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(check_request("GET", "1.1", but(REQUEST, b"sec-websocket-key", k)) for k in keys)


def test_request():
    """Our server understands our client, and what it asks for."""
    head = request_head(
        b"/chat?room=1", "[::1]:8080", KEY,
        subprotocols=["b", "a"], extensions=make_offer(Deflate()), origin="https://example.test",
        headers=[("Cookie", "a=b"), ("X-Twice", "1"), ("X-Twice", "2")],
    )  # fmt: skip
    read = HeadReader(Limits()).read(head)
    assert read
    method, target, version, framing, fields, *_ = read
    headers = parse_fields(fields)
    assert (method, target, framing.host) == ("GET", b"/chat?room=1", b"[::1]:8080")
    assert (b"cookie", b"a=b") in headers
    assert [value for name, value in headers if name == b"x-twice"] == [b"1", b"2"]
    handshake = check_request(method, version, headers)
    assert handshake[:2] == (KEY, ("b", "a"))
    assert handshake.origin == "https://example.test"
    assert handshake.extensions == parse_extensions([make_offer(Deflate()).encode()])


def test_least_request():
    """A client that wants nothing special asks for nothing special."""
    assert request_head(b"/", "a", KEY) == (
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )


INJECTION = "x\r\nX-Injected: 1"


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": b""}, {"target": b"chat"}, {"target": b"/a b"}, {"target": b"/#a"},
        {"target": b"/ HTTP/1.1\r\nX-Injected: 1"}, {"target": b"/\xe9"},
        {"host": INJECTION}, {"host": ""}, {"host": "a/b"}, {"host": "user@a"}, {"host": "a:x"},
        {"subprotocols": [""]}, {"subprotocols": ["a b"]}, {"subprotocols": ["a", "a"]},
        {"subprotocols": ["a,b"]}, {"subprotocols": [INJECTION]}, {"subprotocols": ["a\n"]},
        {"extensions": INJECTION}, {"origin": INJECTION},
        {"headers": [("X", INJECTION)]}, {"headers": [("X: 1\r\nY", "1")]},
        {"headers": [("", "1")]}, {"headers": [("X", "\u20ac")]},
        *({"headers": [(name, "1")]} for name in (
            "Host", "upgrade", "CONNECTION", "Content-Length", "Transfer-Encoding", "Origin",
            "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept",
        )),
    ],
)  # fmt: skip
def test_no_request(arguments):
    """Nothing that a program puts into a request breaks out of its place there."""
    with pytest.raises(ValueError, match=r"^not |for the handshake"):
        request_head(**({"target": b"/", "host": "a", "key": KEY} | arguments))


@pytest.mark.parametrize(
    ("headers", "result"),
    [
        (RESPONSE, (None, [])),
        (but(RESPONSE, b"upgrade", b"WebSocket"), (None, [])),
        (but(RESPONSE, b"connection", b"keep-alive, upgrade"), (None, [])),
        (but(RESPONSE, b"sec-websocket-protocol", b"b"), ("b", [])),
        (but(RESPONSE, b"sec-websocket-extensions", b"x; y=1"),
         (None, [Extension("x", (("y", "1"),))])),
    ],
)  # fmt: skip
def test_answer(headers, result):
    """A server's answer says what was chosen."""
    assert check_response(headers, KEY, ["a", "b"]) == result


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (b"upgrade", [], "upgrade"), (b"upgrade", [b"h2c"], "upgrade"),
        (b"upgrade", [b"websocket, h2c"], "upgrade"),
        (b"upgrade", [b"websocket", b"websocket"], "upgrade"),
        (b"connection", [], "Connection"), (b"connection", [b"close"], "Connection"),
        (b"sec-websocket-accept", [], "Accept"),
        (b"sec-websocket-accept", [ACCEPT, ACCEPT], "Accept"),
        (b"sec-websocket-accept", [ACCEPT.lower()], "Accept"),
        (b"sec-websocket-accept", [accept_key(make_key())], "Accept"),
        (b"sec-websocket-protocol", [b"c"], "subprotocol"),
        (b"sec-websocket-protocol", [b"A"], "subprotocol"),
        (b"sec-websocket-protocol", [b""], "subprotocol"),
        (b"sec-websocket-protocol", [b"a, b"], "subprotocol"),
        (b"sec-websocket-protocol", [b"a", b"b"], "subprotocol"),
        (b"sec-websocket-extensions", [b"a;"], "Extensions"),
    ],
)  # fmt: skip
def test_wrong_answer(name, values, message):
    """An answer to another request, or of another protocol, is not taken for ours."""
    with pytest.raises(HandshakeError, match=message):
        check_response(but(RESPONSE, name, *values), KEY, ["a", "b"])


def test_both_sides():
    """Our client takes what our server answers."""
    key = make_key()
    answer = [(name.lower().encode(), value.encode())
              for name, value in response_headers(key, "a", "permessage-deflate")]  # fmt: skip
    headers = RESPONSE[:2] + answer
    assert check_response(headers, key, ["a"]) == ("a", [Extension("permessage-deflate")])
