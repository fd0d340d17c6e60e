"""A Twisted reactor whose connections are libuv's own.

    twistd --reactor=uv ...         trial --reactor=uv ...

Any Twisted program runs on it. It is Twisted's asyncio reactor on an event loop of uvloop, so
asyncio's libraries run beside; but what other loops do in Python for each connection (waiting
for it, reading, writing, buffers) libuv does in C. It needs uvloop, which is not on Windows.
"""

from __future__ import annotations

import asyncio

try:
    from mynet.uvreactor.reactor import UVReactor
except ModuleNotFoundError as error:
    if error.name != "uvloop":
        raise
    raise ModuleNotFoundError("no") from None

__all__ = ["UVReactor", "install"]


def install(eventloop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make it the reactor of this process; to be called before `twisted.internet.reactor` is imported."""
    from twisted.internet.main import installReactor

    installReactor(UVReactor(eventloop))
