"""The daemon: `twistd mynet`, and `python -m mynet` for the same in the foreground.

This is the side of mynet that has an operator: options, processes, sockets, files, signals.
Nothing that serves requests lives here. A mistake of the operator's is told in one line, and
the process then ends with a status other than 0; it never stays half started.

Importing this leaves the reactor alone. The options settle which one runs, once they are read:
the uv reactor, unless another was asked for.
"""

from __future__ import annotations

from traceback import print_exception
from typing import cast

from twisted.application.service import IService

from mynet.daemon.options import Options

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """What twistd runs: see `mynet.daemon.service`.

    Raises:
        SystemExit: With the one line for an operator's mistake.
    """
    from twisted.internet import reactor

    from mynet.daemon.errors import CannotStart
    from mynet.daemon.service import Reactor, make_server

    try:
        return make_server(cast(Reactor, reactor), options)
    except CannotStart as error:
        if options["debug"] and error.__cause__ is not None:
            print_exception(error.__cause__)
        raise SystemExit(f"mynet: {error}") from None
