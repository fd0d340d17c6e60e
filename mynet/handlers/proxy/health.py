"""Whether an upstream can be expected to answer: by how it did lately, and by asking it.

An upstream that failed time and again is left alone for a while, longer each time; then one more
failure is enough. So it is judged by the requests that it got, which costs nothing. Whoever cannot
wait for those to fail has it asked regularly, too: see `HealthCheck`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

SERVED = range(200, 400)

_VISIBLE = re.compile("[!-~]+")
"""Text that stays where it is put in a request: no spaces, no ends of lines, ASCII."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePolicy:
    """When an upstream is left alone. Times are in seconds."""

    failures: int = 3
    """So many failures within `window`: no connection, no answer in time, nonsense, an answer
    without its end. One that is whole is none, whatever its status. 0: it is never left alone."""

    window: float = 10.0
    """What is longer ago does not count."""

    pause: float = 5.0
    """How long it is left alone, the first time; twice as long each further time."""

    longest_pause: float = 120.0
    """But no longer than that."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is out of its range."""
        if self.failures < 0 or not self.window > 0 or not 0 < self.pause <= self.longest_pause:
            raise ValueError(f"not when an upstream can be left alone: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How an upstream is asked whether it is well. Times are in seconds."""

    path: str = "/"
    """What to GET: a path on the upstream, to which no prefix is added."""

    interval: float = 5.0
    """From one answer to the next question."""

    timeout: float = 5.0
    """How long it may take to connect, and to answer."""

    statuses: Container[int] = SERVED
    """Those of one that is well."""

    host: str | None = None
    """The Host to ask for; that of its URL unless given."""

    failures: int = 2
    """After so many bad answers in a row it is down; one good answer, and it is up."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is out of its range."""
        if not self.path.startswith("/") or not _VISIBLE.fullmatch(self.path):
            raise ValueError(f"not a path to check: {self.path!r}")
        if self.host is not None and not _VISIBLE.fullmatch(self.host):
            raise ValueError(f"not a host to check: {self.host!r}")
        if not self.interval > 0 or not self.timeout > 0 or self.failures < 1:
            raise ValueError(f"not how an upstream can be checked: {self}")


class Record:
    """How an upstream did lately."""

    __slots__ = ("_failures", "_pause", "_policy", "out_until")

    def __init__(self, policy: FailurePolicy) -> None:
        self._policy = policy
        self._failures: list[float] = []
        self._pause = 0.0
        self.out_until = 0.0
        """When it may be tried again; 0 where nothing speaks against it."""

    def failed(self, now: float) -> bool:
        """It has failed; whether it is left alone for that, from now on."""
        policy = self._policy
        if not policy.failures or self.out_until > now:
            return False
        self._failures = [then for then in self._failures if then > now - policy.window]
        self._failures.append(now)
        if len(self._failures) < policy.failures and not self.out_until:
            return False
        self._pause = min(self._pause * 2 or policy.pause, policy.longest_pause)
        self.out_until = now + self._pause
        return True

    def answered(self) -> None:
        """It has answered: what was before is forgotten."""
        if self.out_until or self._failures:
            self.out_until = self._pause = 0.0
            self._failures.clear()
