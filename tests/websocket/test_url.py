"""WebSocket URLs: what users write, and what they may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.handshake import make_key, request_head
from mynet.websocket.url import parse_url


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "authority"),
    [
        ("ws://example.com", False, "example.com", 80, "example.com"),
        ("wss://example.com/", True, "example.com", 443, "example.com"),
        ("WS://example.com:80/", False, "example.com", 80, "example.com"),
        ("Wss://example.com:443?x", True, "example.com", 443, "example.com"),
        ("ws://example.com:443", False, "example.com", 443, "example.com:443"),
        ("wss://example.com:80", True, "example.com", 80, "example.com:80"),
        ("ws://127.0.0.1:65535", False, "127.0.0.1", 65535, "127.0.0.1:65535"),
        ("ws://[::1]", False, "::1", 80, "[::1]"),
        ("wss://[2001:db8::1]:8443/é", True, "2001:db8::1", 8443, "[2001:db8::1]:8443"),
        ("ws://chat_server:8080", False, "chat_server", 8080, "chat_server:8080"),
        ("ws://bücher.example", False, "xn--bcher-kva.example", 80, "xn--bcher-kva.example"),
        (
            "ws://xn--bcher-kva.example",
            False,
            *("xn--bcher-kva.example", 80),
            "xn--bcher-kva.example",
        ),
    ],
)
def test_where(url, tls, host, port, authority):
    """A URL tells where to connect, by the default port of its scheme or another."""
    address = parse_url(url)
    assert (address.tls, address.host, address.port, address.authority) == (
        tls,
        host,
        port,
        authority,
    )


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://h", b"/"),
        ("ws://h/", b"/"),
        ("ws://h?room=1", b"/?room=1"),
        ("ws://h/chat?room=1&x", b"/chat?room=1&x"),
        ("ws://h/a%2Fb?q=%26&r=a+b", b"/a%2Fb?q=%26&r=a+b"),
        ("ws://h/a b?c d", b"/a%20b?c%20d"),
        ("ws://h/é?ü=ß", b"/%C3%A9?%C3%BC=%C3%9F"),
        ("ws://h//a//b/", b"//a//b/"),
        ("ws://h/a:b;c=d@e?f=g@h:i", b"/a:b;c=d@e?f=g@h:i"),
        ("ws://h/../a/./b", b"/../a/./b"),
        ("ws://h/?a=b=c&&d?e", b"/?a=b=c&&d?e"),
        ("ws://h/%zz", b"/%zz"),
        ("ws://h/\r\nX: y", b"/%0D%0AX:%20y"),
    ],
)
def test_target(url, target):
    """Path and query reach the server as they were written, encoded where they have to be."""
    assert parse_url(url).target == target


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "begins with"),
        ("example.com", "begins with"),
        ("/chat", "begins with"),
        ("http://example.com", "begins with"),
        ("https://example.com", "begins with"),
        ("ws:example.com", "begins with"),
        ("ws://user:secret@example.com", "Authorization"),
        ("ws://user@example.com?x", "Authorization"),
        ("ws://@example.com", "Authorization"),
        ("ws://example.com/#top", "fragment"),
        ("ws://example.com#", "fragment"),
        ("ws://", "host"),
        ("ws:///chat", "host"),
        ("ws://:80/", "host"),
        ("ws://example.com:", "port"),
        ("ws://example.com:0", "port"),
        ("ws://example.com:65536", "port"),
        ("ws://example.com:-1", "port"),
        ("ws://example.com:http", "port"),
        ("ws://example.com: 80", "port"),
        ("ws://example.com:8_0", "port"),
        ("ws://example.com:٨٠", "port"),
        ("ws://[::1", "invalid"),
        ("ws://[::1]]/", "invalid"),
        ("ws://[fe80::1%25eth0]/", "invalid"),
        ("ws://[example.com]/", "host"),
        ("ws://[::g]/", "invalid"),
        ("ws://[::1::2]/", "invalid"),
        ("ws://[10]/", "host"),
        ("ws://é..example/", "Empty Label"),
        ("ws://h/\ud800", "surrogates"),
    ],
)
def test_no_url(url, problem):
    """What is no WebSocket URL is refused with what is wrong with it."""
    with pytest.raises(ValueError, match=problem):
        parse_url(url)


def test_passwords_stay_here():
    """A password that is not allowed where it is does not get into logs for that."""
    with pytest.raises(ValueError, match="Authorization") as caught:
        parse_url("ws://user:secret@example.com")
    assert "secret" not in str(caught.value)


@given(st.text(), st.text())
def test_any(before, behind):
    """Whatever is written, nothing but a valid request comes of it, or a ValueError."""
    for url in (before, f"ws://{before}", f"ws://h{before}", f"ws://h/{before}?{behind}"):
        try:
            address = parse_url(url)
            head = request_head(address.target, address.authority, make_key())
        except ValueError:
            continue
        line, rest = head.split(b"\r\n", 1)
        assert line == b"GET %b HTTP/1.1" % address.target
        assert line.count(b" ") == 2
        assert rest.startswith(b"Host: %b\r\nUpgrade: " % address.authority.encode())
