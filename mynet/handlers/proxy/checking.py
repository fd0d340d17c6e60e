"""Asks an upstream regularly whether it is well, on connections that are for that alone."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.handlers.proxy.health import HealthCheck
from mynet.handlers.proxy.member import Member
from mynet.http.client_errors import ClientError
from mynet.http.client_limits import ClientLimits
from mynet.http.client_response import ClientResponse
from mynet.http.pool import Pool

log = Logger()

_LIMITS = ClientLimits(max_connections=1, max_idle=0, gather=0)
"""Each question has a connection of its own: whether one can be made is a part of it."""


class Checker:
    """Keeps `is_down` of an upstream."""

    def __init__(self, member: Member, check: HealthCheck) -> None:
        """Nothing is asked before `start`."""
        self._member = member
        self._check = check
        self._pool: Pool | None = None
        self._question: Deferred[Any] | None = None
        self._next: IDelayedCall | None = None
        self._bad = 0  # answers in a row

    def start(self) -> None:
        """Ask now, and then regularly.

        Raises:
            OSError, ValueError: What TLS needs cannot be read.
        """
        self._pool = self._member.make_pool(_LIMITS)
        self._ask(self._pool)

    def stop(self) -> Deferred[None]:
        """Ask no more. It is taken to be up. The Deferred fires when no connection is left."""
        pool, self._pool = self._pool, None
        question, self._question = self._question, None
        if question is not None:
            question.cancel()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._bad = 0
        self._member.is_down = False
        return succeed(None) if pool is None else pool.close()

    def _ask(self, pool: Pool) -> None:
        self._next = None
        host = self._check.host
        fields = self._member.host_line if host is None else b"Host: %b\r\n" % host.encode("ascii")
        question = pool.send("GET", self._check.path.encode("ascii"), fields)
        question.addTimeout(self._check.timeout, self._member.reactor)
        self._question = question
        question.addCallback(self._judge)
        question.addErrback(self._failed)
        question.addBoth(self._ask_again)

    def _judge(self, response: ClientResponse) -> None:
        response.close()
        if response.status not in self._check.statuses:
            self._is_bad(f"it answers {response.status}")
            return
        self._bad = 0
        if self._member.is_down:
            self._member.is_down = False
            log.info("{upstream} is up", upstream=self._member)

    def _failed(self, failure: Failure) -> None:
        if self._pool is None:
            return
        if failure.check(ClientError):
            self._is_bad(str(failure.value))
        else:
            self._is_bad(f"it did not answer within {self._check.timeout:g} s")

    def _is_bad(self, why: str) -> None:
        self._bad += 1
        if self._bad >= self._check.failures and not self._member.is_down:
            self._member.is_down = True
            log.warn("{upstream} is down: {why}", upstream=self._member, why=why)

    def _ask_again(self, _: object) -> None:
        self._question = None
        if self._pool is not None:
            later = self._member.reactor.callLater
            self._next = later(self._check.interval, self._ask, self._pool)
