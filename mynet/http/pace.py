"""How fast a peer takes what it is sent: what its transport still holds."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor


def bytes_waiting(transport: Any) -> int | None:
    """How many bytes a transport holds that have not been sent; None if it does not tell.

    Those of Twisted's reactors do, with TLS or without, and those of the uv reactor.
    """
    while transport is not None:
        if isinstance(transport, FileDescriptor):
            return len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        waiting: int | None = getattr(transport, "bytes_waiting", None)
        if waiting is not None:
            return waiting
        transport = getattr(transport, "transport", None)
    return None
