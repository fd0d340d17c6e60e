"""Tests of real time are held to what those of HTTP are: nothing fails unseen."""

from tests.http.conftest import logged

__all__ = ["logged"]
