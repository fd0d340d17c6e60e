"""Uploads that one request makes and another watches. Nothing of them is kept but figures.

How much is remembered is limited: the last `KEPT` uploads, each for `KEPT_FOR` seconds. One
that is forgotten while it is under way goes on; only who asks for it anew does not find it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypedDict

import msgspec
from twisted.internet.defer import Deferred

from mynet import HTTPError

KEPT = 64
KEPT_FOR = 600.0

NAME_LIMIT = 255
"""Characters of an upload's name: as many as file names have."""

EXPECTED_FOR = 10.0
"""How long who watches an upload waits for it to begin."""

BETWEEN_REPORTS = 0.1

State = Literal["expected", "receiving", "complete", "broken"]


class Report(TypedDict):
    """What is told of an upload."""

    state: State
    size: int
    sha256: str | None


class Upload:
    """One upload."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.state: State = "expected"
        self.size = 0
        self.digest = hashlib.sha256()

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in ("complete", "broken")

    def report(self) -> Report:
        """What is to be told of it now; the digest only of all of it."""
        whole = self.state == "complete"
        sha256 = self.digest.hexdigest() if whole else None
        return {"state": self.state, "size": self.size, "sha256": sha256}


class Uploads:
    """The uploads of late, by name."""

    def __init__(
        self, seconds: Callable[[], float], sleep: Callable[[float], Deferred[None]]
    ) -> None:
        """`seconds` tells the time, which only grows; `sleep` lets some pass."""
        self._seconds = seconds
        self._sleep = sleep
        self._uploads: dict[str, Upload] = {}

    def __len__(self) -> int:
        return len(self._uploads)

    @contextmanager
    def receive(self, name: str) -> Iterator[Upload]:
        """An upload while it is received; an exception leaves it broken.

        Raises:
            HTTPError: 409, if one of this name is being received; 400 for too long a name.
        """
        upload = self._find(name)
        if upload is None or upload.is_over:
            upload = self._add(name)
        elif upload.state == "receiving":
            raise HTTPError(409, "An upload of this name is under way.")
        upload.state = "receiving"
        try:
            yield upload
        except BaseException:
            upload.state = "broken"
            raise
        upload.state = "complete"

    def watch(self, name: str) -> AsyncIterator[bytes]:
        """Its reports to its end, each a line of JSON, when something has changed.

        It may be watched before it begins.

        Raises:
            HTTPError: 400, for too long a name.
        """
        _check(name)
        return self._reports(name)

    async def _reports(self, name: str) -> AsyncIterator[bytes]:
        upload = self._find(name) or self._add(name)
        told = None
        while True:
            self._give_up(upload)
            if (report := upload.report()) != told:
                yield msgspec.json.encode(report) + b"\n"
                told = report
            if upload.is_over and upload.state == report["state"]:
                return
            await self._sleep(BETWEEN_REPORTS)

    def _give_up(self, upload: Upload) -> None:
        waited = self._seconds() - upload.since
        if upload.state == "expected" and waited >= EXPECTED_FOR:
            upload.state = "broken"

    def _find(self, name: str) -> Upload | None:
        _check(name)
        self._forget(KEPT)
        return self._uploads.get(name)

    def _add(self, name: str) -> Upload:
        self._uploads.pop(name, None)
        self._forget(KEPT - 1)
        upload = self._uploads[name] = Upload(self._seconds())
        return upload

    def _forget(self, keep: int) -> None:
        """Forget the oldest, until no more than so many are left and none is too old."""
        too_old = self._seconds() - KEPT_FOR
        for name, upload in list(self._uploads.items()):
            if len(self._uploads) <= keep and upload.since > too_old:
                return
            del self._uploads[name]


def _check(name: str) -> None:
    if len(name) > NAME_LIMIT:
        raise HTTPError(400, f"The name is longer than {NAME_LIMIT} characters.")
