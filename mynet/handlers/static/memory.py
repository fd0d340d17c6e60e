"""Small files that were sent of late, kept in memory.

What is kept of a file is sent only while the file is in the very state in which it was read, which
one `stat` tells. What else is known of its place, that is, which compressed forms there are, and
which file is the index of a folder, holds for `KNOWN` seconds; then all is looked up anew.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from mynet.handlers.static.representation import Mark, Representation, mark_of
from mynet.http.accept import choose_encoding
from mynet.http.limits import KIB, MIB

KNOWN = 1.0
"""Seconds."""

FILE = 128 * KIB
"""The largest file that is kept, in bytes. Of larger ones sending them costs more than opening."""

TOTAL = 32 * MIB
"""All that is kept, in bytes."""

_OVERHEAD = 2 * KIB
"""What keeping a file costs beside its contents, or a little more."""


class Kept(NamedTuple):
    """A file, or one compressed form of it."""

    path: str
    mark: Mark
    body: bytes
    representation: Representation


class Place(NamedTuple):
    """What there is for one path of a URL."""

    until: float
    """When it is no longer known."""
    codings: tuple[str, ...]
    """Of the compressed forms that there are."""
    kept: dict[str | None, Kept]
    """By coding."""


class Memory:
    """Some places, the latest of them."""

    def __init__(self, total: int = TOTAL) -> None:
        self.size = 0
        """What is kept, in bytes."""
        self._total = total
        self._places: dict[bytes, Place] = {}

    def find(self, raw_path: bytes, encodings: str, now: float) -> Kept | None:
        """What a client gets that accepts such encodings, if it is kept and the file unchanged."""
        place = self._places.get(raw_path)
        if place is None or place.until <= now:
            return None
        codings = place.codings
        kept = place.kept.get(choose_encoding((encodings,), codings) if codings else None)
        if kept is None:
            return None
        try:
            return kept if mark_of(os.stat(kept.path)) == kept.mark else None
        except OSError:
            return None

    def keep(
        self,
        raw_path: bytes,
        codings: tuple[str, ...],
        coding: str | None,
        kept: Kept,
        now: float,
    ) -> None:
        """Keep what was just read, and all that is kept for its path if it is still known."""
        place = self._places.get(raw_path)
        if place is None or place.until <= now or place.codings != codings:
            self._forget(raw_path)
            place = self._places[raw_path] = Place(now + KNOWN, codings, {})
        before = place.kept.get(coding)
        self.size += _cost(raw_path, kept) - (_cost(raw_path, before) if before else 0)
        place.kept[coding] = kept
        while self.size > self._total:
            self._forget(next(iter(self._places)))

    def _forget(self, raw_path: bytes) -> None:
        place = self._places.pop(raw_path, None)
        if place is not None:
            self.size -= sum(_cost(raw_path, kept) for kept in place.kept.values())


def _cost(raw_path: bytes, kept: Kept) -> int:
    return len(raw_path) + len(kept.body) + _OVERHEAD
