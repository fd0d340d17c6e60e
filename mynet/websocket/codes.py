"""The codes with which a WebSocket is closed (RFC 6455 section 7.4), and the error that has one."""

from __future__ import annotations

NORMAL = 1000
"""What it was for is done."""
GOING_AWAY = 1001
"""A server stops, or a browser leaves the page."""
PROTOCOL_ERROR = 1002
"""A frame or its place is not as RFC 6455 has it."""
UNSUPPORTED = 1003
"""A message is of a kind that is not taken here: bytes instead of text, say."""
NO_STATUS = 1005
"""Never sent: the peer's Close had no code."""
ABNORMAL = 1006
"""Never sent: the connection was lost without a Close."""
INVALID_DATA = 1007
"""A text is not UTF-8, or compressed data cannot be inflated."""
POLICY_VIOLATION = 1008
"""A message is not welcome, and no other code tells more."""
TOO_BIG = 1009
"""A message is larger than is taken here."""
EXTENSION_MISSING = 1010
"""A client's: the server did not agree to an extension as it should have."""
INTERNAL_ERROR = 1011
"""What handles the connection failed."""
SERVICE_RESTART = 1012
"""A server stops, and will be back."""
TRY_AGAIN_LATER = 1013
"""A peer cannot be served now: it reads more slowly than others write."""

_SENDABLE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def is_sendable(code: int) -> bool:
    """Whether a Close frame may have this code: one of RFC 6455, of IANA's, or one's own."""
    return code in _SENDABLE


class WebSocketError(Exception):
    """What the peer sent is against the rules: the connection is closed with this code.

    Args:
        code: The close code.
        reason: What is wrong, in plain words. It is sent, so it holds nothing secret.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
