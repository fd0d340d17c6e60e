"""Addresses, and what asks for a WebSocket; the rest of scopes is in test_specification.py."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from mynet.handlers.asgi.scope import address_of, server_of, wants_websocket

V6 = IPv6Address("TCP", "2001:db8::1", 443)


@pytest.mark.parametrize(
    ("address", "client", "server"),
    [
        (IPv4Address("TCP", "192.0.2.1", 80), ("192.0.2.1", 80), ("192.0.2.1", 80)),
        (V6, ("2001:db8::1", 443), ("2001:db8::1", 443)),
        (UNIXAddress(b"/run/\xff"), None, ("/run/\udcff", None)),
        (UNIXAddress(None), None, ("", None)),
    ],
)
def test_addresses(address, client, server):
    """Addresses are host and port; a UNIX socket is a path, and its clients have none."""
    assert address_of(address) == client
    assert server_of(address) == server


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"host", b"x")], False),
        ([(b"upgrade", b"websocket")], True),
        ([(b"host", b"x"), (b"upgrade", b"h2c, WebSocket")], True),
        ([(b"upgrade", b"h2c")], False),
    ],
)
def test_requests_for_websockets(fields, expected):
    """A request that asks for a WebSocket is one, even if the rest of its handshake is wrong."""
    assert wants_websocket(fields) is expected
