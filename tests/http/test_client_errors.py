"""What can go wrong with a request to another server."""

from __future__ import annotations

import pytest

from mynet.http.client_errors import (
    BadResponse,
    CannotConnect,
    ClientError,
    NotAnswered,
    PoolFull,
    ResponseCut,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (CannotConnect("refused"), False),
        (PoolFull("full"), False),
        (UpstreamTimeout("queue", 1), False),
        (UpstreamTimeout("connect", 1), False),
        (UpstreamTimeout("send", 1), True),
        (UpstreamTimeout("response", 1), True),
        (UpstreamTimeout("body", 1), True),
        (NotAnswered(True), True),
        (NotAnswered(False), True),
        (BadResponse("what"), True),
        (ResponseCut("where"), True),
    ],
)
def test_what_was_sent(error, sent):
    """Each error tells whether the server can have seen the request, in which case it may have
    acted upon it."""
    assert isinstance(error, ClientError)
    assert error.sent is sent


def test_texts():
    """Each error says in a sentence what happened."""
    assert str(UpstreamTimeout("response", 2.5)) == "the server did not answer within 2.5 s"
    assert str(UpstreamTimeout("connect", 10)) == "there was no connection within 10 s"
    assert "that had rested" in str(NotAnswered(True))
    assert "that had rested" not in str(NotAnswered(False))
