"""The opening handshake (RFC 6455 section 4): both roles, subprotocols, extensions. Sans I/O.

A server checks a request, which is HTTP and has been read as such, and adds its fields to the
101. A client makes a request head, and checks the 101. What is wrong is told in words that the
other side can use.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha1
from secrets import token_bytes
from typing import Final, NamedTuple

from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.writing import encode_fields, field_lines
from mynet.websocket.deflate import Extension

VERSION: Final = "13"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64

# Possessive (`++`): no input makes them go back.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*+")'
_PARAMETER = rf"[ \t]*+;[ \t]*+({_TOKEN})(?:[ \t]*+=[ \t]*+({_VALUE}))?"
_EXTENSION = re.compile(rf"({_TOKEN})((?:{_PARAMETER})*+)[ \t]*+(?:,|\Z)")
_EMPTY = re.compile(r"[ \t,]*+")  # elements of a list, which mean nothing: RFC 9110 section 5.6.1
_PARAMETERS = re.compile(_PARAMETER)

_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9\-._~%!$&'()*+,;=]+)"
_AUTHORITY = re.compile(rf"{_HOST}(?::([0-9]{{0,5}}))?")
_ORIGIN = re.compile(rf"([a-z][a-z0-9+\-.]*)://{_HOST}(?::([0-9]{{1,5}}))?")
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_TARGET = re.compile(rb"/[!\"$-~]*")  # in origin form, without a fragment
_OURS = {
    "connection",
    "content-length",
    "host",
    "origin",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
}


class HandshakeError(Exception):
    """A server's answer is no WebSocket handshake, or not one to the request."""


class Handshake(NamedTuple):
    """What a client asks for."""

    key: bytes
    """Its Sec-WebSocket-Key."""
    subprotocols: tuple[str, ...]
    """Those it offers, in the order in which it likes them; no two are the same."""
    extensions: list[Extension]
    """Those it offers, in the order in which it likes them."""
    origin: str | None
    """The origin of the page that asks, as it was sent; None: it is not a browser."""


# What both sides need


def accept_key(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept to a Sec-WebSocket-Key (section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def parse_extensions(values: Iterable[bytes]) -> list[Extension]:
    """Take Sec-WebSocket-Extensions apart (section 9.1).

    Args:
        values: Those of all fields of that name, in order.

    Returns:
        The extensions in order. Nothing is known yet of what they and their parameters mean.

    Raises:
        ValueError: A field is malformed; it says so in words that the peer can be told.
    """
    return [each for value in values for each in _parse_extensions(value.decode("latin-1"))]


def _parse_extensions(text: str) -> Iterable[Extension]:
    position = _after_empty(text, 0)
    while position < len(text):
        match = _EXTENSION.match(text, position)
        if match is None:
            raise ValueError("Sec-WebSocket-Extensions is malformed.")
        found = _PARAMETERS.findall(match[2])
        yield Extension(match[1], tuple((name, _unquote(value)) for name, value in found))
        position = _after_empty(text, match.end())


def _after_empty(text: str, position: int) -> int:
    match = _EMPTY.match(text, position)
    assert match is not None
    return match.end()


def _unquote(value: str) -> str | None:
    if not value.startswith('"'):
        return value or None
    unquoted = re.sub(r"\\(.)", r"\1", value[1:-1])
    if not re.fullmatch(_TOKEN, unquoted):
        raise ValueError("Sec-WebSocket-Extensions has a quoted value that is no token.")
    return unquoted


def _values(headers: RawHeaders, name: bytes) -> list[bytes]:
    return [value for each, value in headers if each == name]


def _elements(headers: RawHeaders, name: bytes) -> list[bytes]:
    """The elements of a list, which may stand in several fields, without empty ones."""
    values = _values(headers, name)
    elements = [part.strip(b" \t") for value in values for part in value.split(b",")]
    return [each for each in elements if each]


def _has_token(headers: RawHeaders, name: bytes, token: bytes) -> bool:
    return token in [each.lower() for each in _elements(headers, name)]


def _not_ours(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if name.lower() in _OURS:
            raise ValueError(f"{name} is for the handshake to set")
        yield name, value


# A server's part


def check_request(method: str, version: str, headers: RawHeaders) -> Handshake:
    """Check that a request is a WebSocket handshake (section 4.2.1).

    Args:
        method: That of the request.
        version: That of its HTTP: `1.1`.
        headers: Its fields, names in lower case, values stripped. HTTP has looked at its Host.

    Raises:
        HTTPError: 405: the method is not GET. 426: it is no handshake, or for another version
            of WebSocket. 400: anything else that is wrong.
    """
    if method != "GET":
        raise HTTPError(405, "A WebSocket is opened by GET.", {"Allow": "GET"})
    if version != "1.1":
        raise HTTPError(400, "A WebSocket is opened by HTTP/1.1.")
    upgrades = _has_token(headers, b"upgrade", b"websocket")
    if not (upgrades and _has_token(headers, b"connection", b"upgrade")):
        raise _upgrade_required("This is a WebSocket.")
    if _single(headers, b"sec-websocket-version") != VERSION.encode():
        raise _upgrade_required(f"The version of WebSocket spoken here is {VERSION}.")
    key = _single(headers, b"sec-websocket-key")
    if not _KEY.fullmatch(key):
        raise HTTPError(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    origin = _values(headers, b"origin")
    if len(origin) > 1:
        raise HTTPError(400, "There is more than one Origin.")
    try:
        extensions = parse_extensions(_values(headers, b"sec-websocket-extensions"))
    except ValueError as error:
        raise HTTPError(400, str(error)) from None
    offered = _offered_subprotocols(headers)
    return Handshake(key, offered, extensions, origin[0].decode("latin-1") if origin else None)


def _upgrade_required(detail: str) -> HTTPError:
    return HTTPError(426, detail, {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION})


def _single(headers: RawHeaders, name: bytes) -> bytes:
    values = _values(headers, name)
    if len(values) != 1:
        number = "more than one" if values else "no"
        title = name.decode().title().replace("Websocket", "WebSocket")
        raise HTTPError(400, f"There is {number} {title}.")
    return values[0]


def _offered_subprotocols(headers: RawHeaders) -> tuple[str, ...]:
    names = [each.decode("latin-1") for each in _elements(headers, b"sec-websocket-protocol")]
    if not _are_subprotocols(names):
        raise HTTPError(400, "Sec-WebSocket-Protocol is malformed.")
    return tuple(names)


def _are_subprotocols(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names) and all(re.fullmatch(_TOKEN, each) for each in names)


def choose_subprotocol(offered: Collection[str], supported: Iterable[str]) -> str | None:
    """The first of ours that the client offers, too; None if there is none."""
    return next((each for each in supported if each in offered), None)


def response_headers(
    key: bytes,
    subprotocol: str | None = None,
    extensions: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """The fields of the 101 (section 4.2.2), but for Upgrade and Connection, which are HTTP's.

    Args:
        key: The client's.
        subprotocol: What was chosen, if anything.
        extensions: What was agreed on, if anything; see `deflate.accept_offers`.
        headers: Other fields.

    Raises:
        ValueError: A field is one that is set here, or by HTTP.
    """
    fields = [("Sec-WebSocket-Accept", accept_key(key).decode())]
    if subprotocol is not None:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    return [*fields, *_not_ours(headers)]


# Where a page that asks comes from


def check_origin(origin: str | None, host: str, origins: Collection[str] | None) -> None:
    """Check that the page which asks may do so (section 10.2).

    A browser lets any page open a WebSocket to any server, with the user's cookies: only the
    server can tell pages apart. What is no browser sends no Origin, and is let in.

    Args:
        origin: That of the handshake.
        host: The host, with its port if it was given, that the client asked for.
        origins: Those of the pages that may, see `parse_origins`. None: host and port must be
            those of `host`, which, where it has no port, has the default one of the origin's
            scheme, since TLS may end before us.

    Raises:
        HTTPError: 403.
        ValueError: `origins` are not valid.
    """
    allowed = None if origins is None else parse_origins(origins)
    if origin is None or (allowed is not None and "*" in allowed):
        return
    try:
        is_allowed = _is_from(origin, host) if allowed is None else _serialized(origin) in allowed
    except ValueError:
        is_allowed = False
    if not is_allowed:
        raise HTTPError(403, "Pages of this origin may not open this WebSocket.")


def parse_origins(origins: Iterable[str]) -> frozenset[str]:
    """Origins as they are compared: in lower case, without default ports.

    Args:
        origins: `scheme://host` or `scheme://host:port` each; `*` lets all in, and `null` pages
            that have no origin, as files and sandboxes.

    Raises:
        ValueError: One of them is something else, with a path say.
    """
    if isinstance(origins, str):
        raise ValueError(f"origins are a collection, not one text: {origins!r}")
    return frozenset(each if each == "*" else _serialized(each) for each in origins)


def _serialized(origin: str) -> str:
    """As RFC 6454 section 6.2 has it."""
    if origin == "null":
        return origin
    scheme, host, port = _split_origin(origin)
    return f"{scheme}://{host}" if port == _PORTS.get(scheme) else f"{scheme}://{host}:{port}"


def _split_origin(origin: str) -> tuple[str, str, int | None]:
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        raise ValueError(f"not an origin: {origin!r}")
    return match[1], match[2], int(match[3]) if match[3] else _PORTS.get(match[1])


def _is_from(origin: str, authority: str) -> bool:
    scheme, host, port = _split_origin(origin)
    match = _AUTHORITY.fullmatch(authority.lower())
    if match is None or scheme not in _PORTS:
        return False
    return (host, port) == (match[1], int(match[2]) if match[2] else _PORTS.get(scheme))


# A client's part


def make_key() -> bytes:
    """A Sec-WebSocket-Key: another one for each connection, which nobody can guess."""
    return b64encode(token_bytes(16))


def request_head(
    target: bytes,
    host: str,
    key: bytes,
    *,
    subprotocols: Sequence[str] = (),
    extensions: str | None = None,
    origin: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The head of a request for a WebSocket, which is all of it (section 4.1).

    Args:
        target: Path and query, encoded.
        host: The host, with its port unless that is the default one.
        key: What `make_key` made.
        subprotocols: What to offer, the best first.
        extensions: What to offer; see `deflate.make_offer`.
        origin: What to say of where it comes from, as browsers do.
        headers: Other fields.

    Raises:
        ValueError: A part of it is not valid in its place, or a field is one that is set here.
    """
    if not _TARGET.fullmatch(target):
        raise ValueError(f"not the path of a request: {target!r}")
    if not _AUTHORITY.fullmatch(host.lower()):
        raise ValueError(f"not a host: {host!r}")
    if not _are_subprotocols(subprotocols):
        raise ValueError(f"not subprotocols, or one twice: {subprotocols!r}")
    fields = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key.decode("ascii")),
        ("Sec-WebSocket-Version", VERSION),
    ]
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    if origin is not None:
        fields.append(("Origin", origin))
    lines = field_lines(encode_fields([*fields, *_not_ours(headers)]))
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (target, lines)


def check_response(
    headers: RawHeaders, key: bytes, subprotocols: Collection[str] = ()
) -> tuple[str | None, list[Extension]]:
    """Check a server's 101 (section 4.1). Any other status is the caller's to look at before.

    Args:
        headers: Its fields, names in lower case, values stripped.
        key: The key of the request.
        subprotocols: Those of the request.

    Returns:
        The subprotocol that was chosen, if any, and the extensions: see
        `deflate.accept_response`.

    Raises:
        HandshakeError: It is no answer to that request. The connection must be given up.
    """
    if [each.lower() for each in _elements(headers, b"upgrade")] != [b"websocket"]:
        raise HandshakeError("The server does not upgrade to websocket.")
    if not _has_token(headers, b"connection", b"upgrade"):
        raise HandshakeError("The server's Connection does not name Upgrade.")
    if _values(headers, b"sec-websocket-accept") != [accept_key(key)]:
        raise HandshakeError("The server's Sec-WebSocket-Accept does not fit the key.")
    chosen = [each.decode("latin-1") for each in _values(headers, b"sec-websocket-protocol")]
    if len(chosen) > 1 or not set(chosen) <= set(subprotocols):
        raise HandshakeError("The server chose a subprotocol that was not offered.")
    try:
        extensions = parse_extensions(_values(headers, b"sec-websocket-extensions"))
    except ValueError as error:
        raise HandshakeError(str(error)) from None
    return (chosen[0] if chosen else None), extensions
