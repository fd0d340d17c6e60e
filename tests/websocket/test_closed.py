"""How a WebSocket ended: Twisted's protocols understand it, and so does who knows close codes."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionClosed, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost

KINDS = [WebSocketClosed, WebSocketDone, WebSocketLost]


@pytest.mark.parametrize("kind", KINDS)
def test_code_and_reason(kind):
    """It has the code and the reason of the Close, and shows both."""
    error = kind(4001, "kicked")
    assert (error.code, error.reason) == (4001, "kicked")
    assert str(error) == "4001: kicked"
    assert str(kind(1000)) == "1000"


@pytest.mark.parametrize("kind", KINDS)
def test_without_code(kind):
    """A Close without a code is told as 1005, without a reason."""
    assert (kind().code, kind().reason, str(kind())) == (1005, "", "1005")


def test_reasons_of_twisted():
    """What looks for Twisted's reasons of a lost connection finds them, and either end is one."""
    done, lost = Failure(WebSocketDone(1000)), Failure(WebSocketLost(1006, "no sign of life"))
    assert (done.check(ConnectionDone, ConnectionLost), lost.check(ConnectionDone)) == (
        ConnectionDone, None,
    )  # fmt: skip
    assert lost.check(ConnectionLost) is ConnectionLost
    for failure in (done, lost):
        assert failure.check(ConnectionClosed)
        assert failure.check(WebSocketClosed)
    assert lost.getErrorMessage() == "1006: no sign of life"
