"""What an upstream gets of a request's fields."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address

from mynet.handlers.proxy.fields import CACHED
from mynet.handlers.proxy.outbound import RequestFields
from mynet.http import HTTPError
from mynet.http.reading import parse_fields
from mynet.testing import make_request

ORIGIN = {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}


def request_of(section, host="test", version="1.1"):
    request = make_request("GET", "/", {"Host": host})
    request._raw_headers = section
    request.version = version
    return request


def sent(section, policies=None, host="test"):
    outbound = (policies or RequestFields()).of(request_of(section, host))
    fields = parse_fields(outbound.lines)
    return [field for field in fields if field[0] not in ORIGIN]


def test_fields():
    """Fields go on in their order, also those that there are several of."""
    section = b"Host: test\r\nA:1\r\nCookie: a=b\r\nCookie: c=d\r\na: 2 \r\n"
    assert sent(section) == [
        (b"host", b"test"), (b"a", b"1"), (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"a", b"2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Connection: x-own\r\nX-Own: secret",
        b"Keep-Alive: timeout=1",
        b"TE: trailers",
        b"Trailer: a",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 3",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Proxy-Connection: close",
        b"Proxy-Authorization: Basic eDp5",
        b"Proxy: http://attacker.example",
        b"X-Forwarded-For: 10.0.0.1",
        b"X_Forwarded_Proto: https",
    ],
)
def test_what_stays_behind(line):
    """What frames, what concerns a connection, and what claims an origin stays behind."""
    assert sent(b"Host: test\r\n" + line + b"\r\n") == [(b"host", b"test")]


def test_connection_names_nothing_of_ours():
    """No client can have left out what the proxy adds."""
    section = b"Host: test\r\nConnection: host, x-forwarded-for, forwarded\r\n"
    lines = RequestFields().of(request_of(section)).lines
    assert {name for name, _ in parse_fields(lines)} == {b"host", *ORIGIN}


def test_bytes():
    """Values go on byte by byte, in whatever encoding."""
    assert (b"a", b"\xc3\xa9\xff") in sent(b"Host: test\r\nA: \xc3\xa9\xff\r\n")


@pytest.mark.parametrize("host", ["preserve", "upstream", "internal.example:81"])
def test_host(host):
    """The upstream's Host is the client's, that of its own URL, or one that was given."""
    outbound = RequestFields(host).of(request_of(b"Host: test\r\n"))
    told = dict(parse_fields(outbound.lines)).get(b"host")
    expected = {"preserve": b"test", "upstream": None}
    assert told == expected.get(host, host.encode())
    assert outbound.hostless is (told is None)


def test_no_host():
    """A request in HTTP/1.0 may have none: then it is that of the upstream."""
    assert RequestFields().of(request_of(b"A: b\r\n", host="")).hostless


def test_host_of_target():
    """A host in the target counts, not the field, and each has its own fields."""
    policies = RequestFields()
    assert sent(b"Host: a\r\n", policies, host="a") == [(b"host", b"a")]
    assert sent(b"Host: a\r\n", policies, host="b") == [(b"host", b"b")]


@pytest.mark.parametrize("host", ["a\r\nb: c", "a\nb", "é"])
def test_host_that_is_none(host):
    """A Host that would break out of its field is refused when the proxy is made."""
    with pytest.raises(ValueError, match=r"header field|ascii"):
        RequestFields(host)


@pytest.mark.parametrize(
    "name", [b"Transfer_Encoding", b"Content_Length", b"Proxy_Connection", b"X_Forwarded_For"]
)
def test_underscores(name):
    """What an application takes for a field that stays behind does not go on; other names do."""
    found = sent(b"Host: test\r\n%b: 5\r\nA_B: c\r\n" % name)
    assert (b"a_b", b"c") in found
    assert name.lower() not in dict(found)


def test_via():
    """A proxy with a name adds it to Via."""
    found = sent(b"Host: test\r\nVia: 1.0 first\r\n", RequestFields(via="second"))
    assert (b"via", b"1.0 first, 1.1 second") in found


@pytest.mark.parametrize(
    ("value", "left", "told"),
    [(b"3", 3, b"2"), (b"1", 1, b"0"), (b"0", 0, b"0"), (b"x", None, b"x")],
)
def test_max_forwards(value, left, told):
    """Max-Forwards counts down, as RFC 9110 section 7.6.2 has it."""
    section = b"Host: test\r\nMax-Forwards: %b\r\n" % value
    outbound = RequestFields().of(request_of(section))
    assert outbound.max_forwards == left
    assert dict(parse_fields(outbound.lines))[b"max-forwards"] == told


@pytest.mark.parametrize(
    ("fields", "version", "upgrade"),
    [
        (b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", "1.1", b"websocket"),
        (b"Connection: upgrade\r\nUpgrade: WebSocket\r\n", "1.1", b"WebSocket"),
        (b"Connection: upgrade\r\nUpgrade: h2c, websocket\r\n", "1.1", b"websocket"),
        (b"Connection: upgrade\r\nUpgrade: h2c\r\n", "1.1", b""),
        (b"Upgrade: websocket\r\n", "1.1", b""),
        (b"Connection: upgrade\r\n", "1.1", b""),
        (b"Connection: upgrade\r\nUpgrade: websocket\r\n", "1.0", b""),
    ],
)
def test_upgrade(fields, version, upgrade):
    """A WebSocket is asked for; other protocols are only where they have been allowed."""
    outbound = RequestFields().of(request_of(b"Host: test\r\n" + fields, version=version))
    assert outbound.upgrade == upgrade


def test_other_upgrade():
    """Protocols that may be asked for can be named."""
    section = b"Host: test\r\nConnection: upgrade\r\nUpgrade: ssh\r\n"
    for upgrades in (["SSH"], "ssh"):
        assert RequestFields(upgrades=upgrades).of(request_of(section)).upgrade == b"ssh"


def test_invalid():
    """A field that middleware made wrong is not sent."""
    with pytest.raises(HTTPError) as raised:
        RequestFields().of(request_of([(b"a", b"b\r\nc: d")]))
    assert raised.value.status == 400


def test_remembered():
    """Clients that repeat themselves cost little, and many of them not much memory."""
    policies = RequestFields()
    section = b"Host: test\r\n"
    first = policies.of(request_of(section))
    assert policies.of(request_of(bytes(bytearray(section)))) is first
    for number in range(2 * CACHED):
        policies.of(request_of(b"Host: test\r\nA: %d\r\n" % number))
    assert len(policies._cache) <= CACHED
    assert policies.of(request_of(section)) == first


def test_not_remembered_for_others():
    """What was made for one client is not sent for another."""
    policies = RequestFields()
    section = b"Host: test\r\n"
    outbound = policies.of(request_of(section))
    other = request_of(section)
    other.mount(0)
    other.root_path = "/app"
    assert policies.of(other) != outbound
    other = request_of(section)
    other.exchange.scheme = "https"
    assert b"proto=https" in policies.of(other).lines
    other = request_of(section)
    other.exchange.client = IPv4Address("TCP", "192.0.2.99", 1)
    assert b"for=192.0.2.99" in policies.of(other).lines


def test_large():
    """A header section that is large is not kept."""
    policies = RequestFields()
    policies.of(request_of(b"Host: test\r\nA: %b\r\n" % (b"a" * 5000)))
    assert not policies._cache
