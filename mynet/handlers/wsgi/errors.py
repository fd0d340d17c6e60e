"""`wsgi.errors`: what an application prints there is logged, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from mynet.http.message import Request

log = Logger()


class ErrorLog:
    """A text stream for one request. Each call that ends a line makes an event of it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._line = ""

    def write(self, text: str) -> int:
        """Add text; whole lines are logged.

        Raises:
            TypeError: It is not text.
        """
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes a str, not {type(text).__name__}")
        whole, end, rest = (self._line + text).rpartition("\n")
        self._line = rest
        if end:
            self._log(whole)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Add one text after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that has not ended, too."""
        line, self._line = self._line, ""
        if line:
            self._log(line)

    def _log(self, text: str) -> None:
        log.error("{text}", text=text, request=self._request)
