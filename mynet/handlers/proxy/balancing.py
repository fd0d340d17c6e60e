"""Which upstream gets a request: the one that has the least to do, of those that are well.

One that failed time and again is left alone as long as there is another. Where there is none, the
one that would be tried again first is: that it is bad is a guess from a few requests, and an answer
may be better than none. One that checks have found down, lately, gets nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mynet.handlers.proxy.member import Member


class Balancer:
    """Chooses among the upstreams of a proxy."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._turn = 0

    def pick(self, tried: Collection[Member] = ()) -> Member | None:
        """The upstream for a request.

        Args:
            tried: Those that it was handed to already, in vain; none of them is it again.

        Returns:
            The one with the fewest requests in progress, and of those that have equally few, each
            in turn; None if none is left.
        """
        members = self._members
        if len(members) == 1:
            return None if tried or members[0].is_down else members[0]
        self._turn = (self._turn + 1) % len(members)
        in_turn = [*members[self._turn :], *members[: self._turn]]
        up = [member for member in in_turn if not member.is_down and member not in tried]
        if not up:
            return None
        well = [member for member in up if self._is_well(member)]
        if not well:
            return min(up, key=_out_until)
        return min(well, key=_load)

    def _is_well(self, member: Member) -> bool:
        out_until = member.record.out_until
        return not out_until or out_until <= member.now


def _load(member: Member) -> int:
    return member.load


def _out_until(member: Member) -> float:
    return member.record.out_until
