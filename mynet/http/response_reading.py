"""HTTP/1.1 responses from bytes, as a client reads them (RFC 9112). Sans I/O.

A head is judged when all of it is here, by one regular expression that is the grammar of RFC 9112
and knows no leniency; its framing by section 6.3, more strictly: what could be read in two ways
is an error. Chunks are decoded by what decodes those of requests. Servers repeat their heads to
the letter, as long as the Date is the same: what equals the last head is not judged again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from mynet.http.client_errors import BadResponse
from mynet.http.client_limits import ClientLimits
from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.limits import KIB, Limits
from mynet.http.reading import CHUNKED, END, ChunkedDecoder, list_tokens, parse_fields

BODILESS = frozenset({204, 304})
"""The final statuses whose responses have no body, whatever their heads say."""

UNTIL_CLOSE = -2
"""The length of a body that ends with its connection."""

_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"  # possessive: no input makes it go back
_LINE = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:" + _VALUE + rb"\r\n"
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: " + _VALUE + rb")?\r\n"
RESPONSE_HEAD = re.compile(_STATUS_LINE + rb"((?:" + _LINE + rb")*+)\r\n")
"""A whole head: the minor version, the status, and the header section."""

BEGINNING = b"HTTP/1."
"""How every response begins."""

LINE_FEED = re.compile(rb"(?<!\r)\n")
"""The end of a line that does not end with CRLF."""

_FIRST_LINE = re.compile(_STATUS_LINE)
_OTHER_LINE = re.compile(_LINE)
_FRAMING = re.compile(
    rb"\n([cCtT](?i:onnection|ontent-length|ransfer-encoding)):[ \t]*([^\r]*)"
)  # as that of requests, where it is told why the first letter stands apart
_LENGTH = re.compile(rb"[0-9]{1,18}")
_VERSIONS = {b"1": "1.1", b"0": "1.0"}
_CACHED_HEAD = 4 * KIB  # a larger one is not worth its place in the cache
_CACHED_HEADS = 512
_SHOWN = 80  # how much of a wrong line is shown


class ResponseHead:
    """The head of a response. Equal ones may be one object: nothing in it is to be changed."""

    __slots__ = (
        "_announced",
        "_fields",
        "data",
        "keep_alive",
        "length",
        "section",
        "size",
        "status",
        "version",
    )

    def __init__(
        self,
        status: int,
        version: str,
        length: int,
        keep_alive: bool,
        section: bytes,
        data: bytes,
    ) -> None:
        self.status = status
        """100 to 599."""
        self.version = version
        """1.1 or 1.0."""
        self.length = length
        """Of the body, if the request and the status allow one; CHUNKED or UNTIL_CLOSE."""
        self.keep_alive = keep_alive
        """Whether the server lets the connection go on."""
        self.section = section
        """Its fields, to the letter."""
        self.data = data
        """All of it."""
        self.size = len(data)
        """Its length in bytes."""
        has_body = length >= 0 and status >= 200 and status not in BODILESS
        self._announced = len(data) + length if keep_alive and has_body else -1
        self._fields: RawHeaders | None = None

    @property
    def fields(self) -> RawHeaders:
        """All fields in order: names in lower case, values without outer white space."""
        if self._fields is None:
            self._fields = parse_fields(self.section)
        return self._fields

    def announces(self, data: bytes) -> bool:
        """Whether data is this head and its body, and nothing else, and the connection goes on.

        Not for answers to HEAD.
        """
        return len(data) == self._announced and data.startswith(self.data)

    def length_for(self, method: str) -> int:
        """The length of the body in an answer to that method."""
        if method == "HEAD" or self.status in BODILESS or self.status < 200:
            return 0
        return self.length


class ResponseReader:
    """Reads the heads of responses, of any number of connections in turn."""

    def __init__(self, limits: ClientLimits) -> None:
        self.latest: ResponseHead | None = None
        """What was judged last, on any connection."""
        self._limits = limits

    def read(self, data: bytes, searched: int = 0) -> ResponseHead | None:
        """Read a head.

        Args:
            data: All that has arrived of it, and maybe of what follows.
            searched: How many bytes of it were here at the last call.

        Returns:
            The head, whose `data` these bytes begin with; None if it is not all here.

        Raises:
            BadResponse: It is certain that it is not valid, or it breaks a limit.
        """
        latest = self.latest
        if latest is not None and data.startswith(latest.data):
            return latest
        end = data.find(END, max(0, searched - 3))
        size = len(data) if end < 0 else end + len(END)
        if size > self._limits.head:
            raise BadResponse(f"its head is larger than {self._limits.head} bytes")
        if data[: len(BEGINNING)] != BEGINNING[: len(data)]:
            raise BadResponse(f"it begins with {data[:20]!r}")
        if end >= 0:
            return self._judge(data[:size])
        if LINE_FEED.search(data, searched):
            raise BadResponse("a line of its head does not end with CRLF")
        return None

    def _judge(self, data: bytes) -> ResponseHead:
        match = RESPONSE_HEAD.fullmatch(data)
        if match is None:
            raise _blame(data)
        minor, status, section = match.groups()
        if section.count(b"\n") > self._limits.header_count:
            raise BadResponse(f"it has more than {self._limits.header_count} fields")
        version = _VERSIONS[minor]
        found = tuple(_FRAMING.findall(data))
        judge = frame_response_head if len(data) < _CACHED_HEAD else _frame_uncached
        length, keep_alive = judge(version, found)
        if status == b"204" and length not in (0, UNTIL_CLOSE):
            keep_alive = False  # it says that a body follows, which there cannot be
        head = ResponseHead(int(status), version, length, keep_alive, section, data)
        if len(data) < _CACHED_HEAD:
            self.latest = head
        return head


def _blame(data: bytes) -> BadResponse:
    """What is wrong with a head."""
    first, *others = data.removesuffix(END).split(b"\r\n")
    if not _FIRST_LINE.fullmatch(first + b"\r\n"):
        return BadResponse(f"its status line is malformed: {first[:_SHOWN]!r}")
    wrong = next((line for line in others if not _OTHER_LINE.fullmatch(line + b"\r\n")), b"")
    return BadResponse(f"a field is malformed: {wrong[:_SHOWN]!r}")


@lru_cache(_CACHED_HEADS)
def frame_response_head(version: str, found: tuple[tuple[bytes, bytes], ...]) -> tuple[int, bool]:
    """Judge the fields that frame a response: the length of its body, and whether to keep on.

    Most heads agree in them, so the outcome is remembered.

    Raises:
        BadResponse: What RFC 9112 sections 6.1 to 6.3 forbid, more strictly: no list as
            Content-Length, both lengths never, and no transfer coding but chunked.
    """
    fields: dict[bytes, list[bytes]] = {}
    for name, value in found:
        fields.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    connection = list_tokens(fields.get(b"connection", ()))
    length = _body_length(version, fields)
    keep_alive = b"close" not in connection and (version == "1.1" or b"keep-alive" in connection)
    return length, keep_alive


_frame_uncached = frame_response_head.__wrapped__


def _body_length(version: str, fields: Mapping[bytes, Sequence[bytes]]) -> int:
    lengths = fields.get(b"content-length", ())
    codings = fields.get(b"transfer-encoding")
    if codings is None:
        if not lengths:
            return UNTIL_CLOSE
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise BadResponse("its Content-Length is malformed")
        return int(lengths[0])
    if lengths:
        raise BadResponse("it has both Content-Length and Transfer-Encoding")
    if version == "1.0":
        raise BadResponse("it is HTTP/1.0 and has a Transfer-Encoding")
    if list_tokens(codings) != [b"chunked"]:
        raise BadResponse("its transfer coding is not just chunked")
    return CHUNKED


class BodyReader:
    """Finds the end of one response's body."""

    __slots__ = ("_decoder", "_left", "_length", "ended")

    def __init__(self, length: int, limits: Limits) -> None:
        """For a body of that length, which is CHUNKED or UNTIL_CLOSE, or more than 0."""
        self._length = length
        self._left = length
        self._decoder = ChunkedDecoder(limits) if length == CHUNKED else None
        self.ended = False
        """Whether all has arrived."""

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what has arrived.

        Returns:
            What of it is body, and what follows the body.

        Raises:
            BadResponse: Its chunks are malformed, or break a limit.
        """
        if self._decoder is not None:
            return self._decode(self._decoder, data)
        if self._length == UNTIL_CLOSE or self._left > len(data):
            self._left -= len(data)
            return data, b""
        piece, rest = data[: self._left], data[self._left :]
        self._left = 0
        self.ended = True
        return piece, rest

    def _decode(self, decoder: ChunkedDecoder, data: bytes) -> tuple[bytes, bytes]:
        try:
            end = decoder.feed(data)
        except HTTPError as error:
            raise BadResponse(f"its chunks are malformed: {error.detail}") from None
        self.ended = decoder.ended
        piece = b"".join(decoder.pieces)
        decoder.pieces.clear()
        return piece, data[end:]

    def end(self) -> bool:
        """The connection has ended in good order: whether that is the end of the body."""
        self.ended = self.ended or self._length == UNTIL_CLOSE
        return self.ended

    @property
    def trailers(self) -> RawHeaders:
        """The trailer fields of a chunked body, when it has ended."""
        return [] if self._decoder is None else self._decoder.trailers
