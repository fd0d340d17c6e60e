"""`python -m mynet`: what `twistd -n mynet` does, without a pid file, and with its log on stderr.

It is twistd itself, told so; but mynet need not be installed as its plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.application.service import ServiceMaker
from twisted.logger import ILogObserver, textFileLogObserver

# Twisted does not export the options, which are not the same on every platform.
from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

from mynet.daemon.errors import CannotStart

MYNET = ServiceMaker("mynet", "mynet.daemon", "", "mynet")


def stderr_observer() -> ILogObserver:
    """Where the log goes."""
    return textFileLogObserver(sys.stderr)


class Twistd(ServerOptions):
    """The options of a twistd that has one command, which it was given with these arguments."""

    synopsis = "Usage: python -m"

    def __init__(self, arguments: Sequence[str]) -> None:
        ServerOptions.__init__(self)
        settings = ["--nodaemon", "--pidfile=", f"--logger={__name__}.stderr_observer"]
        ServerOptions.parseOptions(self, [*settings, MYNET.tapname, *arguments])

    # usage.Options

    @property
    def subCommands(self) -> Iterator[Sequence[Any]]:
        """The command."""
        self.loadedPlugins = {MYNET.tapname: MYNET}
        yield MYNET.tapname, None, MYNET.options, MYNET.description


def main() -> None:
    """Run it with the arguments of this process; it returns when the server has stopped.

    Raises:
        SystemExit: With another status than 0 for a mistake.
    """
    config = Twistd(sys.argv[1:])
    try:
        runApp(config)
    except CannotStart:  # and it is on stderr, in the log
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
