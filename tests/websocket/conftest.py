"""What every test of WebSocket is held to: nothing fails unseen."""

from __future__ import annotations

from importlib.util import find_spec

from tests.http.conftest import logged

__all__ = ["logged"]

if find_spec("twisted.web.websocket") is None:  # an older Twisted, with which there is no comparing
    collect_ignore = ["test_interfaces.py"]
