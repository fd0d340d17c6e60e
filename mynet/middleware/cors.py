"""Who may read answers from another origin, as browsers ask (Cross-Origin Resource Sharing).

A browser lets a page read what another origin answers only if that says so, and asks it first (a
preflight) before it sends what a plain form could not. See the Fetch standard, section 3.3.
All answers tell, errors too, but for an error of the application's which nobody answers.
This keeps no request from being served: it is no protection from forged ones.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable

from multidict import CIMultiDict

from mynet.http.message import Handler, Middleware, Request, Response
from mynet.http.writing import encode_fields, field_lines
from mynet.middleware.around import change_fields, vary, with_life_of

ANY = "*"

Origins = str | Iterable[str] | Callable[[str], bool]

_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")


def cors(
    origins: Origins,
    *,
    methods: str | Iterable[str] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    headers: str | Iterable[str] = (),
    expose: str | Iterable[str] = (),
    credentials: bool = False,
    max_age: int = 600,
) -> Middleware:
    """Middleware that tells browsers what other origins may do, and answers their preflights.

    Args:
        origins: `"*"` for all; or those, such as `https://app.example`; or what tells whether one
            may. An origin has no path, and no slash at its end.
        methods: Those that they may use; `"*"` for all.
        headers: Fields that they may send, besides those that any may; `"*"` for all.
        expose: Fields of answers that they may read, besides those that any may; `"*"` for all.
        credentials: Whether browsers send cookies and passwords along: then whoever may acts as
            their user. Neither `origins` nor `expose` can be `"*"` then.
        max_age: How long a preflight's answer is good for, in seconds.

    Raises:
        ValueError: `"*"` with credentials; what is no origin, or no value of a header field.
    """
    judge, exposed = _judge(origins), _join(expose)
    if credentials and (judge is None or ANY in exposed.split(", ")):
        raise ValueError('with credentials no origins="*", nor expose="*": name them')
    policy = _Policy(judge, "true" if credentials else "", exposed)
    policy.preflight = {
        "Access-Control-Allow-Methods": _join(methods),
        "Access-Control-Allow-Headers": _join(headers),
        "Access-Control-Max-Age": str(max_age),
    }
    field_lines(encode_fields([*policy.actual.items(), *policy.preflight.items()]))

    def middleware(handler: Handler) -> Handler:
        serve = change_fields(handler, policy.change)

        def answer(request: Request) -> Response | Awaitable[Response]:
            asked = request.method == "OPTIONS" and "Origin" in request.headers
            if asked and "Access-Control-Request-Method" in request.headers:
                return policy.answer(request)
            return serve(request)

        return with_life_of(handler, answer)

    return middleware


class _Policy:
    """Who may, and what: fields of answers; those that are empty are left out."""

    preflight: dict[str, str]

    def __init__(self, judge: Callable[[str], bool] | None, credentials: str, exposed: str) -> None:
        self._judge = judge
        self._credentials = {"Access-Control-Allow-Credentials": credentials}
        self.actual = {**self._credentials, "Access-Control-Expose-Headers": exposed}

    def change(self, request: Request, fields: CIMultiDict[str]) -> None:
        self._allow(request, fields, self.actual)

    def answer(self, request: Request) -> Response:
        more = {**self._credentials, **self.preflight}
        for kind in "Method", "Headers":
            allowed = f"Access-Control-Allow-{kind.removesuffix('s')}s"
            if more[allowed] == ANY:  # which means little in an answer
                more[allowed] = request.headers.get(f"Access-Control-Request-{kind}", "")
        response = Response(b"", 204, {})
        vary(response.headers, "Access-Control-Request-Method", "Access-Control-Request-Headers")
        self._allow(request, response.headers, more)
        return response

    def _allow(self, request: Request, fields: CIMultiDict[str], more: dict[str, str]) -> None:
        origin = request.headers.get("Origin")
        fields.popall("Access-Control-Allow-Origin", None)
        allowed: str | None = ANY
        if self._judge is not None:
            vary(fields, "Origin")
            allowed = origin if origin is not None and self._judge(origin) else None
        if allowed is not None:
            fields["Access-Control-Allow-Origin"] = allowed
            fields.update((name, value) for name, value in more.items() if value)


def _judge(origins: Origins) -> Callable[[str], bool] | None:
    """What tells whether an origin may; None if all may."""
    if callable(origins):
        return origins
    known = {origins} if isinstance(origins, str) else set(origins)
    if ANY in known:
        return None
    for origin in known:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"not an origin, such as https://app.example: {origin!r}")
    return known.__contains__


def _join(names: str | Iterable[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names)
