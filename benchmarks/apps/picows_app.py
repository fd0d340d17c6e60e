"""WebSockets by picows, on uvloop: `picows_app.py PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from picows import (  # type: ignore[import-not-found, unused-ignore]
    WSListener,
    WSMsgType,
    ws_create_server,
)

subscribers: set[Any] = set()


class Echo(WSListener):  # type: ignore[misc, unused-ignore]
    """Sends back what it is sent."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called with each frame, the Close too."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


class FanOut(WSListener):  # type: ignore[misc, unused-ignore]
    """What one is sent, all send."""

    def on_ws_connected(self, transport: Any) -> None:
        """Called when it is open."""
        subscribers.add(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Called when it is over."""
        subscribers.discard(transport)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called with each frame, the Close too."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        for each in subscribers:
            each.send(frame.msg_type, payload)


def listener(request: Any) -> Any:
    """One for each connection."""
    return FanOut() if request.path == b"/fanout" else Echo()


async def main(port: int) -> None:
    """Serve until the process is ended."""
    await ws_create_server(listener, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
