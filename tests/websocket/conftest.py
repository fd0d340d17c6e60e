"""What every test of WebSocket is held to: nothing fails unseen."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.websocket.line")

from tests.http.conftest import logged  # noqa: E402

__all__ = ["logged"]
