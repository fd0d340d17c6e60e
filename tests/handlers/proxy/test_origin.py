"""What an upstream learns of where a request came from, and whose word counts."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from mynet.handlers.proxy.origin import Trusted, forwarded, is_claim, origin_fields
from mynet.testing import MemoryExchange, make_request

CLAIMS = [
    (b"forwarded", b"for=203.0.113.9"),
    (b"x-forwarded-for", b"203.0.113.9"),
    (b"x-forwarded-for", b"203.0.113.10"),
    (b"x_forwarded_for", b"10.0.0.1"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"public.example"),
    (b"x-forwarded-prefix", b"/outer"),
    (b"x-forwarded-port", b"443"),
    (b"x-real-ip", b"203.0.113.9"),
]


def fields_of(client=None, *, mounted="", trusted=False, fields=(), host="test"):
    exchange = MemoryExchange()
    if client is not None:
        exchange.client = client
    request = make_request("GET", f"{mounted}/", {"Host": host}, exchange=exchange)
    request.mount(len(mounted))
    return dict(origin_fields(request, fields, trusted))


def test_origin():
    """An upstream learns the client's address, and by which scheme and host it came."""
    assert fields_of() == {
        b"Forwarded": b'for=192.0.2.1;host="test";proto=http',
        b"X-Forwarded-For": b"192.0.2.1",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"test",
    }


def test_mounted():
    """And behind which prefix of this server it is."""
    assert fields_of(mounted="/app")[b"X-Forwarded-Prefix"] == b"/app"


def test_claims():
    """What a client says of itself is not believed."""
    assert fields_of(fields=CLAIMS) == fields_of()


def test_trusted_claims():
    """What a trusted proxy says is, and this one adds what it knows."""
    assert fields_of(fields=CLAIMS, trusted=True, mounted="/app") == {
        b"x-forwarded-port": b"443",
        b"x-real-ip": b"203.0.113.9",
        b"Forwarded": b'for=203.0.113.9, for=192.0.2.1;host="test";proto=http',
        b"X-Forwarded-For": b"203.0.113.9, 203.0.113.10, 192.0.2.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"public.example",
        b"X-Forwarded-Prefix": b"/outer/app",
    }


def test_ipv6():
    """An IPv6 address is quoted where RFC 7239 asks for that, and has no zone."""
    fields = fields_of(IPv6Address("TCP", "fe80::1%eth0", 1))
    assert fields[b"X-Forwarded-For"] == b"fe80::1"
    assert fields[b"Forwarded"].startswith(b'for="[fe80::1]";')


def test_unix():
    """Who comes by a UNIX socket has no address."""
    fields = fields_of(UNIXAddress("/run/socket"))
    assert b"X-Forwarded-For" not in fields
    assert fields[b"Forwarded"].startswith(b"for=unknown;")


def test_no_host():
    """A request in HTTP/1.0 may have no Host, and then none is told."""
    assert forwarded("192.0.2.1", b"", b"http") == b"for=192.0.2.1;proto=http"
    assert b"X-Forwarded-Host" not in fields_of(host="")


@pytest.mark.parametrize(
    "name",
    [b"forwarded", b"x-forwarded-for", b"x_forwarded_for", b"x-forwarded-ssl", b"x_real_ip"],
)
def test_is_claim(name):
    """Underscores hide no claim, since applications see them as hyphens."""
    assert is_claim(name)


@pytest.mark.parametrize("name", [b"host", b"x-request-id", b"xforwarded", b"x-real"])
def test_is_no_claim(name):
    """Other fields are none."""
    assert not is_claim(name)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::1", True), ("::2", False),
     ("::ffff:10.0.0.1", True), ("fe80::1%eth0", True)],
)  # fmt: skip
def test_networks(address, expected):
    """Trust is given by network, IPv4 in IPv6 too."""
    trusted = Trusted(["10.0.0.0/8", "::1", "fe80::/10"])
    make = IPv6Address if ":" in address else IPv4Address
    assert (make("TCP", address, 1) in trusted) is expected


def test_trusted_unix():
    """And by name to those that come by a UNIX socket."""
    assert UNIXAddress("/run/socket") in Trusted("unix")
    assert UNIXAddress("/run/socket") not in Trusted(["10.0.0.0/8"])
    assert IPv4Address("TCP", "10.0.0.1", 1) not in Trusted(["unix"])


def test_no_network():
    """What is no network is refused when the proxy is made."""
    with pytest.raises(ValueError, match="everybody"):
        Trusted(["everybody"])
