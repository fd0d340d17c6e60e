"""A server's WebSockets are looked at before they are measured."""

from __future__ import annotations

import pytest

from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.loads import UPGRADE, Load
from benchmarks.comparing.sockets import check_echo
from tests.benchmarks.echoing import SWITCH, echoing
from tests.benchmarks.serving import HELLO

ECHO = Load("/echo", "Hello!", UPGRADE)

FIELD = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 1000])
def test_right_echo(piece):
    """An echo that is right to the byte, twice on a WebSocket, is accepted."""
    frames = []

    def answer(frame):
        frames.append(frame)
        return frame

    with echoing(answer, piece=piece) as port:
        check_echo(port, ECHO)
    assert frames == [b"\x81\x06Hello!"] * 2


@pytest.mark.parametrize(
    ("handshake", "complaint"),
    [
        (HELLO, "opens no WebSocket: b'HTTP/1.1 200 OK"),
        (b"", "opens no WebSocket: b''"),
        (SWITCH.replace(b"s3p", b"S3p"), "another handshake"),
        (SWITCH.replace(b"\r\n\r\n", FIELD), "extension"),
    ],
)
def test_wrong_handshake(handshake, complaint):
    """A server that opens no WebSocket, or another than was asked for, is not measured."""
    with (
        echoing(handshake=handshake) as port,
        pytest.raises(MeasurementError, match=complaint),
    ):
        check_echo(port, ECHO)


@pytest.mark.parametrize(
    "answer",
    [
        lambda frame: b"\x82" + frame[1:],
        lambda frame: frame + b"!",
        lambda frame: frame[:-1] + b"?",
        lambda frame: b"",
    ],
)
def test_wrong_echo(answer):
    """A server that does not echo is not measured."""
    with echoing(answer) as port, pytest.raises(MeasurementError, match="instead of"):
        check_echo(port, ECHO)


def test_silent_server(monkeypatch):
    """A server is not waited for without end."""
    monkeypatch.setattr("benchmarks.comparing.sockets.PATIENCE", 0.01)
    with (
        echoing(handshake=SWITCH[:-2]) as port,
        pytest.raises(MeasurementError, match="does not answer"),
    ):
        check_echo(port, ECHO)
