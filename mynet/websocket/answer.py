"""A server's answer to our handshake, from bytes (RFC 9112, as a client reads it). Sans I/O.

A head is judged when all of it is here, by one regular expression that knows no leniency: what
follows a 101 is WebSocket, and where that begins must be beyond doubt. What any other answer has
for a body is collected for whoever wants to know why, as llhttp decodes it.
"""

from __future__ import annotations

from typing import NamedTuple

import httptools
from multidict import CIMultiDict

from mynet.http.errors import REASONS
from mynet.http.exchange import RawHeaders
from mynet.http.limits import KIB
from mynet.http.reading import END, parse_fields
from mynet.http.response_reading import BEGINNING, LINE_FEED, RESPONSE_HEAD
from mynet.websocket.handshake import HandshakeError

MAX_HEAD = 16 * KIB
"""How large the head may be, with those of interim answers before it. Node.js has 16 KiB."""

MAX_BODY = 64 * KIB
"""How much is kept of the body of a refusal."""


class HandshakeRefused(HandshakeError):  # noqa: N818  (what it is, in the words of the RFC)
    """A server's answer is an HTTP response like any other: it does not open a WebSocket."""

    def __init__(self, status: int, headers: CIMultiDict[str], body: bytes) -> None:
        super().__init__(f"The server answered {status} {REASONS.get(status, 'Unknown')}.")
        self.status = status
        """Its status: 401, or 503, or a redirect's, which is not followed."""
        self.headers = headers
        """Its fields."""
        self.body = body
        """What has arrived of its body, up to `MAX_BODY`."""


class Answer(NamedTuple):
    """A 101."""

    fields: RawHeaders
    """Names in lower case, values stripped."""
    rest: bytes
    """What has arrived behind it."""

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields as text."""
        return _as_text(self.fields)


class AnswerReader:
    """Reads the answer to one request."""

    __slots__ = ("_body", "_data", "_room", "_searched")

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0  # how much of it was here the last time
        self._room = MAX_HEAD
        self._body: _Body | None = None

    @property
    def refusal(self) -> HandshakeRefused | None:
        """What is known by now of a refusal; None if none has arrived."""
        return None if self._body is None else self._body.refusal

    def read(self, data: bytes) -> Answer | None:
        """Read what has arrived, in any cut.

        Returns:
            The 101; nothing must be read after it. None if more must arrive.

        Raises:
            HandshakeRefused: The answer is another one, which is all here, or as much of it
                as is kept.
            HandshakeError: This is no answer in HTTP/1.1, or its head is too large.
        """
        if self._body is not None:
            self._body.feed(data)
        else:
            self._data += data
            while self._body is None:
                head = self._take_head()
                answer = self._judge(head) if head else None
                if answer is not None or not head:
                    return answer
        if self._body.is_over:
            raise self._body.refusal
        return None

    def _take_head(self) -> bytes:
        """A head that is all here; empty if none is."""
        data = self._data
        end = data.find(END, max(0, self._searched - 3))
        size = len(data) if end < 0 else end + len(END)
        if size > self._room:
            raise HandshakeError(f"The head of the server's answer is over {MAX_HEAD} bytes.")
        is_http = data[: len(BEGINNING)] == BEGINNING[: len(data)]
        if not is_http or LINE_FEED.search(data, self._searched, size):
            raise HandshakeError("The server's answer is not HTTP/1.1.")
        if end < 0:
            self._searched = size
            return b""
        self._searched = 0
        self._room -= size
        head = bytes(data[:size])
        del data[:size]
        return head

    def _judge(self, head: bytes) -> Answer | None:
        """Tell a 101 from interim answers, which are passed over, and from refusals."""
        match = RESPONSE_HEAD.fullmatch(head)
        if match is None:
            raise HandshakeError("The head of the server's answer is malformed.")
        status, fields = int(match[2]), parse_fields(match[3])
        if status == 101 and match[1] == b"1":
            return Answer(fields, bytes(self._data))
        if status == 101:
            raise HandshakeError("The server's answer is HTTP/1.0.")
        if status >= 200:
            self._body = _Body(status, fields)
            self._body.feed(head)
            self._body.feed(bytes(self._data))
            self._data.clear()
        return None


class _Body:
    """That of a refusal."""

    def __init__(self, status: int, fields: RawHeaders) -> None:
        self.is_over = False
        self._status = status
        self._fields = fields
        self._data = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    @property
    def refusal(self) -> HandshakeRefused:
        """What has arrived of it."""
        return HandshakeRefused(self._status, _as_text(self._fields), bytes(self._data))

    def feed(self, data: bytes) -> None:
        """Decode it, head and all. Where that cannot be done it is over."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.is_over = True  # the refusal holds without it

    # What httptools calls

    def on_body(self, data: bytes) -> None:
        """A piece of the body, or of what follows it."""
        if not self.is_over:
            self._data += data[: MAX_BODY - len(self._data)]
            self.is_over = len(self._data) == MAX_BODY

    def on_message_complete(self) -> None:
        """All of the body has been decoded."""
        self.is_over = True


def _as_text(fields: RawHeaders) -> CIMultiDict[str]:
    return CIMultiDict([(name.decode("ascii"), value.decode("latin-1")) for name, value in fields])
