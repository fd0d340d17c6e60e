"""Runs one Python block of the documentation, for tests/test_docs.py: `running_docs.py FILE`.

A block that starts the reactor, whichever it installs, has it started, and stopped as soon as
it runs. TCP ports are free ones instead of those named, so that blocks are not in each other's
way. What goes wrong without an exception, as in a Deferred that nobody looks at, is an error too.
"""

from __future__ import annotations

import gc
import runpy
import sys
from pathlib import Path
from typing import Any

import twisted.internet.main
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer


def main(file: str) -> int:
    """Run it.

    Returns:
        The exit status: 1 where an error was logged. An exception just leaves.
    """
    errors = Errors()
    globalLogPublisher.addObserver(errors)
    install = twisted.internet.main.installReactor

    def install_and_prepare(reactor: Any) -> None:
        install(reactor)
        on_free_ports(reactor)
        reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)

    twisted.internet.main.installReactor = install_and_prepare
    sys.path.insert(0, str(Path(file).resolve().parent))
    sys.argv = [file]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:  # as of task.react
        if end.code:
            raise
    gc.collect()
    sys.stderr.writelines(errors.tracebacks)
    return 1 if errors.tracebacks else 0


@implementer(ILogObserver)
class Errors:
    """The exceptions that are logged."""

    def __init__(self) -> None:
        self.tracebacks: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.tracebacks.append(event["log_failure"].getTraceback())


def on_free_ports(reactor: Any) -> None:
    """Make a reactor's listenTCP choose the port."""
    listen = reactor.listenTCP
    reactor.listenTCP = lambda port, *rest, **named: listen(0, *rest, **named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
