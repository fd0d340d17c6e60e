"""What can go wrong with a request to another server, and whether that server may have seen it.

Each says in a sentence what happened, for a log; whoever asks on behalf of somebody else makes a
502, 503 or 504 of it. What goes wrong with the request's own body, while it is read, is none of
these: such an error comes out as it is.
"""

from __future__ import annotations


class ClientError(Exception):
    """A request that has no answer, or an answer that has no end."""

    sent = True
    """Whether the server may have seen the request. Where it has not, any may be sent again."""


class CannotConnect(ClientError):  # noqa: N818  (what happened)
    """There is no connection; its `__cause__` tells more."""

    sent = False


class PoolFull(ClientError):  # noqa: N818  (what happened)
    """All connections are in use, and too many requests wait already; or the pool is closed."""

    sent = False


class UpstreamTimeout(ClientError):  # noqa: N818  (what happened)
    """Something took too long."""

    def __init__(self, kind: str, seconds: float) -> None:
        """For a limit of so many seconds.

        Args:
            kind: `queue` (no connection became free), `connect`, `send` (the server did not take
                the request), `response` (no head came), `body` (no more of the body did).
            seconds: The limit.
        """
        super().__init__(f"{_LATE[kind]} within {seconds:g} s")
        self.kind = kind
        self.sent = kind not in ("queue", "connect")


class NotAnswered(ClientError):  # noqa: N818  (what happened)
    """The connection ended before any byte of a response came.

    The server may have acted upon the request. It has probably not where the connection had
    rested: then it was closed just when the request was sent.
    """

    def __init__(self, reused: bool) -> None:
        """`reused` is whether the connection had rested, or answered an earlier request."""
        what = "closed a connection that had rested" if reused else "closed the connection"
        super().__init__(f"the server {what}, and did not answer")
        self.reused = reused


class BadResponse(ClientError):  # noqa: N818  (what happened)
    """What came is no response in HTTP/1.1 or 1.0, or breaks a limit."""


class ResponseCut(ClientError):  # noqa: N818  (what happened)
    """The connection ended in the middle of a response."""


_LATE = {
    "queue": "no connection became free",
    "connect": "there was no connection",
    "send": "the server did not take the request",
    "response": "the server did not answer",
    "body": "nothing more of the response came",
}
