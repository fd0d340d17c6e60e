"""Whether a server echoes on a WebSocket: looked at before the load generator asks for more."""

from __future__ import annotations

import socket
from http.client import HTTPException, parse_headers
from typing import BinaryIO

from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.loads import Load
from benchmarks.comparing.processes import PATIENCE

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What the key of `loads.UPGRADE` is answered with."""

FINAL_TEXT = 0x81
MASKED = 0x80
KEY = bytes([0x37, 0xFA, 0x21, 0x3D])


def check_echo(port: int, load: Load) -> None:
    """Send the body of a load, of at most 125 bytes, as a text twice on one WebSocket.

    Raises:
        MeasurementError: It is not opened, or a text does not come back as it was.
        ConnectionError: There is no answer.
    """
    text = load.body.encode()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        try:
            connection.sendall(load.request().encode())
            with connection.makefile("rb") as received:
                check_handshake(received)
                for _ in range(2):
                    connection.sendall(masked(text))
                    check_frame(received, text)
        except (TimeoutError, HTTPException) as error:
            raise MeasurementError(f"it does not answer: {error!r}") from None


def masked(text: bytes) -> bytes:
    """A text as a client's frame."""
    payload = bytes(byte ^ KEY[index % 4] for index, byte in enumerate(text))
    return bytes([FINAL_TEXT, MASKED | len(text)]) + KEY + payload


def check_handshake(received: BinaryIO) -> None:
    """Look at the head of the answer to `loads.UPGRADE`.

    Raises:
        MeasurementError: It opens no WebSocket, or one with an extension.
    """
    status = received.readline()
    if not status.startswith(b"HTTP/1.1 101"):
        raise MeasurementError(f"it opens no WebSocket: {status!r}")
    fields = parse_headers(received)
    if fields["Sec-WebSocket-Accept"] != ACCEPT:
        raise MeasurementError("it answers another handshake")
    if "Sec-WebSocket-Extensions" in fields:
        raise MeasurementError("it uses an extension that nobody offered")


def check_frame(received: BinaryIO, text: bytes) -> None:
    """Look at an answer, all bytes of it.

    Raises:
        MeasurementError: It is not the text, in one frame.
    """
    expected = bytes([FINAL_TEXT, len(text)]) + text
    got = received.read(len(expected))
    if got != expected:
        raise MeasurementError(f"it answers {got!r} instead of {expected!r}")
