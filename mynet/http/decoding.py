"""What clients encode in paths, query strings, forms and cookies. Sans I/O."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from mynet.http.errors import HTTPError

FIELDS = 1000
"""The most fields of a query string; PHP's max_input_vars and Django's limit are the same."""


def decode_path(raw: bytes) -> str:
    """A path, or a part of one, without percent-encodings; `HTTPError` 400 if not UTF-8."""
    text = raw.decode("ascii")
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise HTTPError(400, "The path is not UTF-8.") from None


def parse_urlencoded(data: bytes, limit: int = FIELDS) -> list[tuple[str, str]]:
    """The fields of a query string or an urlencoded form."""
    try:
        return parse_qsl(
            data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=limit
        )
    except ValueError:  # too many, or not UTF-8
        raise HTTPError(400, f"More than {limit} fields, or not in UTF-8.") from None


def parse_cookies(text: str) -> dict[str, str]:
    """The cookies of a Cookie field. What is malformed is skipped."""
    cookies: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name:
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies.setdefault(name, value)
    return cookies
