"""What every test of WSGI is held to: nothing fails unseen."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.handlers.wsgi.hosting")

from tests.http.conftest import logged  # noqa: E402

__all__ = ["logged"]
