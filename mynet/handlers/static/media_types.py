"""The Content-Type of a file, by the extension of its name. Sans I/O.

The table is the standard library's with what it lacks, the same on each machine: what a system
may have in `/etc/mime.types` is not read.
"""

from __future__ import annotations

import mimetypes
import os.path
from collections.abc import Mapping
from functools import cache

UNKNOWN = "application/octet-stream"

_MORE = {
    ".7z": "application/x-7z-compressed",
    ".apk": "application/vnd.android.package-archive",
    ".avif": "image/avif",
    ".br": UNKNOWN,
    ".bz2": "application/x-bzip2",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".rss": "application/rss+xml",
    ".atom": "application/atom+xml",
    ".toml": "application/toml",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",  # else what it says of its own charset would count for nothing
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


def content_type(name: str, own: Mapping[str, str] | None = None) -> str:
    """What is in a file of this name; `UNKNOWN` if that does not tell.

    Args:
        name: Of a file.
        own: By extension, in lower case and with its dot, what is said instead of the usual.

    Returns:
        A Content-Type; text, of which nothing else is said, is UTF-8.
    """
    extension = os.path.splitext(name)[1].lower()
    found = (own or {}).get(extension) or _table().get(extension, UNKNOWN)
    if found.startswith("text/") and ";" not in found:
        return f"{found}; charset=utf-8"
    return found


@cache
def _table() -> dict[str, str]:
    return mimetypes.MimeTypes().types_map[True] | _MORE
