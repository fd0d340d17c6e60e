"""URLs of upstreams, and how they are reached."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from mynet.handlers.proxy.upstream import Upstream


@pytest.mark.parametrize(
    ("url", "authority", "prefix", "origin"),
    [
        ("http://127.0.0.1:9000", b"127.0.0.1:9000", b"", b"http://127.0.0.1:9000"),
        ("http://backend", b"backend", b"", b"http://backend"),
        ("http://backend:80/", b"backend", b"", b"http://backend"),
        ("http://backend:443", b"backend:443", b"", b"http://backend:443"),
        ("https://backend/api/v1/", b"backend", b"/api/v1", b"https://backend/api/v1"),
        ("https://[::1]:8443/a%20b", b"[::1]:8443", b"/a%20b", b"https://[::1]:8443/a%20b"),
        ("HTTP://Backend", b"backend", b"", b"http://backend"),
        ("unix:/run/app.sock", b"localhost", b"", b""),
        ("unix:/run/app.sock:/api", b"localhost", b"/api", b""),
        ("unix:app.sock", b"localhost", b"", b""),
    ],
)
def test_url(url, authority, prefix, origin):
    """An upstream is told by a URL, or by the path of a UNIX socket, with a prefix or without."""
    upstream = Upstream(url)
    assert (upstream.authority, upstream.prefix, upstream.origin) == (authority, prefix, origin)
    assert url in repr(upstream)


@pytest.mark.parametrize(
    "url",
    [
        "", "backend", "backend:9000", "127.0.0.1:9000", "ftp://backend", "http://", "http:///a",
        "http://user:secret@backend", "http://backend/?q", "http://backend/#f", "http://backend:x",
        "http://backend:99999", "http://back end", "http://bäckend", "http://backend/a/../b",
        "http://backend/ä", "http://backend//a", "http://backend\r\n", "http://[::1", "unix:",
        "unix:/", "unix:/run/app.sock:api", "http://a\r\nb: c",
    ],
)  # fmt: skip
def test_url_that_is_none(url):
    """What is no such URL is refused when the proxy is made, and named."""
    with pytest.raises(ValueError, match=r"not (the URL|a path)") as raised:
        Upstream(url)
    assert repr(url) in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"verify": False}, {"authority": "a.pem"}, {"server_name": "a"}]
)
def test_tls_without_tls(options):
    """Options of TLS for an upstream without TLS are an error, and not without effect."""
    with pytest.raises(ValueError, match="no TLS"):
        Upstream("http://backend", **options)
    with pytest.raises(ValueError, match="an endpoint"):
        Upstream("https://backend", endpoint=UNIXClientEndpoint(None, "a"), **options)


@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint a reactor")  # by an older Twisted
@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9000", TCP4ClientEndpoint),
        ("http://[::1]:9000", TCP6ClientEndpoint),
        ("http://backend", HostnameEndpoint),
        ("unix:/run/app.sock", UNIXClientEndpoint),
    ],
)
def test_endpoint(url, kind):
    """It is reached by TCP or by its socket; names are looked up, and addresses are not."""
    assert isinstance(Upstream(url).endpoint(MemoryReactorClock()), kind)


def test_socket():
    """A UNIX socket is the one that was named."""
    reactor = MemoryReactorClock()
    Upstream("unix:/run/app.sock:/api").endpoint(reactor).connect(Factory())
    assert reactor.unixClients[0][0] == "/run/app.sock"


def test_own_endpoint():
    """Whoever has an endpoint of another kind may give it."""
    endpoint = UNIXClientEndpoint(None, "/run/other.sock")
    assert Upstream("http://backend", endpoint=endpoint).endpoint(None) is endpoint
