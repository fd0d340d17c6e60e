"""What clients encode in paths, query strings, forms and cookies. Sans I/O."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from mynet.http.errors import HTTPError

FIELDS = 1000
"""The most fields of a query string; PHP's max_input_vars and Django's limit are the same."""


def decode_path(raw: bytes) -> str:
    """A path, or a part of one, without percent-encodings; `HTTPError` 400 if not UTF-8."""
    try:
        text = raw.decode()
        return unquote(text, errors="strict") if "%" in text else text
    except UnicodeDecodeError:
        raise HTTPError(400, "The path is not UTF-8.") from None


def parse_urlencoded(data: bytes, limit: int = FIELDS) -> list[tuple[str, str]]:
    """The fields of a query string or an urlencoded form, in order, also the empty ones.

    They may hold UTF-8 that is not percent-encoded, as `curl --data` sends it.

    Raises:
        HTTPError: 400, where they are not UTF-8, or more than the limit.
    """
    try:
        return parse_qsl(
            data.decode(), keep_blank_values=True, errors="strict", max_num_fields=limit
        )
    except UnicodeDecodeError:
        raise HTTPError(400, "The urlencoded fields are not UTF-8.") from None
    except ValueError:
        raise HTTPError(400, f"There are more than {limit} urlencoded fields.") from None


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
