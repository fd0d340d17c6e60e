"""A Twisted reactor whose connections are libuv's own.

    twistd --reactor=uv ...         trial --reactor=uv ...

Any Twisted program runs on it. It is Twisted's asyncio reactor on an event loop of uvloop, so
asyncio's libraries run beside it; but what other reactors do in Python for each connection (wait,
read, buffer, write) libuv does in C. It needs uvloop, which there is not for Windows.
"""

from __future__ import annotations

import asyncio

from twisted.internet import main as _main

try:
    from mynet.uvreactor.reactor import UVReactor
except ModuleNotFoundError as error:
    if error.name != "uvloop":
        raise
    raise ModuleNotFoundError(
        "the uv reactor needs uvloop (pip install uvloop; not on Windows)", name="uvloop"
    ) from None

__all__ = ["UVReactor", "install"]


def install(eventloop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make it the reactor of this process, before anyone imports `twisted.internet.reactor`.

    Args:
        eventloop: As `UVReactor` takes it.

    Raises:
        ReactorAlreadyInstalledError: There is another.
    """
    _main.installReactor(UVReactor(eventloop))
