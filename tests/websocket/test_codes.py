"""Close codes: which of them may be sent, and what an error says of its own."""

from __future__ import annotations

import pytest

from mynet.websocket import codes
from mynet.websocket.codes import WebSocketError, is_sendable

IANA = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
"""Those of RFC 6455 section 7.4.1 and of the registry, without those that are never sent."""


def test_codes_that_may_be_sent():
    """Only what a code is registered for, or what is left to libraries and applications, is sent.

    Everything else in a Close is a violation, on both sides.
    """
    allowed = IANA | set(range(3000, 5000))
    assert {code for code in range(1 << 16) if is_sendable(code)} == allowed
    assert not is_sendable(-1)


def test_names():
    """The names are those of the registry."""
    public = {name: value for name, value in vars(codes).items() if name[0] != "_"}
    assert {name: value for name, value in public.items() if name.isupper()} == {
        "NORMAL": 1000, "GOING_AWAY": 1001, "PROTOCOL_ERROR": 1002, "UNSUPPORTED": 1003,
        "NO_STATUS": 1005, "ABNORMAL": 1006, "INVALID_DATA": 1007, "POLICY_VIOLATION": 1008,
        "TOO_BIG": 1009, "EXTENSION_MISSING": 1010, "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012, "TRY_AGAIN_LATER": 1013,
    }  # fmt: skip


@pytest.mark.parametrize("code", [codes.NO_STATUS, codes.ABNORMAL])
def test_codes_that_are_only_told(code):
    """What says that there was no code, or no Close, is told to the application, and never sent."""
    assert not is_sendable(code)


def test_error():
    """An error says in a log with which code, and why, the connection is closed."""
    error = WebSocketError(1009, "the message is too big")
    assert (error.code, error.reason) == (1009, "the message is too big")
    assert str(error) == "1009: the message is too big"
    assert repr(error) == "WebSocketError(1009, 'the message is too big')"
