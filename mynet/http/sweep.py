"""Deadlines, looked at once a second, all in one sweep: no connection has a timer of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

INTERVAL = 1.0
"""Seconds between two sweeps."""

log = Logger()


class Deadlines(Protocol):
    """What has deadlines."""

    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now."""


M = TypeVar("M", bound=Deadlines)


class Sweep(Generic[M]):
    """Looks at the deadlines of its members, as long as it has any."""

    __slots__ = ("__weakref__", "_call", "_clock", "_prepare", "members", "next")

    def __init__(
        self, clock: IReactorTime | None, prepare: Callable[[], object] | None = None
    ) -> None:
        """Nothing happens until it has a member.

        Args:
            clock: Whose time is used: the global reactor's unless given.
            prepare: Called before each sweep, and when the first member comes.
        """
        self._clock = clock
        self._prepare = prepare
        self._call: IDelayedCall | None = None
        self.members: set[M] = set()
        """Whose deadlines are looked at."""
        self.next = 0.0
        """The time of the next sweep: not before now, and that without asking a clock."""

    @property
    def clock(self) -> IReactorTime:
        """The reactor whose time is used."""
        if self._clock is None:
            from twisted.internet import reactor

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    @property
    def now(self) -> float:
        """The reactor's time, in seconds."""
        return self.clock.seconds()

    def add(self, member: M) -> None:
        """Look at its deadlines from now on."""
        if self._call is None:
            self._schedule()
        self.members.add(member)

    def discard(self, member: M) -> None:
        """Do so no longer."""
        self.members.discard(member)
        if not self.members and self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self) -> None:
        self._call = self.clock.callLater(INTERVAL, self._sweep)
        self.next = self.now + INTERVAL
        if self._prepare is not None:
            self._prepare()

    def _sweep(self) -> None:
        self._schedule()
        now = self.now
        for member in tuple(self.members):
            try:
                if member in self.members:  # another one may have ended it
                    member.check_deadlines(now)
            except Exception:
                log.failure("a deadline of {member} failed", member=member)
