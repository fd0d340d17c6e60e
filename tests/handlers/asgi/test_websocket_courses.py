"""Whatever an application and its client do, and in whatever order: there is one end, for both."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynet.handlers.asgi.contract import ContractError
from mynet.websocket.policy import Policy
from tests.handlers.asgi.driving import drive
from tests.handlers.asgi.websockets import Event, Site, Talk, settle
from tests.websocket.line import Browser

SENDS: dict[str, Event] = {
    "accept": {"type": "websocket.accept"},
    "say": {"type": "websocket.send", "text": "hello"},
    "say much": {"type": "websocket.send", "bytes": b"x" * 50_000},
    "say nothing": {"type": "websocket.send"},
    "close": {"type": "websocket.close", "code": 4000},
    "head": {"type": "websocket.http.response.start", "status": 402, "headers": []},
    "piece": {"type": "websocket.http.response.body", "body": b"x" * 50_000, "more_body": True},
    "last": {"type": "websocket.http.response.body", "body": b"x"},
    "nonsense": {"type": "websocket.nonsense"},
}
STEPS = [*SENDS, "receive", "wait", "raise"]
CLIENT = ["say", "close", "hang up", "stop reading", "read", "drain", "time"]

courses = st.lists(
    st.one_of(
        st.tuples(st.just("application"), st.sampled_from(STEPS)),
        st.tuples(st.just("client"), st.sampled_from(CLIENT)),
    ),
    max_size=12,
)


class Course:
    """An application that takes the next step when it is told to, and then is at its end."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: list[str] = []
        """What it has sent without an error."""
        self.site = Site(self, policy=Policy(leave_timeout=1, send_limit=1000))

    async def __call__(self, talk: Talk) -> None:
        while (step := await self.steps.get()) is not None:
            if step == "receive":
                await talk.receive()
            elif step == "raise":
                raise ZeroDivisionError
            elif step != "wait":
                await talk.send(SENDS[step])
                self.sent.append(step)


def act(browser: Browser, deed: str) -> None:
    """Let a client, or what is around it, do something."""
    is_open = browser.status == 101 and not browser.wire.transport.disconnected
    if deed == "say" and is_open and browser.protocol.close_sent is None:
        browser.sends("hello")
    elif deed == "close" and is_open and browser.protocol.close_sent is None:
        browser.closes(4001)
    elif deed == "hang up" and not browser.wire.transport.disconnected:
        browser.hang_up()
    elif deed == "stop reading":
        browser.wire.stop_reading()
    elif deed == "read":
        browser.wire.read()
    elif deed == "drain":
        browser.wire.factory.drain(5)
    elif deed == "time":
        browser.advance(2)


async def take(steps: list[tuple[str, str]]) -> Any:
    course = Course()
    browser = await course.site.visit()
    for who, deed in steps:
        if who == "application":
            course.steps.put_nowait(deed)
        else:
            act(browser, deed)
        await settle(browser)
    course.steps.put_nowait(None)
    browser.wire.read()
    await settle(browser)
    browser.advance(15)
    await settle(browser)
    if not browser.wire.transport.disconnected:
        browser.hang_up()
    for _ in range(3):
        browser.wire.advance(2)
        await settle(browser)
    assert len(course.site.ends) == 1
    assert course.site.stats.lingering == 0
    return course, browser


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(courses)
def test_any_course(logged, steps):
    """The application ends, the client has one answer or has gone, and nothing is left over."""
    course, browser = None, None
    logged.events = []

    async def run() -> None:
        nonlocal course, browser
        course, browser = await take(steps)

    drive(run)
    assert course is not None
    assert browser is not None
    stats = course.site.stats
    assert stats.accepted + stats.refused == 1
    if "accept" in course.sent:
        assert stats.accepted == sum(stats.closed.values()) <= 1
    if browser.status is not None:
        assert browser.status in {101, 402, 403, 500, 503}
    assert len(logged.events) <= 2
    failures = [event["log_failure"] for event in logged.events if "log_failure" in event]
    assert {failure.type for failure in failures} <= {ZeroDivisionError, ContractError}
    logged.events = []
