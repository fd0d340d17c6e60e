"""What an application is told of a request (PEP 3333, "environ Variables")."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from mynet.handlers.wsgi.environ import make_environ
from mynet.http.body import RequestBody
from mynet.http.message import Request, Response
from mynet.http.tls import TLS
from mynet.testing import MemoryExchange, Wire, make_request


def environ_of(*args: Any, **options: Any) -> dict[str, Any]:
    return make_environ(make_request(*args, **options), {})


def over_wire(data: bytes) -> dict[str, Any]:
    """The environ of a request in the bytes of a connection."""
    environs: list[dict[str, Any]] = []

    def handler(request: Request) -> Response:
        environs.append(make_environ(request, {}))
        return Response()

    Wire(handler).send(data)
    return environs[0]


def test_method_and_target():
    """An application is told what was asked for, in the words of CGI."""
    environ = environ_of("POST", "/a/b?c=d&e=%20")
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a/b"
    assert environ["QUERY_STRING"] == "c=d&e=%20"
    assert environ["REQUEST_URI"] == "/a/b?c=d&e=%20"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_query_is_never_missing():
    """A target without a query has an empty one."""
    assert environ_of("GET", "/")["QUERY_STRING"] == ""


def test_path_is_latin_1():
    """A path is decoded to bytes, each of which is a character; applications know their coding."""
    environ = environ_of("GET", "/gr%C3%BC%C3%9Fe%20%2f%ff")
    assert environ["PATH_INFO"].encode("latin-1") == b"/gr\xc3\xbc\xc3\x9fe /\xff"


def test_mounted():
    """Below a mount the front of the path is the SCRIPT_NAME, and the rest the PATH_INFO."""
    request = make_request("GET", "/an%20app/page")
    request.mount(len("/an%20app"))
    environ = make_environ(request, {})
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/an app", "/page")
    assert environ["REQUEST_URI"] == "/an%20app/page"


def test_mounted_path_may_be_empty():
    """The root of a mount without a slash has an empty PATH_INFO."""
    request = make_request("GET", "/app")
    request.mount(len("/app"))
    environ = make_environ(request, {})
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "")


def test_asterisk():
    """OPTIONS * is about no path: PATH_INFO would have to begin with a slash."""
    environ = environ_of("OPTIONS", "*")
    assert (environ["PATH_INFO"], environ["REQUEST_URI"]) == ("", "*")


def test_fields():
    """Fields are HTTP_ variables, in upper case and with underscores."""
    environ = environ_of(headers={"Accept": "a/b", "X-Some-Field": "c", "Host": "d"})
    assert environ["HTTP_ACCEPT"] == "a/b"
    assert environ["HTTP_X_SOME_FIELD"] == "c"
    assert environ["HTTP_HOST"] == "d"


def test_content_fields_have_no_prefix():
    """Content-Type and Content-Length are variables without HTTP_, and only that."""
    environ = environ_of("POST", headers={"Content-Type": "a/b"}, body=b"12345")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("a/b", "5")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_no_content():
    """A request without a body has no Content-Length, unless it says so itself."""
    assert "CONTENT_LENGTH" not in environ_of()
    assert environ_of(headers={"Content-Length": "0"})["CONTENT_LENGTH"] == "0"


def test_length_is_that_of_the_body():
    """Where middleware has replaced the body by one of unknown length, no length is told."""
    request = make_request("POST", headers={"Content-Length": "5"})
    request.body = RequestBody(MemoryExchange(), None, 1)
    assert "CONTENT_LENGTH" not in make_environ(request, {})


def test_chunked_body_has_no_length():
    """The length of a chunked body is not known."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    environ = over_wire(head)
    assert "CONTENT_LENGTH" not in environ
    assert environ["HTTP_TRANSFER_ENCODING"] == "chunked"


def test_underscores_are_dropped():
    """Nobody can set X-User, which a proxy vouches for, by sending X_User."""
    environ = over_wire(b"GET / HTTP/1.1\r\nHost: a\r\nX_User: root\r\nContent_Type: b\r\n\r\n")
    assert not {"HTTP_X_USER", "CONTENT_TYPE", "HTTP_CONTENT_TYPE"} & environ.keys()


def test_proxy_is_dropped():
    """No client chooses the proxy of programs that read HTTP_PROXY (CVE-2016-5385)."""
    assert "HTTP_PROXY" not in environ_of(headers={"Proxy": "evil.example"})


def test_repeated_fields_are_joined():
    """Fields of one name are one variable, as RFC 9110 has it; Cookies as RFC 6265 has it."""
    fields = b"A: 1\r\nCookie: a=b\r\nA: 2\r\nCookie: c=d\r\n"
    environ = over_wire(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert environ["HTTP_A"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"


def test_values_are_latin_1():
    """Each byte of a value is a character."""
    environ = over_wire(b"GET / HTTP/1.1\r\nHost: a\r\nA: \xc3\xbc\r\n\r\n")
    assert environ["HTTP_A"].encode("latin-1") == b"\xc3\xbc"


def test_host_of_an_absolute_target():
    """The host in a target counts, not the one in the field (RFC 9112 section 3.2.2)."""
    environ = over_wire(b"GET http://a.test/b HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("a.test", "/b")


def test_no_host():
    """HTTP/1.0 needs no Host; the server's name and port are there for that."""
    environ = over_wire(b"GET / HTTP/1.0\r\n\r\n")
    assert "HTTP_HOST" not in environ
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("192.0.2.2", "80")


def environ_at(server: Any, client: Any = None) -> dict[str, Any]:
    exchange = MemoryExchange()
    exchange.server, exchange.client = server, client or server
    return environ_of(exchange=exchange)


def test_addresses():
    """The addresses of both sides are told."""
    client = IPv4Address("TCP", "192.0.2.7", 1234)
    environ = environ_at(IPv4Address("TCP", "192.0.2.8", 8080), client)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "1234")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("192.0.2.8", "8080")


def test_ipv6():
    """An IPv6 address is in brackets where URLs are made of it, and only there."""
    environ = environ_at(IPv6Address("TCP", "2001:db8::1", 8080))
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == ("2001:db8::1", "[2001:db8::1]")


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_unix_socket(scheme, port):
    """On a UNIX socket the client has no address, and the server's name is not empty."""
    exchange = MemoryExchange()
    exchange.server = exchange.client = UNIXAddress(b"/run/socket")
    exchange.scheme = scheme
    environ = environ_of(exchange=exchange)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", port)


def test_no_tls():
    """Without TLS there is nothing that seems to be of it."""
    environ = environ_of()
    assert environ["wsgi.url_scheme"] == "http"
    assert [key for key in environ if key.startswith(("HTTPS", "SSL"))] == []


def test_tls():
    """With TLS an application learns what was agreed upon, by the names that Apache uses."""
    exchange = MemoryExchange()
    exchange.scheme = "https"
    exchange.tls = TLS("TLSv1.3", "TLS_AES_256_GCM_SHA384", "a.test", None, b"\x30\x00")
    environ = environ_of(exchange=exchange)
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["SSL_PROTOCOL"] == "TLSv1.3"
    assert environ["SSL_CIPHER"] == "TLS_AES_256_GCM_SHA384"
    assert environ["SSL_TLS_SNI"] == "a.test"
    certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    assert environ["SSL_CLIENT_CERT"] == certificate


def test_tls_without_names():
    """A client without a certificate, that asks for no name, has neither."""
    exchange = MemoryExchange()
    exchange.scheme = "https"
    exchange.tls = TLS("TLSv1.2", "AES128-SHA", None, None, None)
    environ = environ_of(exchange=exchange)
    assert not {"SSL_TLS_SNI", "SSL_CLIENT_CERT"} & environ.keys()


def test_https_of_others():
    """TLS of which nothing is known is still TLS."""
    exchange = MemoryExchange()
    exchange.scheme = "https"
    assert environ_of(exchange=exchange)["HTTPS"] == "on"


def test_all_text_is_str():
    """All variables of CGI are of the type str itself, and the environ a dict itself."""
    environ = environ_of("POST", "/a?b", headers={"A": "b"}, body=b"c")
    assert type(environ) is dict
    assert {type(value) for value in environ.values()} == {str}


def test_environs_are_apart():
    """What an application does to its environ is its own."""
    base = {"wsgi.version": (1, 0)}
    make_environ(make_request(), base)["wsgi.version"] = None
    assert base == {"wsgi.version": (1, 0)}
