"""What is served where: the application, folders, and servers behind this one, as one handler.

One thing alone, at the root, is that handler itself, with nothing in between. Several are mounted
in an App: where the prefixes of more than one fit a path, the longest has it.

What is not served is not imported either.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mynet.app import App
from mynet.daemon.applications import host
from mynet.daemon.errors import CannotStart
from mynet.daemon.loading import load
from mynet.daemon.options import Mount, Options
from mynet.http.message import Handler

DEMO = "the demo site"


def make_handler(options: Options, has_loop: bool) -> Handler:
    """The handler of all that was asked for, or of the demo site.

    Args:
        options: What was asked for.
        has_loop: Whether the reactor runs an asyncio loop.

    Raises:
        CannotStart: Something of it cannot be served; it is named.
    """
    mounts = [(mount.prefix, _MAKERS[mount.kind](mount)) for mount in options["mounts"]]
    if options["app"] is not None:
        app = host(load(options["app"]), options["app"], options["interface"], has_loop)
        mounts.append(("/", app))
    if not mounts:
        mounts.append(("/", _demo()))
    for _, handler in mounts:
        if options["debug"] and isinstance(handler, App):
            handler.debug = True
    if [prefix for prefix, _ in mounts] == ["/"]:
        return mounts[0][1]
    whole = App(debug=options["debug"])
    for prefix, handler in mounts:
        whole.mount(prefix, handler)
    return whole


def describe(options: Options) -> str:
    """What is served, for the log: the application first."""
    app = [] if options["app"] is None else [options["app"]]
    return ", ".join([*app, *(mount.text for mount in options["mounts"])]) or DEMO


def _demo() -> Handler:
    from mynet.demo import demo_site

    return demo_site()


def _static(mount: Mount) -> Handler:
    from mynet.handlers.static import StaticFiles

    folder = os.path.abspath(mount.target)
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise CannotStart(f"--static {mount.text}: {error.strerror}: {folder}") from None
    return StaticFiles(folder)


def _proxy(mount: Mount) -> Handler:
    from mynet.handlers.proxy import ReverseProxy

    try:
        return ReverseProxy(mount.target)
    except ValueError as error:
        raise CannotStart(f"--proxy {mount.text}: {error}") from None


_MAKERS: dict[str, Callable[[Mount], Handler]] = {"static": _static, "proxy": _proxy}
