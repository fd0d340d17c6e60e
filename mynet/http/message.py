"""The waist of mynet: requests, responses, and the handlers between them.

    Handler    = Callable[[Request], Response | Awaitable[Response]]
    Middleware = Callable[[Handler], Handler]

Below this file are protocols: they turn bytes into a `Request`, call one
handler, and turn its `Response` into bytes. Above it are handlers: an `App` with
its routes, and everything else that can answer. Neither side knows the other, so
every handler serves every protocol.

A handler returns a `Response`, or anything that can be awaited for one: a
`Deferred`, a coroutine. It starts when the header section is in; the body comes
later, and only as fast as it is read. When the client goes away before it is
answered, what the handler waits for is cancelled.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping
from http.cookies import SimpleCookie
from typing import Any, BinaryIO, Self, TypeVar, overload

import msgspec
from hyperlink import URL
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.logger import Logger
from twisted.web.iweb import IBodyProducer

from mynet.http.body import READ_LIMIT, RequestBody
from mynet.http.decoding import decode_path, parse_cookies, parse_urlencoded
from mynet.http.errors import REASONS, ClientGone, HTTPError
from mynet.http.exchange import Exchange, RawHeaders
from mynet.http.file import FileBody
from mynet.http.forms import Form, FormLimits, read_form
from mynet.http.reading import decode_fields, parse_fields
from mynet.http.tls import TLS
from mynet.http.writing import ResponseFields, encode_fields, response_fields

__all__ = [
    "Body",
    "ClientGone",
    "FormLimits",
    "HTTPError",
    "Handler",
    "Middleware",
    "Request",
    "Response",
    "Upgrade",
    "error_response",
]

T = TypeVar("T")

_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")  # RFC 6265 section 4.1.1

log = Logger()

Body = bytes | Iterable[bytes] | AsyncIterable[bytes] | BinaryIO | IBodyProducer
"""What a response may carry. All but bytes are streamed, and wait for slow clients."""

Handler = Callable[["Request"], "Response | Awaitable[Response]"]
Middleware = Callable[[Handler], Handler]


class Request(msgspec.Struct, eq=False, weakref=True):
    """One request, as its handler sees it.

    Views (`headers`, `query`, `cookies`, `url`, ...) are made when they are first asked for.
    It is a Struct because that makes one in a third of the time; protocols give its first fields.
    """

    exchange: Exchange
    """The protocol's side of this request."""
    method: str
    """The method, case-sensitive: `GET`."""
    target: bytes
    """The request target as it was sent: origin, absolute or asterisk form (RFC 9112
    section 3.2)."""
    version: str
    """`1.0` or `1.1`; later protocols have `2` and `3`."""
    _host: bytes
    _raw_headers: RawHeaders | bytes
    """Or the bytes of an HTTP/1 header section, valid and each line with its CRLF, which are
    taken apart when somebody asks."""
    body: RequestBody | None
    """The body on its way; None where the request has none."""
    raw_path: bytes
    """The path as it was sent; see `split_target`."""
    query_string: bytes
    """What follows the first `?` of the target."""
    root_path: str = ""
    """What mounts have taken off the front of the path, as it was sent: put it before
    the paths of links. `path` and `raw_path` are what is left."""
    path_params: dict[str, Any] = {}
    """What a route's pattern took from the path."""
    finished: bool = False
    """Whether the exchange is over: the response sent, or the client gone."""
    _path: str | None = None
    _headers: CIMultiDictProxy[str] | None = None
    _query: MultiDictProxy[str] | None = None
    _cookies: dict[str, str] | None = None
    _state: dict[str, Any] | None = None
    _finishers: list[Callable[[], object]] | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target.decode('latin-1')}>"

    # What was asked for

    @property
    def path(self) -> str:
        """The path with its percent-encodings decoded; `*` for `OPTIONS *`.

        Raises:
            HTTPError: 400, where what they encode is not UTF-8.
        """
        if self._path is None:
            self._path = decode_path(self.raw_path)
        return self._path

    @property
    def query(self) -> MultiDictProxy[str]:
        """The fields of the query string, decoded, in order.

        Raises:
            HTTPError: 400, where there are more than 1,000, or not in UTF-8.
        """
        if self._query is None:
            self._query = MultiDictProxy(MultiDict(parse_urlencoded(self.query_string)))
        return self._query

    @property
    def host(self) -> str:
        """The host, with its port if it was given, that the client asked for; it may be empty."""
        return self._host.decode("ascii")

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.exchange.scheme

    @property
    def url(self) -> URL:
        """The URL that was asked for, as far as the request tells it."""
        path = "" if self.raw_path == b"*" else self.root_path + self.raw_path.decode("ascii")
        query = f"?{self.query_string.decode('ascii')}" if self.query_string else ""
        return URL.from_text(f"{self.scheme}://{self.host.removesuffix(':')}{path}{query}")

    # Its header fields

    @property
    def raw_headers(self) -> RawHeaders:
        """All fields in order: names in lower case, values without outer white space."""
        if isinstance(self._raw_headers, bytes):
            self._raw_headers = parse_fields(self._raw_headers)
        return self._raw_headers

    def peek_raw_headers(self) -> RawHeaders:
        """The same for who looks once: what had to be taken apart for that is not kept."""
        fields = self._raw_headers
        return parse_fields(fields) if isinstance(fields, bytes) else fields

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The fields by case-insensitive name, decoded as Latin-1."""
        if self._headers is None:
            self._headers = CIMultiDictProxy(CIMultiDict(decode_fields(self.raw_headers)))
        return self._headers

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters; empty where not given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def cookies(self) -> Mapping[str, str]:
        """What the client's Cookie fields say; of two with one name, the first (RFC 6265)."""
        if self._cookies is None:
            self._cookies = parse_cookies("; ".join(self.headers.getall("cookie", [])))
        return self._cookies

    # Where it came from

    @property
    def client(self) -> IAddress:
        """The address of the client, or of the proxy in front."""
        return self.exchange.client

    @property
    def server(self) -> IAddress:
        """The address at which it arrived."""
        return self.exchange.server

    @property
    def tls(self) -> TLS | None:
        """What the TLS handshake settled; None without TLS."""
        return self.exchange.tls

    # Its body

    def read(self, limit: int | None = READ_LIMIT) -> Deferred[bytes]:
        """The whole body; `HTTPError` 413 beyond the limit. See `RequestBody.read`."""
        return succeed(b"") if self.body is None else self.body.read(limit)

    def __aiter__(self) -> RequestBody:
        """`async for chunk in request`: the body as it arrives. See `RequestBody`."""
        return self._stream()

    def deliver(self, protocol: IProtocol) -> Deferred[None]:
        """Push the body into a Twisted protocol. See `RequestBody.deliver`."""
        return self._stream().deliver(protocol)

    def _stream(self) -> RequestBody:
        if self.body is None:
            self.body = RequestBody(self.exchange, 0, 0)
            self.body.end()
        return self.body

    @property
    def trailers(self) -> RawHeaders:
        """The trailer fields of a chunked body, once all of it has been read."""
        return [] if self.body is None else self.body.trailers

    @overload
    def json(self, type: type[T], limit: int | None = ...) -> Deferred[T]: ...
    @overload
    def json(self, type: Any = ..., limit: int | None = ...) -> Deferred[Any]: ...
    def json(self, type: Any = Any, limit: int | None = READ_LIMIT) -> Deferred[Any]:
        """The body decoded from JSON, and checked against a type.

        Args:
            type: Anything msgspec understands: a Struct, a dataclass, `list[int]`, ...
            limit: As for `read`.

        Returns:
            A Deferred of the value. It fails with `HTTPError` 400, which tells the
            path of the offending field, for what is not JSON or not of that type.
        """

        def decode(body: bytes) -> Any:
            try:
                return msgspec.json.decode(body, type=type)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise HTTPError(400, f"The body is not the JSON expected: {error}") from None

        return self.read(limit).addCallback(decode)

    def form(self, limits: FormLimits | None = None) -> Deferred[Form]:
        """The fields and files of an HTML form, urlencoded or multipart.

        Large files are on disk, and all of them are gone when the request is over.

        Returns:
            A Deferred of the `Form`. It fails with `HTTPError`: 415 for another media
            type, 400 for what cannot be parsed, 413 beyond a limit.
        """
        form = Form()
        self.on_finish(form.close)
        content_type = self.headers.get("content-type", "")
        return read_form(form, self._stream(), content_type, limits or FormLimits())

    # Its course

    @property
    def state(self) -> dict[str, Any]:
        """Whatever middleware and handlers wish to keep with this request."""
        if self._state is None:
            self._state = {}
        return self._state

    def disconnected(self) -> Deferred[None]:
        """A new Deferred that fires if the client goes before it has its response.

        It also fires when the client closes its side of the connection, because that cannot
        be told from going; some still wait for their response. It never fires otherwise, but
        at once when the exchange is over. A handler that just waits needs it not: what it
        waits for is cancelled.
        """
        return succeed(None) if self.finished else self.exchange.disconnected()

    def early_hints(self, *links: str) -> None:
        """Tell the client what it will need, before the response (103, RFC 8297).

        Args:
            links: Values of Link fields: `</style.css>; rel=preload; as=style`.
        """
        if not self.finished:
            fields = [(b"link", link.encode("latin-1")) for link in links]
            self.exchange.send_informational(103, fields)

    def mount(self, length: int) -> None:
        """For routers: move so many bytes from the front of `raw_path` to `root_path`."""
        self.root_path += self.raw_path[:length].decode("ascii")
        self.raw_path = self.raw_path[length:]
        self._path = None

    def replace_headers(self, fields: RawHeaders) -> None:
        """For middleware that changes the request: these are its fields, names in lower case."""
        self._raw_headers = fields
        self._headers = self._cookies = None

    def on_finish(self, call: Callable[[], object]) -> None:
        """Call this, last first, when the exchange is over, however it ended.

        It is called at once if that is so already.
        """
        if self.finished:
            call()
        elif self._finishers is None:
            self._finishers = [call]
        else:
            self._finishers.append(call)

    def forget(self, call: Callable[[], object]) -> None:
        """Do not call this when the exchange is over, which `on_finish` had asked for."""
        if self._finishers is not None and call in self._finishers:
            self._finishers.remove(call)
            self._finishers = self._finishers or None

    def finish(self) -> None:
        """For protocols: the exchange is over."""
        self.finished = True
        if self._finishers is not None:
            self._call_finishers(self._finishers)

    def _call_finishers(self, finishers: list[Callable[[], object]]) -> None:
        self._finishers = None
        for call in reversed(finishers):
            try:
                call()
            except Exception:
                log.failure("{call} failed when {request} was over", call=call, request=self)


class Response:
    """One response. It is sent once."""

    __slots__ = (
        "_checked",
        "_content_type",
        "_headers",
        "_raw_headers",
        "_trailers",
        "body",
        "has_headers",
        "status",
    )

    def __init__(
        self,
        body: Body = b"",
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        content_type: str | None = None,
    ) -> None:
        """Any body.

        Args:
            body: Bytes, or what is streamed: an iterable or async iterable of bytes, a
                binary file (closed afterwards), an `IBodyProducer`.
            status: 200 to 599.
            headers: Its fields. Content-Length, Date and what concerns the connection
                are added by the protocol. A Content-Length given for a streamed body
                is a promise: a body that breaks it aborts the connection. Of a file no
                more is read than that.
            content_type: The Content-Type, unless among the headers.
        """
        self.body = body
        self.status = status
        self._content_type = content_type
        self._headers: CIMultiDict[str] | None = None
        self._raw_headers: RawHeaders | None = None
        self._checked: ResponseFields | None = None
        self._trailers: CIMultiDict[str] | None = None
        self.has_headers = headers is not None
        """Whether it has more fields than its Content-Type, as far as it is known."""
        if headers is not None:
            self._headers = CIMultiDict(headers)
            if content_type is not None:
                self._headers.setdefault("Content-Type", content_type)

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    def __await__(self) -> Generator[Any, Any, Self]:
        """Itself, so that middleware may `await` whatever a handler returns."""
        return self
        yield

    @property
    def headers(self) -> CIMultiDict[str]:
        """Its header fields, which may be changed until it is sent."""
        if self._headers is None:
            self._headers = CIMultiDict()
            if self._raw_headers is not None:
                self._headers.extend(decode_fields(self._raw_headers))
                self._raw_headers = None
            elif self._content_type is not None:
                self._headers["Content-Type"] = self._content_type
            self.has_headers = True
        return self._headers

    @property
    def raw_headers(self) -> RawHeaders:
        """The same as pairs of bytes, as they are now.

        Raises:
            ValueError: There is what Latin-1 lacks.
        """
        raw = self._raw_headers
        return encode_fields(self.headers.items()) if raw is None else raw

    def check_fields(self) -> ResponseFields:
        """What its fields say to the protocol.

        Raises:
            ValueError, TypeError: They are not valid.
        """
        if self._checked is not None and self._headers is None:
            return self._checked
        return response_fields(self.raw_headers)

    @property
    def content_type(self) -> str | None:
        """Its Content-Type field."""
        return self.headers.get("Content-Type") if self.has_headers else self._content_type

    @property
    def trailers(self) -> CIMultiDict[str]:
        """Fields that are sent after a streamed body; they may be set while it is sent.

        They reach the client only if its protocol has a place for them, which chunked
        HTTP/1.1 has if this was touched before the response was returned.
        """
        if self._trailers is None:
            self._trailers = CIMultiDict()
        return self._trailers

    @property
    def has_trailers(self) -> bool:
        """Whether `trailers` was ever touched."""
        return self._trailers is not None

    @classmethod
    def raw(
        cls, body: Body, status: int, fields: RawHeaders, checked: ResponseFields | None = None
    ) -> Response:
        """Of header fields as pairs of bytes, for who has them so, such as a host or a proxy.

        They are checked when it is sent, like any others, and until somebody asks for `headers`
        they are not converted.

        Args:
            body: As for any response.
            status: As for any response.
            fields: The pairs.
            checked: What `response_fields` has made of them, for who had to check them before.
        """
        response = cls(body, status)
        response._raw_headers = fields
        response._checked = checked
        response.has_headers = True
        return response

    @classmethod
    def text(cls, text: str, status: int = 200) -> Response:
        """Plain text."""
        return cls(text.encode(), status, None, "text/plain; charset=utf-8")

    @classmethod
    def html(cls, html: str, status: int = 200) -> Response:
        """A page."""
        return cls(html.encode(), status, None, "text/html; charset=utf-8")

    @classmethod
    def json(cls, value: object, status: int = 200) -> Response:
        """A value as JSON: anything that msgspec can encode."""
        return cls(msgspec.json.encode(value), status, None, "application/json")

    @classmethod
    def redirect(cls, location: str, status: int = 303) -> Response:
        """Send the client elsewhere: 303 (with GET), 307 (same method), 301, 302 or 308."""
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status} is not the status of a redirect")
        return cls(b"", status, {"Location": location})

    @classmethod
    def file(cls, path: str | os.PathLike[str], content_type: str | None = None) -> Response:
        """A regular file, as long as it is now. See `mynet.http.file`.

        Raises:
            OSError: It cannot be opened.
        """
        file = open(path, "rb")  # noqa: SIM115  (closed by whoever sends it)
        return cls(FileBody(file), 200, None, content_type or "application/octet-stream")

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        http_only: bool = True,
        same_site: str = "Lax",
    ) -> None:
        """Add a Set-Cookie field (RFC 6265); the defaults are the careful ones.

        Args:
            max_age: Seconds it is kept; None: until the browser is closed.

        Raises:
            http.cookies.CookieError: The name is not a token.
            ValueError: The value has what cookies cannot: white space, quotes, commas,
                semicolons, backslashes, non-ASCII. Encode it, say by `urllib.parse.quote`.
        """
        if not _COOKIE_VALUE.fullmatch(value):
            raise ValueError(f"not a value for a cookie: {value!r}")
        cookie: SimpleCookie = SimpleCookie()
        cookie[name] = value
        morsel = cookie[name]
        morsel["path"] = path
        if max_age is not None:
            morsel["max-age"] = str(max_age)
        if domain is not None:
            morsel["domain"] = domain
        morsel["secure"] = secure
        morsel["httponly"] = http_only
        morsel["samesite"] = same_site
        self.headers.add("Set-Cookie", morsel.OutputString())

    def delete_cookie(self, name: str, *, path: str = "/", domain: str | None = None) -> None:
        """Make the client forget a cookie that was set with this path and domain."""
        self.set_cookie(name, "", max_age=0, path=path, domain=domain)


class Upgrade(Response):
    """A response that hands the connection over to another protocol (101).

    After it is sent, `protocol.makeConnection(transport)` is called, and
    `dataReceived` with whatever the client sent behind its request. The request is not
    answered again; its exchange is over when the connection is lost. When the server stops, the
    protocol's `drain` is called, if it has one, and is to end the connection in good order; else
    that is closed.
    """

    __slots__ = ("protocol",)

    def __init__(
        self,
        token: str,
        protocol: IProtocol,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> None:
        """`token` is the name for the Upgrade field, such as `websocket`."""
        super().__init__(b"", 101, headers)
        self.headers["Upgrade"] = token
        self.protocol = protocol


def error_response(error: HTTPError) -> Response:
    """What an `HTTPError` is answered with unless an application knows better: plain text."""
    text = f"{error.status} {REASONS.get(error.status, 'Error')}\n"
    if error.detail:
        text += f"{error.detail}\n"
    headers = error.headers or None
    response = Response(
        text.encode(errors="backslashreplace"), error.status, headers, "text/plain; charset=utf-8"
    )
    if error.close:
        response.headers["Connection"] = "close"
    return response
