"""What every test of WebSocket is held to: nothing fails unseen."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("twisted.web.websocket") is None:  # an older Twisted, with which there is no comparing
    collect_ignore = ["test_interfaces.py"]

pytest.register_assert_rewrite("tests.websocket.line")

from tests.http.conftest import logged  # noqa: E402

__all__ = ["logged"]
