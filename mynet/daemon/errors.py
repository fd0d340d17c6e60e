"""The one error of an operator who asked for what cannot be."""

from __future__ import annotations

LONGEST = 500
"""Characters of a line that is told; of a longer one the beginning and the end, with the place."""

END = 150


class CannotStart(Exception):  # noqa: N818  (it is told to people)
    """The daemon cannot start; the text says why, in one line of what can be printed."""

    # twistd has 100 bytes for what a daemon's parent prints, and this name is among them.
    __module__ = "mynet.daemon"

    def __init__(self, text: str) -> None:
        line = "".join(map(_printable, " ".join(text.split())))
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - END - 5]} ... {line[-END:]}"
        super().__init__(line)


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
