"""The one error of an operator who asked for what cannot be."""

from __future__ import annotations


class CannotStart(Exception):  # noqa: N818  (it is told to people)
    """The daemon cannot start; the text says why, in one line."""

    # twistd has 100 bytes for what a daemon's parent prints, and this name is among them.
    __module__ = "mynet.daemon"

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))
