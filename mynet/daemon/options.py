"""What `twistd mynet` may be told on its command line, and how it is explained.

Options are checked here as far as that needs no reactor, no file and no
application: all of those come later, in `mynet.daemon.service`. The last thing that is done
here is to install mynet's own reactor.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from math import inf

from twisted.python import usage

from mynet import __version__

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
"""Nothing is open to a network unless it was asked for."""

DEFAULT_DRAIN = 30.0
"""Seconds; systemd/mynet.service waits longer than this, with `handler.stop()` on top."""

INTRODUCTION = """
Serve a web application, or mynet's demo site where none is named.
"""

EXAMPLES = """
Examples:
  twistd -n mynet                             the demo site at http://127.0.0.1:8080/
  twistd -n mynet --app hello:app             `app` of hello.py, here
  twistd -n mynet --app hello:app --debug     with pages that explain its errors
  twistd --pidfile=m.pid mynet --app shop.web:site --access-log access.log \\
      --listen tcp:80 --listen unix:/run/shop.sock:mode=660

Endpoints:
  tcp:8080                                    all IPv4 addresses of this machine
  tcp6:8080:interface=\\:\\:1                   one IPv6 address; its colons need a \\
  ssl:443:privateKey=key.pem:certKey=cert.pem:extraCertChain=chain.pem
  unix:/run/mynet.sock:mode=660               for a proxy on this machine
  systemd:domain=INET:index=0                 a socket that systemd opened

SIGTERM and SIGINT end it: it stops listening, finishes what it has begun, then goes.
A second one cuts off what is left.
"""


def install_uv() -> str | None:
    """Install the uv reactor, unless another is in place, such as that of twistd --reactor.

    Returns:
        Why that is not possible; None if it is, or not wanted.
    """
    if "twisted.internet.reactor" in sys.modules:
        return None
    try:
        uvreactor = import_module("mynet.uvreactor")
    except ModuleNotFoundError as error:
        if error.name != "uvloop":
            raise
        return str(error)
    uvreactor.install()
    return None


class Options(usage.Options):
    """The options, by name: `options["listen"]`.

    A mistake ends the process with one line on stderr, where twistd would print all of its
    own help on stdout.
    """

    synopsis = "[options]"
    longdesc = ""

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.update(
            {"listen": [], "app": None, "access-log": None, "debug": False, "drain": DEFAULT_DRAIN}
        )
        self["uv-missing"] = None
        self.defaults.update({"listen": DEFAULT_LISTEN, "drain": f"{DEFAULT_DRAIN:g}"})
        self.docs = {name: " ".join((text or "").split()) for name, text in self.docs.items()}

    # usage.Options: the docstrings of opt_ methods are the help

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint to listen on, such as tcp:80; may be given more than once."""
        self["listen"].append(endpoint)

    def opt_app(self, name: str) -> None:
        """MODULE:ATTRIBUTE, what to serve: an App or any handler.

        The module is looked for in the current directory first.
        """
        self["app"] = name

    def opt_access_log(self, path: str) -> None:
        """A file to log each response in, in the combined log format; - for stdout.

        SIGHUP opens it anew.
        """
        self["access-log"] = path

    def opt_debug(self) -> None:
        """For development only: explain errors of an App in the browser.

        Failed Deferreds then tell where they were made, which is slow.
        """
        self["debug"] = True

    def opt_drain(self, seconds: str) -> None:
        """Seconds that requests have to finish in when the server is told to stop."""
        try:
            self["drain"] = float(seconds)
        except ValueError:
            self["drain"] = -1
        if not 0 <= self["drain"] < inf:
            raise usage.UsageError(f"--drain is a number of seconds, not {seconds!r}")

    def opt_version(self) -> None:
        """Display the versions of mynet, Twisted and Python and exit."""
        python = f"{platform.python_implementation()} {platform.python_version()}"
        sys.stdout.write(f"mynet {__version__} (Twisted {version('twisted')}, {python})\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take these arguments; without any, those of the process."""
        try:
            usage.Options.parseOptions(self, options)
        except usage.UsageError as error:
            raise SystemExit(f"mynet: {error} (--help tells the options)") from None

    def parseArgs(self, *rest: str) -> None:
        """What is left over is a mistake."""
        if rest:
            raise usage.UsageError(f"unexpected argument {rest[0]!r}")

    def postOptions(self) -> None:
        """Fill in what was not said, and install the reactor unless there is one."""
        if not self["listen"]:
            self["listen"] = [DEFAULT_LISTEN]
        self["uv-missing"] = install_uv()

    def getUsage(self, width: int | None = None) -> str:
        """The help, below its first line."""
        return f"{INTRODUCTION}\n{super().getUsage(width)}{EXAMPLES}"
