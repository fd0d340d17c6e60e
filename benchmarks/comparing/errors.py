"""What goes wrong with a server or a load, in one line for who runs the command."""

from __future__ import annotations


class MeasurementError(Exception):
    """A server, or the load on it, did not do what it should."""


class UsageError(Exception):
    """The command cannot be run like this, or here."""
