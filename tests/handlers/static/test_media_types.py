"""The Content-Type of a file."""

from __future__ import annotations

import pytest

from mynet.handlers.static.media_types import content_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("INDEX.HTML", "text/html; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("app.wasm", "application/wasm"),
        ("app.js.map", "application/json"),
        ("data.json", "application/json"),
        ("feed.xml", "application/xml"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("favicon.ico", "image/vnd.microsoft.icon"),
        ("a.woff2", "font/woff2"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", "application/octet-stream"),
        (".html", "application/octet-stream"),
    ],
)
def test_extensions(name, expected):
    """A browser is told what it gets, in UTF-8 where that is text."""
    assert content_type(name) == expected


def test_types_of_ones_own():
    """A site may know better, also of its charset."""
    own = {".html": "text/html; charset=latin-1", ".log": "text/x-log", ".unheard-of": "a/b"}
    assert content_type("a.html", own) == "text/html; charset=latin-1"
    assert content_type("a.LOG", own) == "text/x-log; charset=utf-8"
    assert content_type("a.unheard-of", own) == "a/b"
    assert content_type("a.txt", own) == "text/plain; charset=utf-8"
