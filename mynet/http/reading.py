"""HTTP/1.1 from bytes: request heads and chunked bodies (RFC 9112). Sans I/O.

llhttp judges the syntax and decodes chunks. It is given a head only when all of
it is here, and calls nothing back while it reads one: since what it accepts has
just one `name: value` to a line, the few fields that frame a message are found by
one regular expression, and the rest is taken apart when somebody asks. The end
of a head, and that of a chunked body, is CRLF CRLF, and llhttp is never given
more than up to the next one: so it cannot read ahead, and whatever follows a
message that is in error is never taken for a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

import httptools

from mynet.http.errors import HTTPError
from mynet.http.limits import KIB, Limits

END = b"\r\n\r\n"
CHUNKED = -1

OVERHEAD = 8
"""Bytes of chunks that are allowed for each byte of a body; the smallest chunks need 5."""

METHODS: dict[bytes, str] = {
    name.encode(): name
    for name in (
        "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH QUERY COPY LOCK MKCOL MOVE PROPFIND "
        "PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE "
        "M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK"
    ).split()
}
"""Those of llhttp, but for CONNECT and what is not HTTP (RTSP, ICE)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/\d\.\d")
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#:][^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_ORIGIN_FORM = re.compile(rb"/[!\"$-~]*")  # what llhttp accepts, without fragments
_LENGTH = re.compile(rb"[0-9]{1,18}")
_FIELD = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")

# The fields that frame a message, and where an empty line follows. The first
# letters stand apart because that makes it twice as fast.
_FRAMING = re.compile(
    rb"\n(?:([hHcCtTeEuU](?i:ost|onnection|ontent-length|ransfer-encoding|xpect|pgrade))"
    rb":[ \t]*([^\r]*)|(?=\r\n))"
)
_EMPTY_LINE = (b"", b"")
_VERSIONS = {b"HTTP/1.1\r\n": "1.1", b"HTTP/1.0\r\n": "1.0"}
_CACHED_HEAD = 4 * KIB  # a larger one is not worth its place in the cache
_CACHED_HEADS = 512
_AROUND = 64  # a chunk size, and the ends of lines, around a trailer section


class Framing(NamedTuple):
    """What a head says of its message's frame, and of the connection."""

    host: bytes
    length: int
    """Of the body; CHUNKED where the head does not tell."""
    keep_alive: bool
    """Whether the client lets the connection go on."""
    expects_continue: bool
    upgrade: bytes
    """The Upgrade field where Connection names it, else empty."""


Head = tuple[str, bytes, str, Framing, bytes, bytes, bytes, bytes]
"""A request head: method, target, version, framing, header section (for `parse_fields`), raw path,
query string, and all of it.

A plain tuple, because one is made for every request."""


class HeadReader:
    """Reads request heads, of any number of connections in turn."""

    def __init__(self, limits: Limits) -> None:
        self.latest: Head | None = None
        """What was judged last, on any connection: `last` for one that has none of its own."""
        self._limits = limits
        self._unfinished: list[None] = []
        self._feed = self._parser()

    def _parser(self) -> Callable[[bytes], None]:
        # llhttp's one callback removes the mark that read() sets before each head; were
        # there two heads in one, the second would fail to.
        self._unfinished.clear()
        callbacks = _Callbacks()
        callbacks.on_message_complete = self._unfinished.pop
        return httptools.HttpRequestParser(callbacks).feed_data

    def read(self, data: bytes, last: Head | None = None) -> Head | None:
        """Read a head.

        Args:
            data: What ends with an empty line (`END`).
            last: What was read before on the same connection. Most clients repeat their
                header section to the letter, and what has been judged is not judged again.

        Returns:
            The head; None if it is not just one: then `take_head` tells where the first ends.

        Raises:
            HTTPError: It is not valid, or breaks a limit. It closes the connection.
        """
        try:
            method_name, target, fields = data.split(b" ", 2)
            method = METHODS[method_name]
            if last is not None and fields == last[4] and self._repeats(data, target, last):
                return method, target, last[2], last[3], fields, *split_target(target), data
            version = _VERSIONS[fields[:10]]
        except (ValueError, KeyError):
            if data[0] in b"\r\n":
                return None
            raise self._blame(data) from None
        found = tuple(_FRAMING.findall(data))
        framing = (frame if len(data) < _CACHED_HEAD else frame.__wrapped__)(version, found)
        if framing is None:
            if data.find(END) == len(data) - len(END):  # only one by that, two by line feeds
                raise bad("A line does not end with CRLF.")
            return None
        self._check_size(data, target)
        if target[:1] != b"/":  # not in origin form
            framing = framing._replace(host=_host_of(method, target, framing.host))
        self._validate(data, framing)
        path, query = split_target(target)
        self.latest = method, target, version, framing, fields, path, query, data
        return self.latest

    def _repeats(self, data: bytes, target: bytes, last: Head) -> bool:
        """Whether a head whose fields are those of the last one is valid too."""
        return (
            last[1][0] == 47  # another form of the target would override the host
            and len(target) <= self._limits.target
            and len(data) <= self._limits.head
            and _ORIGIN_FORM.fullmatch(target) is not None
        )

    def _check_size(self, data: bytes, target: bytes) -> None:
        limits = self._limits
        if len(target) > limits.target:
            raise HTTPError(414, f"The target is longer than {limits.target} bytes.", close=True)
        if len(data) > limits.head:
            raise HTTPError(431, f"The head is larger than {limits.head} bytes.", close=True)
        if len(data) > 4 * limits.header_count and data.count(b"\n") - 2 > limits.header_count:
            raise HTTPError(431, f"More than {limits.header_count} fields.", close=True)
        if b"#" in target:
            raise bad("The request target has a fragment.")

    def _validate(self, data: bytes, framing: Framing) -> None:
        """Let llhttp judge, and compare what it makes of the frame with what we make of it."""
        try:
            self._execute(data)
        except httptools.HttpParserUpgrade:
            self._feed = self._parser()
            return
        unfinished = bool(self._unfinished)
        if unfinished or not framing.keep_alive:
            self._feed = self._parser()
        if unfinished != bool(framing.length):
            raise bad("The length of the body is not clear.")

    def _execute(self, data: bytes) -> None:
        try:
            self._unfinished.append(None)
            self._feed(data)
        except httptools.HttpParserError:
            # Again, so that no connection suffers from the state another left behind.
            self._feed = self._parser()
            try:
                self._unfinished.append(None)
                self._feed(data)
            except httptools.HttpParserError as error:
                self._feed = self._parser()
                raise bad(f"{error}.") from None

    def take_head(self, data: bytes, searched: int = 0) -> tuple[bytes, int]:
        """Find the first head in what has arrived.

        Args:
            data: All that has arrived of it, without empty lines before it.
            searched: How many bytes of it were here at the last call.

        Returns:
            The head, and where it ends; empty and 0 if it is not all here.

        Raises:
            HTTPError: It is certain already that it will not be valid.
        """
        end = data.find(END, max(0, searched - 3))
        if end >= 0:
            return data[: end + 4], end + 4
        limits = self._limits
        line_end = data.find(b"\n")
        line_limit = limits.target + 40  # a method, two spaces, a version
        if line_end > line_limit or (line_end < 0 and len(data) > line_limit):
            raise HTTPError(414, f"The target is longer than {limits.target} bytes.", close=True)
        if len(data) > limits.head:
            raise HTTPError(431, f"The head is larger than {limits.head} bytes.", close=True)
        if not _TOKEN.match(data):
            raise bad("This is not a request line.")
        if line_end >= 0 and (data[line_end - 1] != 13 or b"\n\n" in data):
            raise bad("A line does not end with CRLF.")
        return b"", 0

    def _blame(self, data: bytes) -> HTTPError:
        """What is wrong with a request line."""
        line = data[: data.find(b"\r\n")]
        parts = line.split(b" ")
        if len(line) > self._limits.target + 40:
            detail = f"The target is longer than {self._limits.target} bytes."
            return HTTPError(414, detail, close=True)
        if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _VERSION.fullmatch(parts[2]):
            return bad("The request line is malformed.")
        if parts[2] + b"\r\n" not in _VERSIONS:
            return HTTPError(505, "This is HTTP/1.1 and 1.0.", close=True)
        if parts[0] not in METHODS:
            return HTTPError(501, "The method is unknown.", close=True)
        return bad("The request line is malformed.")


class _Callbacks:
    """What httptools looks up its callbacks in."""

    on_message_complete: Callable[[], object]
    on_body: Callable[[bytes], object]
    on_header: Callable[[bytes, bytes], object]


def bad(detail: str) -> HTTPError:
    """A 400 after which nothing on the connection can be understood."""
    return HTTPError(400, detail, close=True)


@lru_cache(_CACHED_HEADS)
def frame(version: str, found: tuple[tuple[bytes, bytes], ...]) -> Framing | None:
    """Judge what `_FRAMING` found, in order, in one head; None if it was not just one.

    Most heads agree in these few fields, so the outcome is remembered.

    Raises:
        HTTPError: What RFC 9112 sections 3.2 and 6 forbid, more strictly: no list as
            Content-Length, and no transfer coding but chunked.
    """
    if found.index(_EMPTY_LINE) != len(found) - 1:
        return None
    fields: dict[bytes, list[bytes]] = {}
    for name, value in found[:-1]:
        fields.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    connection = list_tokens(fields.get(b"connection", ()))
    upgrade = b", ".join(fields.get(b"upgrade", ())) if b"upgrade" in connection else b""
    keep_alive = b"close" not in connection and (version == "1.1" or b"keep-alive" in connection)
    return Framing(
        _host(version, fields.get(b"host", ())),
        _body_length(version, fields),
        keep_alive,
        version == "1.1" and _expects_continue(fields.get(b"expect", ())),
        upgrade if version == "1.1" else b"",
    )


def list_tokens(values: Iterable[bytes]) -> list[bytes]:
    """The elements of a list that may go over several fields, in lower case."""
    return [token.strip(b" \t") for value in values for token in value.lower().split(b",")]


def _host(version: str, values: Sequence[bytes]) -> bytes:
    if len(values) > 1:
        raise bad("There is more than one Host field.")
    if not values:
        if version == "1.1":
            raise bad("There is no Host field.")
        return b""
    if not _is_host(values[0]):
        raise bad("The Host field is malformed.")
    return values[0]


def _is_host(value: bytes) -> bool:
    """Whether it is a host, with or without a port (RFC 3986 section 3.2.2)."""
    if not _HOST.fullmatch(value):
        return False
    try:
        return value[:1] != b"[" or bool(IPv6Address(value[1 : value.index(b"]")].decode()))
    except ValueError:
        return False


def _body_length(version: str, fields: Mapping[bytes, Sequence[bytes]]) -> int:
    lengths = fields.get(b"content-length", ())
    codings = fields.get(b"transfer-encoding")
    if codings is None:
        if not lengths:
            return 0
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise bad("The Content-Length field is malformed.")
        return int(lengths[0])
    if lengths:
        raise bad("There are both Content-Length and Transfer-Encoding.")
    if version == "1.0":
        raise bad("HTTP/1.0 has no Transfer-Encoding.")
    tokens = list_tokens(codings)
    if tokens == [b"chunked"]:
        return CHUNKED
    if b"" in tokens or tokens.count(b"chunked") > 1 or b"chunked" in tokens[:-1]:
        raise bad("The Transfer-Encoding field is malformed.")
    raise HTTPError(501, "The only transfer coding known is chunked.", close=True)


def _expects_continue(values: Sequence[bytes]) -> bool:
    expectations = list_tokens(values)
    if any(each != b"100-continue" for each in expectations):
        raise HTTPError(417, "The only expectation known is 100-continue.", close=True)
    return bool(expectations)


def _host_of(method: str, target: bytes, host: bytes) -> bytes:
    """The host of a target that is not in origin form; it overrides the Host field."""
    if target == b"*":
        if method != "OPTIONS":
            raise bad("Only OPTIONS has the target *.")
        return host
    match = _ABSOLUTE.fullmatch(target)
    if not match or not _is_host(match[1]):
        raise bad("The request target is malformed.")
    return match[1]


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a valid target, in any form."""
    if target[0] != 47:  # "/"
        match = _ABSOLUTE.fullmatch(target)
        if match:
            return match[2] or b"/", match[3] or b""
    if b"?" not in target:
        return target, b""
    path, _, query = target.partition(b"?")
    return path, query


def parse_fields(section: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a valid header section: names in lower case, values stripped."""
    return [(name.lower(), value.rstrip(b" \t")) for name, value in _FIELD.findall(section)]


def decode_fields(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Fields as text, which is Latin-1: see `mynet.http.writing.encode_fields`."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


class ChunkedDecoder:
    """Decodes one chunked body (RFC 9112 section 7.1)."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.trailers
        self._trailers = _Trailers(limits)
        self._barren = 0  # bytes without any of the body among them
        self._extra = 0  # bytes that are too much beside those of the body
        self._tail = b""
        self._open = [None]
        self.pieces: list[bytes] = []
        """What was decoded; whoever takes it clears the list."""
        callbacks = _Callbacks()
        callbacks.on_body = self.pieces.append
        callbacks.on_header = self._trailers.add
        callbacks.on_message_complete = self._open.pop
        self._feed = httptools.HttpRequestParser(callbacks).feed_data
        self._feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._trailers.begin()

    @property
    def ended(self) -> bool:
        """Whether the whole body has been decoded."""
        return not self._open

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """The trailer fields, once it has ended: names in lower case, values stripped."""
        return self._trailers.fields

    def feed(self, data: bytes) -> int:
        """Decode some more.

        Returns:
            How many bytes of it belong to the body; fewer than all only where it ends.

        Raises:
            HTTPError: 400 for malformed chunks; 431 for a trailer section, or for chunk
                extensions, beyond the limit.
        """
        start = 0
        end = self._straddling(data)
        while start < len(data) and self._open:
            if end <= start:
                found = data.find(END, start)
                end = found + 4 if found >= 0 else len(data)
            self._feed_piece(data[start:end])
            start = end
        self._tail = (self._tail + data[-3:])[-3:]
        return start

    def _straddling(self, data: bytes) -> int:
        """Where in `data` an empty line ends that began before it; 0 if none does."""
        found = (self._tail + data[:3]).find(END)
        return found + 4 - len(self._tail) if found >= 0 else 0

    def _feed_piece(self, piece: bytes) -> None:
        decoded = len(self.pieces)
        try:
            self._feed(piece)
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError as error:
            raise bad(f"{error}.") from None
        size = sum(map(len, self.pieces[decoded:]))
        self._barren = 0 if size else self._barren + len(piece)
        self._extra = max(0, self._extra + len(piece) - size - OVERHEAD * size)
        if max(self._barren, self._extra) > self._limit + _AROUND:
            raise _too_much(self._limit)


class _Trailers:
    def __init__(self, limits: Limits) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self._limits = limits
        self._begun = False

    def begin(self) -> None:
        """Until here there was the head that llhttp has to see first."""
        self._begun = True

    def add(self, name: bytes, value: bytes) -> None:
        if not self._begun:
            return
        self.fields.append((name.lower(), value.rstrip(b" \t")))
        size = sum(len(name) + len(value) + 4 for name, value in self.fields)
        if size > self._limits.trailers or len(self.fields) > self._limits.header_count:
            raise _too_much(self._limits.trailers)


def _too_much(limit: int) -> HTTPError:
    detail = f"More than {limit} bytes of trailers or chunk extensions."
    return HTTPError(431, detail, close=True)
