"""Responses are compressed for clients that can take it.

What is compressed has a Content-Type that pays, and is not small; it is no part of something
(206), not encoded already, and its handler does not forbid it (`Cache-Control: no-transform`).
Small bodies are compressed at once. All others stream, as they come: what a handler has sent
arrives, also if nothing follows for hours; and no more than 64 KiB is compressed in a turn of
the reactor.

Compression tells secrets: who can have a client ask for pages that hold one and text of theirs,
and sees how long the answers are, can guess it (BREACH). Do not compress pages which reflect what
is asked and hold a token that does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from mynet.http.accept import choose_encoding
from mynet.http.limits import KIB
from mynet.http.message import Handler, Middleware, Request, Response
from mynet.middleware.around import change_responses, vary
from mynet.middleware.codings import LEVELS, available, check_level
from mynet.middleware.encoded import encode, known_length, weaken

TYPES = (
    "text/*",
    *("application/*+json", "application/*+xml", "application/javascript", "application/json"),
    *("application/manifest+json", "application/wasm", "application/x-javascript"),
    *("application/x-ndjson", "application/xml", "font/otf", "font/ttf", "image/bmp"),
    *("image/svg+xml", "image/vnd.microsoft.icon", "image/x-icon"),
)
"""Media types that pay; `*` is for any text in one."""

_BODILESS_OR_PART = {204, 205, 206, 304}


def compression(
    *,
    minimum: int = KIB,
    types: Iterable[str] = TYPES,
    levels: Mapping[str, int] | None = None,
) -> Middleware:
    """Middleware that compresses responses.

    Args:
        minimum: Bodies of fewer bytes, if that is known, are left as they are.
        types: Media types that pay; `*` is for any text in one.
        levels: The codings to offer and their levels, those we like best first: `{"gzip": 6}`.
            By default zstd, br, gzip and deflate, as far as their libraries are installed.

    Raises:
        ValueError: There is no such coding here, or no such level.
    """
    levels = {coding: LEVELS[coding] for coding in available()} if levels is None else levels
    for coding, level in levels.items():
        check_level(coding, level)
    compress = _Compression(minimum, tuple(types), dict(levels))

    def middleware(handler: Handler) -> Handler:
        return change_responses(handler, compress)

    return middleware


class _Compression:
    """What becomes of the responses."""

    def __init__(self, minimum: int, types: tuple[str, ...], levels: dict[str, int]) -> None:
        self._minimum = minimum
        self._codings = tuple(levels)
        self._levels = levels

        @lru_cache(256)
        def pays(content_type: str) -> bool:
            media_type = content_type.partition(";")[0].strip().lower()
            return any(fnmatchcase(media_type, each) for each in types)

        self._pays = pays

    def __call__(self, request: Request, response: Response) -> Response:
        body = response.body
        if response.status == 304:
            _not_modified(request, response)
        elif isinstance(body, bytes) and len(body) < self._minimum and request.method != "HEAD":
            pass
        elif self._may_change(response) and self._pays(response.content_type or ""):
            length = known_length(response)
            if length is None or length >= self._minimum:
                self._vary(request, response, length)
        return response

    def _may_change(self, response: Response) -> bool:
        if response.status in _BODILESS_OR_PART:
            return False
        if not response.has_headers:
            return True
        fields = response.headers
        kept = "no-transform" in ",".join(fields.getall("Cache-Control", [])).lower()
        return not (kept or "Content-Encoding" in fields or "Content-Range" in fields)

    def _vary(self, request: Request, response: Response, length: int | None) -> None:
        vary(response.headers, "Accept-Encoding")
        coding = self._choose(request)
        if coding is not None:
            encode(response, length, coding, self._levels[coding])

    def _choose(self, request: Request) -> str | None:
        accepted = [value for name, value in request.raw_headers if name == b"accept-encoding"]
        return choose_encoding([value.decode("latin-1") for value in accepted], self._codings)


def _not_modified(request: Request, response: Response) -> None:
    """With the fields of the 200 that the client has (RFC 9110 section 15.4.5)."""
    etag = response.headers.get("ETag", "")
    known = b",".join(value for name, value in request.raw_headers if name == b"if-none-match")
    if etag.startswith('"') and f"W/{etag}" in known.decode("latin-1"):
        vary(response.headers, "Accept-Encoding")
        weaken(response)
