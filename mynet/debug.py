"""What is shown of an error, to a browser or a terminal, while an application is written.

The page stands alone and runs nothing. Of local variables it shows names and kinds,
and values only of numbers: whatever else they hold may be secret, and a page is
easily sent on. Header fields that carry secrets are hidden for the same reason.
"""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from base64 import b64encode
from collections.abc import Iterator, Sized
from hashlib import sha256
from html import escape
from itertools import islice
from types import FrameType

from mynet.http.message import Request, Response

__all__ = ["debug_page"]

# The most that is shown: errors in a chain, calls of each, source lines on either side of
# the current one, local variables.
_CHAIN = 10
_FRAMES = 50
_CONTEXT = 5
_LOCALS = 100
_SECRET = re.compile(r"auth|cookie|credential|key|pass|pin|secret|session|token", re.IGNORECASE)

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; white-space: pre-wrap }
h2 { font-size: 1.1rem; margin-top: 2rem }
pre, td, code { font: 13px/1.5 ui-monospace, monospace }
pre { border-left: 4px solid #8886; margin: .3rem 0; overflow-x: auto; padding-left: .8rem }
mark { background: #e5484d33; color: inherit; display: inline-block; min-width: 100% }
td { overflow-wrap: anywhere; padding-right: 1rem; vertical-align: top }
footer, summary { color: #888 }
"""
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
}
_LIBRARIES = tuple(
    os.path.join(path, "")
    for path in (os.path.dirname(__file__), *map(sysconfig.get_path, ("stdlib", "purelib")))
)


def debug_page(request: Request, error: BaseException) -> Response:
    """A 500 that tells all about an error; plain text where HTML is not asked for."""
    if any("text/html" in value for value in request.headers.getall("accept", ())):
        text, content_type = _html(request, error), "text/html; charset=utf-8"
    else:
        report = "".join(traceback.format_exception(error))
        text, content_type = f"{_request_line(request)}\n\n{report}", "text/plain; charset=utf-8"
    return Response(text.encode(errors="replace"), 500, _HEADERS, content_type)


def _request_line(request: Request) -> str:
    return f"{request.method} {request.target.decode('latin-1')} HTTP/{request.version}"


def _html(request: Request, error: BaseException) -> str:
    summary = escape(_summary(error))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{summary}</title><style>{_STYLE}</style></head>
<body><h1>{summary}</h1>
<p><code>{escape(_request_line(request))}</code></p>
{"".join(_section(each) for each in _chain(error))}
<h2>Header fields of the request</h2>
<table>{"".join(_fields(request))}</table>
<footer><p>This page is shown because the App has <code>debug=True</code>.</p></footer>
</body></html>
"""


def _summary(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _chain(error: BaseException) -> list[BaseException]:
    """An error, and those that led to it."""
    chain = [error]
    while len(chain) < _CHAIN:
        context = None if chain[-1].__suppress_context__ else chain[-1].__context__
        earlier = chain[-1].__cause__ or context
        if earlier is None or any(earlier is each for each in chain):
            break
        chain.append(earlier)
    return chain


def _section(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-_FRAMES:]
    calls = "".join(_call(frame, line) for frame, line in reversed(frames))
    return f"<h2>{escape(_summary(error))}</h2><p>The latest call first.</p>{calls}"


def _call(frame: FrameType, line: int) -> str:
    code = frame.f_code
    shown = "" if code.co_filename.startswith(_LIBRARIES) else " open"
    place = f"{code.co_qualname} in {code.co_filename}, line {line}"
    return (
        f"<details{shown}><summary>{escape(place)}</summary>"
        f"<pre>{''.join(_source(code.co_filename, line, frame))}</pre>"
        f"<table>{''.join(_locals(frame))}</table></details>"
    )


def _source(filename: str, line: int, frame: FrameType) -> Iterator[str]:
    for number in range(max(1, line - _CONTEXT), line + _CONTEXT + 1):
        text = linecache.getline(filename, number, frame.f_globals)
        if text:
            shown = escape(f"{number:5}  {text.rstrip()}")
            yield f"<mark>{shown}</mark>\n" if number == line else f"{shown}\n"


def _locals(frame: FrameType) -> Iterator[str]:
    for name, value in islice(frame.f_locals.items(), _LOCALS):
        yield f"<tr><td>{escape(name)}</td><td>{escape(_kind(name, value))}</td></tr>"


def _kind(name: str, value: object) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if kind in (bool, int, float) and not _SECRET.search(name):
        return f"{kind.__qualname__}: {value!r:.40}"
    if isinstance(value, Sized) and kind in (str, bytes, list, tuple, dict, set, frozenset):
        return f"{kind.__qualname__} of length {len(value)}"
    return kind.__qualname__


def _fields(request: Request) -> Iterator[str]:
    for name, value in request.headers.items():
        shown = "(hidden)" if _SECRET.search(name) else value
        yield f"<tr><td>{escape(name)}</td><td>{escape(shown)}</td></tr>"
