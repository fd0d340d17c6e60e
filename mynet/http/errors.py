"""Errors that know whose fault they are and what to answer.

`HTTPError` may be raised anywhere: by a handler, by what reads a body, by the
parser. Whoever answers the request turns it into that response. Every other
exception is a bug of ours or of the application, is logged with its traceback
and answered with 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",  # RFC 9110's names, which HTTPStatus has from 3.13 on only
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


class HTTPError(Exception):
    """A request that is answered with an error.

    Args:
        status: The status code, 400 to 599.
        detail: What to tell the client, in plain words; the status's own
            phrase when empty. It is sent, so it holds nothing secret.
        headers: Header fields of the response, such as `Allow` or `Retry-After`.
        close: Whether the connection ends with this response, since what follows
            on it can no longer be told apart.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status of an HTTPError must be 400 to 599, not {status}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        self.close = close

    def __str__(self) -> str:
        phrase = f"{self.status} {REASONS.get(self.status, 'Error')}"
        return f"{phrase}: {self.detail}" if self.detail else phrase


class ClientGone(Exception):  # noqa: N818  (an event, in Twisted's manner)
    """The client closed its connection, or was cut off, before the exchange was over."""
