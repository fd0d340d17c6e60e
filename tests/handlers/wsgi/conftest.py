"""What every test of WSGI is held to: nothing fails unseen."""

from __future__ import annotations

from tests.http.conftest import logged

__all__ = ["logged"]
