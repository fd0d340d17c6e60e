"""What `twistd mynet` may be told on its command line, and how it is explained.

Options are checked here as far as that needs no reactor, no file and no
application: all of those come later, in `mynet.daemon.service`. The last thing that is done
here is to install mynet's own reactor.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from math import inf
from typing import NamedTuple

from twisted.python import usage

from mynet import __version__

DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
"""Nothing is open to a network unless it was asked for."""

DEFAULT_DRAIN = 30.0
"""Seconds; systemd/mynet.service waits longer than this, with `handler.stop()` on top."""

INTERFACES = ("handler", "asgi", "wsgi", "resource")
"""Those that an application may have: see `mynet.daemon.applications`."""

INTRODUCTION = """
Serve web applications, files and other servers, or mynet's demo site where none is named.
"""

EXAMPLES = """
Examples:
  twistd -n mynet                             the demo site at http://127.0.0.1:8080/
  twistd -n mynet --app hello:app             `app` of hello.py, here
  twistd -n mynet --app hello:app --debug     with pages that explain its errors
  twistd -n mynet --static public             the files of a folder
  twistd -n mynet --static /static=public --proxy /api=http://127.0.0.1:9000 \\
      --app hello:app                         all of it; the longest prefix wins
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


class Mount(NamedTuple):
    """What is served below a prefix."""

    kind: str
    """`static` or `proxy`, as its option is called."""
    text: str
    """What that was given."""
    prefix: str
    """A path, which ends with a slash only where it is one: `/`."""
    target: str
    """A folder or a URL."""


_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/{}?#%\\\s]+)+")


def parse_mount(kind: str, text: str) -> Mount:
    """What `--static` or `--proxy` was given: `[/PREFIX=]TARGET`.

    Raises:
        usage.UsageError: The prefix is no path, or there is no target.
    """
    before, equals, after = text.partition("=")
    has_prefix = bool(equals) and before.startswith("/")
    prefix, target = (before.removesuffix("/"), after) if has_prefix else ("", text)
    if not target:
        raise usage.UsageError(f"--{kind} {text!r} names nothing to serve")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise usage.UsageError(f"--{kind} {text}: {before!r} is no path to serve it at")
    return Mount(kind, text, prefix or "/", target)


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
        self.update({"interface": None, "mounts": []})
        self["uv-missing"] = None
        self.defaults.update({"listen": DEFAULT_LISTEN, "drain": f"{DEFAULT_DRAIN:g}"})
        self.docs = {name: " ".join((text or "").split()) for name, text in self.docs.items()}

    # usage.Options: the docstrings of opt_ methods are the help

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint to listen on, such as tcp:80; may be given more than once."""
        self["listen"].append(endpoint)

    def opt_app(self, name: str) -> None:
        """MODULE:ATTRIBUTE, what to serve: a handler such as an App, ASGI, WSGI, or a resource.

        The module is looked for in the current directory first.
        """
        self["app"] = name

    def opt_interface(self, name: str) -> None:
        """What the app is, where that is not seen by itself: handler, asgi, wsgi or resource."""
        if name not in INTERFACES:
            raise usage.UsageError(f"--interface is one of {', '.join(INTERFACES)}, not {name!r}")
        self["interface"] = name

    def opt_static(self, mount: str) -> None:
        """[/PREFIX=]FOLDER, files to serve below a path; may be given more than once."""
        self["mounts"].append(parse_mount("static", mount))

    def opt_proxy(self, mount: str) -> None:
        """[/PREFIX=]URL, a server that answers below a path; may be given more than once."""
        self["mounts"].append(parse_mount("proxy", mount))

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
        """Fill in what was not said, and install the reactor unless there is one.

        Raises:
            usage.UsageError: What was said does not go together.
        """
        self._check_places()
        if not self["listen"]:
            self["listen"] = [DEFAULT_LISTEN]
        self["uv-missing"] = install_uv()

    def _check_places(self) -> None:
        if self["interface"] is not None and self["app"] is None:
            raise usage.UsageError("--interface says what an --app is, and there is none")
        asked = [] if self["app"] is None else [(f"--app {self['app']}", "/")]
        asked += [(f"--{mount.kind} {mount.text}", mount.prefix) for mount in self["mounts"]]
        places: dict[str, str] = {}
        for option, prefix in asked:
            other = places.setdefault(prefix, option)
            if other is not option:
                raise usage.UsageError(f"{other} and {option} are both at {prefix}")

    def getUsage(self, width: int | None = None) -> str:
        """The help, below its first line."""
        return f"{INTRODUCTION}\n{super().getUsage(width)}{EXAMPLES}"
