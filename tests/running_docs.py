"""Runs one Python block of the documentation, for tests/test_docs.py: `running_docs.py FILE`.

A block that starts the reactor has it started, and stopped as soon as it runs. TCP ports
are free ones instead of those named, so that blocks are not in each other's way. What goes
wrong without an exception, as in a Deferred that nobody looks at, is an error too.
"""

from __future__ import annotations

import gc
import runpy
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.logger import LogEvent, globalLogPublisher


def main(file: str) -> int:
    """Run it.

    Returns:
        The exit status: 1 where an error was logged. An exception just leaves.
    """
    errors: list[LogEvent] = []
    globalLogPublisher.addObserver(lambda event: errors.append(event) if failed(event) else None)
    on_free_ports(reactor)
    reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:  # as of task.react
        if end.code:
            raise
    gc.collect()
    for event in errors:
        print(event["log_failure"].getTraceback(), file=sys.stderr)  # noqa: T201
    return 1 if errors else 0


def failed(event: LogEvent) -> bool:
    """Whether an event tells of an exception."""
    return "log_failure" in event


def on_free_ports(reactor: Any) -> None:
    """Make a reactor's listenTCP choose the port."""
    listen = reactor.listenTCP
    reactor.listenTCP = lambda port, *rest, **named: listen(0, *rest, **named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
