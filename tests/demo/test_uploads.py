"""What is remembered of uploads, and who is told of it."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from mynet import HTTPError
from mynet.demo.uploads import (
    BETWEEN_REPORTS,
    EXPECTED_FOR,
    KEPT,
    KEPT_FOR,
    NAME_LIMIT,
    Uploads,
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def uploads(clock):
    return Uploads(clock.seconds, lambda delay: deferLater(clock, delay))


class Watcher:
    """Somebody who watches an upload."""

    def __init__(self, uploads, name):
        self.reports = []
        self.ended = Deferred.fromCoroutine(self._watch(uploads.watch(name)))

    async def _watch(self, lines):
        async for line in lines:
            self.reports.append(msgspec.json.decode(line))

    @property
    def seen(self):
        return [(report["state"], report["size"]) for report in self.reports]


def test_from_before_its_beginning_to_its_end(clock, uploads):
    """Who watches from the start sees it expected, growing, and complete with its digest."""
    watcher = Watcher(uploads, "a")
    with uploads.receive("a") as upload:
        clock.advance(BETWEEN_REPORTS)
        upload.size += 3
        upload.digest.update(b"abc")
        clock.advance(BETWEEN_REPORTS)
    assert not watcher.ended.called
    clock.advance(BETWEEN_REPORTS)
    assert watcher.ended.called
    expected = [("expected", 0), ("receiving", 0), ("receiving", 3), ("complete", 3)]
    assert watcher.seen == expected
    digest = hashlib.sha256(b"abc").hexdigest()
    assert [report["sha256"] for report in watcher.reports] == [None, None, None, digest]


def test_nothing_new_is_not_told(clock, uploads):
    """An upload that stands still costs its watcher no bytes."""
    watcher = Watcher(uploads, "a")
    clock.pump([BETWEEN_REPORTS] * 20)
    assert watcher.seen == [("expected", 0)]


def test_watched_afterwards(uploads):
    """Who comes late is told the outcome at once."""
    with uploads.receive("a") as upload:
        upload.size = 7
    watcher = Watcher(uploads, "a")
    assert watcher.ended.called
    assert watcher.seen == [("complete", 7)]


def test_broken_off(clock, uploads):
    """An upload whose client goes away is not taken for a whole one."""
    watcher = Watcher(uploads, "a")
    receiving = uploads.receive("a")
    receiving.__enter__().size = 7
    assert not receiving.__exit__(ConnectionError, ConnectionError(), None)
    clock.advance(BETWEEN_REPORTS)
    assert watcher.ended.called
    assert watcher.seen[-1] == ("broken", 7)
    assert watcher.reports[-1]["sha256"] is None


def test_never_begun(clock, uploads):
    """Nobody waits for ever for an upload that does not come."""
    watcher = Watcher(uploads, "a")
    clock.pump([BETWEEN_REPORTS] * (int(EXPECTED_FOR / BETWEEN_REPORTS) + 1))
    assert watcher.ended.called
    assert watcher.seen == [("expected", 0), ("broken", 0)]


def test_watcher_goes(clock, uploads):
    """Nothing is left running for a watcher that has gone."""
    watcher = Watcher(uploads, "a")
    watcher.ended.addErrback(lambda failure: None)
    watcher.ended.cancel()
    assert clock.getDelayedCalls() == []


def test_two_of_one_name(uploads):
    """An upload under way is not mixed up with another of its name: that is refused."""
    with uploads.receive("a") as upload:
        with pytest.raises(HTTPError) as refused, uploads.receive("a"):
            pass
        upload.size = 1
    assert refused.value.status == 409
    assert Watcher(uploads, "a").seen == [("complete", 1)]


def test_again(uploads):
    """A file may be uploaded again by its name; then the new one counts."""
    with uploads.receive("a") as upload:
        upload.size = 7
    with uploads.receive("a") as upload:
        upload.size = 8
    assert Watcher(uploads, "a").seen == [("complete", 8)]


def test_number_is_limited(uploads):
    """However many names are asked for, only the last few are remembered."""
    for number in range(3 * KEPT):
        Watcher(uploads, str(number))
    assert len(uploads) == KEPT


def test_forgotten_while_under_way(uploads):
    """One that is pushed out of memory by others still comes to its end."""
    with uploads.receive("a") as upload:
        for number in range(KEPT):
            Watcher(uploads, str(number))
        upload.size = 7
    assert upload.report()["state"] == "complete"
    assert Watcher(uploads, "a").seen == [("expected", 0)]


def test_age_is_limited(clock, uploads):
    """Figures of an upload do not stay for whoever guesses its name much later."""
    with uploads.receive("a") as upload:
        upload.size = 7
    clock.advance(KEPT_FOR)
    assert Watcher(uploads, "a").seen == [("expected", 0)]
    assert len(uploads) == 1


def test_long_names(uploads):
    """What is remembered of an upload is small: a long name is refused, and told so."""
    for use in (uploads.watch, lambda name: uploads.receive(name).__enter__()):
        with pytest.raises(HTTPError) as refused:
            use("n" * (NAME_LIMIT + 1))
        assert refused.value.status == 400
    assert len(uploads) == 0
