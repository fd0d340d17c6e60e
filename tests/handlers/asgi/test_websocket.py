"""WebSockets of ASGI applications: pace, deadlines, errors, and how all that ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from mynet import App
from mynet.handlers.asgi.contract import ContractError
from mynet.http import Limits, Response
from mynet.testing import Client, Wire
from mynet.websocket.codes import GOING_AWAY
from mynet.websocket.policy import Policy
from tests.handlers.asgi.websockets import Event, Site, Talk, echo, in_a_loop, settle
from tests.websocket.line import Browser, masked

TEXT = 1

WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])


def rules(logged: Any) -> list[str]:
    """The errors that are logged without tracebacks."""
    events, logged.events = logged.events, []
    assert all("log_failure" not in event for event in events), events
    return [event["log_format"].format(**event) for event in events]


async def talk_on(talk: Talk) -> None:
    """An application that accepts, and is silent until it is over."""
    await talk.accept()
    while (await talk.receive())["type"] != "websocket.disconnect":
        pass


# Messages


@WAYS
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@in_a_loop
async def test_echo(size, compressed):
    """Messages arrive and are answered in order, however their bytes come."""
    site = Site(echo)
    browser = await site.visit(size=size, compressed=compressed)
    messages: list[str | bytes] = ["a", b"b", "c" * 1000, "c" * 1000, "\u20ac", "", b""]
    browser.sends(*messages)
    await settle(browser)
    assert browser.got() == messages
    browser.closes(4000, "bye")
    await settle(browser)
    assert browser.close == (4000, "")
    assert site.ends == ["returned"]
    assert site.stats.closed == {4000: 1}


@WAYS
@in_a_loop
async def test_messages_behind_the_handshake(size):
    """What comes with the handshake is received after it, however late that is decided."""
    decided = asyncio.Event()

    async def late(talk: Talk) -> None:
        await talk.begin()
        await decided.wait()
        await talk.send({"type": "websocket.accept"})
        await talk.say((await talk.receive())["text"])
        await talk.say((await talk.receive())["text"])

    behind = masked(TEXT, b"a") + masked(TEXT, b"b")
    browser = await Site(late).visit(behind=behind, size=size)
    assert browser.status is None
    decided.set()
    await settle(browser)
    assert browser.got() == ["a", "b"]


@in_a_loop
async def test_accepts_without_being_asked():
    """To receive websocket.connect before one accepts is not asked of an application."""

    async def hasty(talk: Talk) -> None:
        await talk.send({"type": "websocket.accept"})
        assert (await talk.receive())["type"] == "websocket.connect"
        await talk.say("hello")

    browser = await Site(hasty).visit()
    assert browser.got() == ["hello"]


@in_a_loop
async def test_sends_from_elsewhere():
    """Any task may send, also several at once, and each message is whole."""
    site = Site(talk_on)
    first, second = await site.visit(), await site.visit()
    talks = [talk for talk in site.talks for _ in range(3)]
    await asyncio.gather(*(talk.say(f"{number}") for number, talk in enumerate(talks)))
    assert (first.got(), second.got()) == (["0", "1", "2"], ["3", "4", "5"])
    for browser in (first, second):
        browser.closes()
        await settle(browser)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@in_a_loop
async def test_kinds_of_bytes(kind):
    """Whatever is like bytes is sent as such."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.send({"type": "websocket.send", "bytes": kind(b"abc")})

    assert (await Site(app).visit()).got() == [b"abc"]


@in_a_loop
async def test_receives_with_a_timeout():
    """An application that waits with a timeout, over and over, misses nothing."""
    events: list[Event] = []

    async def impatient(talk: Talk) -> None:
        await talk.accept()
        while len(events) < 2:
            waiting = asyncio.ensure_future(talk.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                events.append(waiting.result())

    browser = await Site(impatient).visit()
    browser.sends("a")
    await settle(browser)
    browser.sends("b")
    await settle(browser)
    assert [event["text"] for event in events] == ["a", "b"]


# Pace


@in_a_loop
async def test_slow_application():
    """Who sends more than an application receives waits, and loses nothing."""
    go_on = asyncio.Event()
    received: list[str] = []

    async def slow(talk: Talk) -> None:
        await talk.accept()
        await go_on.wait()
        while (event := await talk.receive())["type"] == "websocket.receive":
            received.append(event["text"])

    site = Site(slow, receive_limit=1000)
    browser = await site.visit()
    for number in range(20):
        browser.sends(f"{number:100}")
    assert browser.wire.transport.paused
    go_on.set()
    await settle(browser)
    assert not browser.wire.transport.paused
    assert received == [f"{number:100}" for number in range(20)]
    browser.closes()
    await settle(browser)


@in_a_loop
async def test_slow_client():
    """An application that sends more than its client reads waits."""
    sent: list[int] = []

    async def app(talk: Talk) -> None:
        await talk.accept()
        for number in range(100):
            await talk.say(b"x" * 10_000)
            sent.append(number)

    site = Site(app, send_limit=50_000)
    browser = Browser(Wire(site.handler))
    browser.wire.stop_reading()
    await settle()
    assert 10 < len(sent) < 20
    browser.wire.read()
    for _ in range(20):
        await settle(browser)
    assert (len(browser.got()), site.ends) == (100, ["returned"])


@in_a_loop
async def test_many_wait_for_a_slow_client():
    """All who wait to send have their turns in order; one that is cancelled has not sent."""
    site = Site(talk_on, send_limit=0)
    browser = await site.visit()
    browser.wire.stop_reading()
    await site.talk.say("x" * 100_000)
    await site.talk.say("0")
    tasks = [asyncio.ensure_future(site.talk.say(f"{number}")) for number in (1, 2, 3)]
    await settle()
    tasks[1].cancel()
    await settle()
    assert [task.done() for task in tasks] == [False, True, False]
    browser.wire.read()
    await settle(browser)
    assert browser.got()[1:] == ["0", "1", "3"]
    assert tasks[1].cancelled()
    browser.closes()
    await settle(browser)


@in_a_loop
async def test_client_goes_while_it_is_sent_to():
    """Who waits for a client that goes gets the OSError."""
    site = Site(talk_on, send_limit=0)
    browser = await site.visit()
    browser.wire.stop_reading()
    await site.talk.say("x" * 100_000)
    await site.talk.say("0")
    waiting = asyncio.ensure_future(site.talk.say("1"))
    await settle()
    browser.hang_up()
    await settle()
    assert isinstance(waiting.exception(), OSError)
    assert site.ends == ["returned"]


@in_a_loop
async def test_slow_client_is_closed_if_that_is_the_policy():
    """With `slow_consumer="close"` nobody waits for a slow client, who is closed with 1013."""
    site = Site(talk_on, send_limit=1000, slow_consumer="close")
    browser = await site.visit()
    browser.wire.stop_reading()
    await site.talk.say("x" * 100_000)
    for _ in range(2):
        await site.talk.say("x" * 900)
    with pytest.raises(OSError, match="closed"):
        await site.talk.say("x")
    browser.wire.read()
    await settle(browser)
    assert browser.close is not None
    assert browser.close[0] == 1013
    assert site.stats.slow == 1
    browser.hang_up()
    await settle()


# Refusing


@in_a_loop
async def test_no_handshake():
    """What asks for a WebSocket in a wrong way is refused, and no application called."""
    site = Site(echo)
    wire = Wire(site.handler)
    wire.send(
        b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await settle()
    assert wire.received.startswith(b"HTTP/1.1 400 ")
    assert site.talks == []


@pytest.mark.parametrize(
    ("origins", "status"), [(None, 403), (["https://else.test"], 101), (["*"], 101)]
)
@in_a_loop
async def test_origin(origins, status):
    """Pages of other hosts may not open WebSockets, unless their origins are named."""
    site = Site(echo, origins=origins)
    browser = await site.visit(headers={"Origin": "https://else.test"})
    assert browser.status == status
    assert len(site.talks) == (status == 101)
    browser.hang_up()
    await settle()


@in_a_loop
async def test_streamed_denial_to_a_slow_client():
    """A denial response is sent at its client's pace."""
    sent: list[int] = []

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response(403, [(b"content-length", b"1000000")])
        for number in range(100):
            await talk.body(b"x" * 10_000, more_body=True)
            sent.append(number)
        await talk.body(b"")

    site = Site(app)
    browser = Browser(Wire(site.handler))
    browser.wire.stop_reading()
    await settle()
    assert 0 < len(sent) < 20
    browser.wire.read()
    for _ in range(60):
        await settle(browser)
    assert (len(browser.body), site.ends) == (1_000_000, ["returned"])


@in_a_loop
async def test_client_goes_during_a_denial():
    """A client that goes half-way: the OSError, and websocket.disconnect."""
    go_on = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response(403)
        await talk.body(b"x", more_body=True)
        assert (await talk.receive())["code"] == 1006
        go_on.set()
        await talk.body(b"x", more_body=True)

    site = Site(app)
    browser = await site.visit()
    browser.hang_up()
    await settle()
    assert go_on.is_set()
    assert site.ends == ["ClientDisconnected"]
    assert site.stats.lingering == 0


@pytest.mark.parametrize("end", ["returns", "raises", "breaks a rule"])
@in_a_loop
async def test_half_a_denial(logged, end):
    """A denial response of which only half is sent does not look complete."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response(403, [(b"content-type", b"text/plain")])
        await talk.body(b"x", more_body=True)
        if end == "raises":
            raise ZeroDivisionError
        if end == "breaks a rule":
            await talk.say("but")

    browser = await Site(app).visit()
    assert browser.wire.transport.aborted
    logged.take(ZeroDivisionError if end == "raises" else ContractError)


@in_a_loop
async def test_denial_without_a_body(logged):
    """One whose body never begins is none: 500."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response(403)

    browser = await Site(app).visit()
    assert browser.status == 500
    (told,) = rules(logged)
    assert "websocket.http.response.body" in told


# What an application does wrong


BEFORE: dict[str, Event | list[str] | None] = {
    "no dict": ["websocket.accept"],
    "None": None,
    "no type": {},
    "type of no str": {"type": 1},
    "of HTTP": {"type": "http.response.start", "status": 200},
    "unknown": {"type": "websocket.hello"},
    "send": {"type": "websocket.send", "text": "a"},
    "body": {"type": "websocket.http.response.body", "body": b""},
    "subprotocol not offered": {"type": "websocket.accept", "subprotocol": "mine"},
    "subprotocol of bytes": {"type": "websocket.accept", "subprotocol": b"chat"},
    "header of str": {"type": "websocket.accept", "headers": [("a", "b")]},
    "header of three": {"type": "websocket.accept", "headers": [(b"a", b"b", b"c")]},
    "header with a newline": {"type": "websocket.accept", "headers": [(b"a", b"b\r\nc: d")]},
    "header with a bad name": {"type": "websocket.accept", "headers": [(b"a b", b"c")]},
    "header that is ours": {"type": "websocket.accept", "headers": [(b"upgrade", b"other")]},
    "headers that are none": {"type": "websocket.accept", "headers": 1},
    "no status": {"type": "websocket.http.response.start"},
    "status of no int": {"type": "websocket.http.response.start", "status": "403"},
    "status 101": {"type": "websocket.http.response.start", "status": 101},
}


@pytest.mark.parametrize("wrong", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("caught", [False, True], ids=["raised", "caught"])
@in_a_loop
async def test_breaks_a_rule_before_it_accepts(logged, wrong, caught):
    """An error for the application, one line in the log, and 500 for the client."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        try:
            await talk.send(wrong)
        except RuntimeError:
            if not caught:
                raise

    site = Site(app)
    browser = await site.visit(subprotocols=["chat"])
    assert browser.status == 500
    (told,) = rules(logged)
    assert "<Request GET /" in told
    assert site.ends == ["returned" if caught else "ContractError"]


AFTER: dict[str, Event] = {
    "unknown": {"type": "websocket.hello"},
    "of HTTP": {"type": "http.response.body", "body": b""},
    "accepted twice": {"type": "websocket.accept"},
    "a denial": {"type": "websocket.http.response.start", "status": 403},
    "code that is none": {"type": "websocket.close", "code": 1005},
    "code of no int": {"type": "websocket.close", "code": "1000"},
    "code of a list": {"type": "websocket.close", "code": []},
    "long reason": {"type": "websocket.close", "reason": "\u20ac" * 42},
    "reason of bytes": {"type": "websocket.close", "reason": b"bye"},
}


@pytest.mark.parametrize("wrong", AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("caught", [False, True], ids=["raised", "caught"])
@in_a_loop
async def test_breaks_a_rule_after_it_accepted(logged, wrong, caught):
    """An error for the application, one line in the log, and 1011 for the client."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        try:
            await talk.send(wrong)
        except RuntimeError:
            if not caught:
                raise

    site = Site(app)
    browser = await site.visit()
    assert browser.close == (1011, "")
    (told,) = rules(logged)
    assert wrong["type"] in told
    assert site.ends == ["returned" if caught else "ContractError"]
    assert site.stats.failures == 1


@in_a_loop
async def test_raises_before_it_accepts(logged):
    """An application that raises before it decides: 500, and the traceback in the log, once."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        raise ZeroDivisionError

    browser = await Site(app).visit()
    assert browser.status == 500
    assert b"Zero" not in browser.body
    logged.take(ZeroDivisionError)


@in_a_loop
async def test_raises_after_it_accepted(logged):
    """After: 1011, and the traceback in the log, once."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.say("hello")
        raise ZeroDivisionError

    site = Site(app)
    browser = await site.visit()
    assert browser.got() == ["hello"]
    assert browser.close == (1011, "")
    assert site.stats.failures == 1
    (failure,) = logged.take(ZeroDivisionError)
    assert "in app" in failure.getTraceback()


@in_a_loop
async def test_raises_after_the_end(logged):
    """An error after the end is logged, too; the client was told all before."""

    async def app(talk: Talk) -> None:
        await talk_on(talk)
        raise ZeroDivisionError

    site = Site(app)
    browser = await site.visit()
    browser.closes(4000)
    await settle(browser)
    assert browser.close == (4000, "")
    logged.take(ZeroDivisionError)
    assert site.stats.failures == 0


@in_a_loop
async def test_returns_before_it_decides(logged):
    """One that returns without a decision: 500, and a line in the log."""
    site = Site(lambda talk: talk.begin())
    browser = await site.visit()
    assert browser.status == 500
    (told,) = rules(logged)
    assert "websocket.accept" in told


@in_a_loop
async def test_error_group_of_a_disconnect():
    """That the client has gone is no error either where a group of tasks says it."""

    async def app(talk: Talk) -> None:
        await talk_on(talk)
        async with asyncio.TaskGroup() as group:
            group.create_task(talk.say("too late"))

    site = Site(app)
    browser = await site.visit()
    browser.closes()
    await settle(browser)
    assert site.ends == ["ExceptionGroup"]


@in_a_loop
async def test_sends_after_it_closed():
    """One task closes, another does not know: the OSError, and nothing is logged."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.close()
        with pytest.raises(OSError, match="closed"):
            await talk.say("but")

    site = Site(app)
    browser = await site.visit()
    assert (browser.close, browser.got()) == ((1000, ""), [])
    assert site.ends == ["returned"]


@in_a_loop
async def test_is_cancelled(logged):
    """An application that is cancelled by itself closes with 1011."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await talk.receive()

    site = Site(app)
    browser = await site.visit()
    assert browser.close == (1011, "")
    assert site.ends == ["CancelledError"]


@in_a_loop
async def test_is_cancelled_before_it_begins():
    """One that is cancelled before its first step has not decided: 500, and nothing is left."""
    site = Site(echo)
    browser = Browser(Wire(site.handler))
    site.handler.tasks.cancel()
    await settle(browser)
    assert browser.status == 500
    assert (site.talks, site.stats.lingering) == ([], 0)
    assert [call for call in browser.wire.clock.getDelayedCalls() if "Session" in str(call)] == []


@in_a_loop
async def test_runs_in_a_task_of_asyncios():
    """The task is asyncio's own, in C where Python has it, whose steps are the quickest."""
    kinds: list[type[object]] = []

    async def app(talk: Talk) -> None:
        kinds.append(type(asyncio.current_task()))
        await talk.accept()

    await Site(app).visit()
    assert kinds == [asyncio.Task]


# Deadlines


def warnings_of() -> tuple[list[str], Any]:
    """The warnings that are logged from now on, and what ends that."""
    told: list[str] = []

    def observe(event: Any) -> None:
        if event["log_level"] is LogLevel.warn:
            told.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    return told, lambda: globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]


@pytest.mark.parametrize("begun", [False, True], ids=["nothing", "a denial"])
@in_a_loop
async def test_never_decides(begun):
    """One that does not decide in time: 503; it is told, and in the end cancelled."""
    ended = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        if begun:
            await talk.begin_response()
        assert (await talk.receive())["code"] == 1006
        ended.set()
        await asyncio.Event().wait()

    site = Site(app, policy=Policy(handshake_timeout=5, leave_timeout=7))
    browser = await site.visit()
    browser.advance(4)
    assert browser.status is None
    browser.advance(2)
    await settle(browser)
    assert browser.status == 503
    assert (ended.is_set(), site.ends, site.stats.lingering) == (True, [], 1)
    told, forget = warnings_of()
    browser.wire.advance(8)
    forget()
    await settle()
    assert (site.ends, site.stats.lingering) == (["CancelledError"], 0)
    assert len(told) == 1


@in_a_loop
async def test_accepts_too_late():
    """Who accepts after that gets the OSError."""
    go_on = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        await go_on.wait()
        await talk.send({"type": "websocket.accept"})

    site = Site(app, handshake_timeout=5)
    browser = await site.visit()
    browser.advance(6)
    go_on.set()
    await settle(browser)
    assert browser.status == 503
    assert site.ends == ["ClientDisconnected"]


@in_a_loop
async def test_accepts_after_its_client_has_gone():
    """Who accepts a client that has gone gets the OSError."""
    go_on = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        await go_on.wait()
        await talk.send({"type": "websocket.accept"})

    site = Site(app)
    browser = await site.visit()
    browser.hang_up()
    go_on.set()
    await settle()
    assert site.ends == ["ClientDisconnected"]
    assert site.stats.refused == 1


@in_a_loop
async def test_goes_on_after_the_end():
    """An application may go on after its client for `leave_timeout`; then it is cancelled."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await asyncio.Event().wait()

    site = Site(app, policy=Policy(leave_timeout=10))
    browser = await site.visit()
    browser.closes()
    await settle(browser)
    browser.wire.advance(9)
    await settle()
    assert (site.ends, site.stats.lingering) == ([], 1)
    told, forget = warnings_of()
    browser.wire.advance(2)
    forget()
    await settle()
    assert (site.ends, site.stats.lingering) == (["CancelledError"], 0)
    assert len(told) == 1


@in_a_loop
async def test_will_not_be_cancelled():
    """One that does not mind is cancelled again, and no more than once a second."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    site = Site(app, policy=Policy(leave_timeout=0))
    browser = await site.visit()
    browser.hang_up()
    told, forget = warnings_of()
    for _ in range(3):
        browser.wire.advance(1)
        await settle()
    forget()
    assert (site.ends, len(told)) == (["returned"], 3)


@in_a_loop
async def test_says_goodbye_in_time():
    """One that ends by itself is never cancelled, and leaves no timer behind."""
    site = Site(talk_on)
    browser = await site.visit()
    browser.hang_up()
    await settle()
    assert (site.ends, site.stats.lingering) == (["returned"], 0)
    assert [call for call in browser.wire.clock.getDelayedCalls() if "Session" in str(call)] == []


# Around it


@in_a_loop
async def test_mounted():
    """Mounted in an App an application knows where it is, and has WebSockets."""
    site = Site(echo)
    app = App()
    app.mount("/there", site.handler)
    browser = Browser(Wire(app), "/there/a")
    await settle(browser)
    browser.sends("hello")
    await settle(browser)
    assert browser.got() == ["hello"]
    scope = site.talk.scope
    assert (scope["path"], scope["root_path"]) == ("/there/a", "/there")
    browser.hang_up()
    await settle()


@in_a_loop
async def test_answered_in_its_place():
    """Where middleware answers instead of the application that accepted, it is told."""
    site = Site(talk_on)

    async def instead(request: Any) -> Response:
        await site.handler(request)
        return Response.text("no", 418)

    browser = Browser(Wire(instead))
    await settle(browser)
    assert browser.status == 418
    assert site.ends == ["ClientDisconnected"]


@in_a_loop
async def test_middleware_that_waits():
    """What is sent before middleware lets the answer go waits for that."""
    go_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def app(talk: Talk) -> None:
        await talk.begin()
        accepted = asyncio.ensure_future(talk.send({"type": "websocket.accept"}))
        await asyncio.sleep(0)
        await talk.say("hello")
        await accepted

    site = Site(app)

    async def slowly(request: Any) -> Response:
        response = await site.handler(request)
        await go_on
        return response

    browser = Browser(Wire(slowly))
    await settle(browser)
    assert browser.response is None
    go_on.set_result(None)
    await settle(browser)
    assert (browser.status, browser.got()) == (101, ["hello"])
    assert site.ends == ["returned"]


@in_a_loop
async def test_drain_before_it_is_accepted():
    """A server that is about to stop opens no more; the application is told."""
    go_on = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        await go_on.wait()
        await talk.send({"type": "websocket.accept"})

    site = Site(app)
    browser = await site.visit()
    browser.wire.factory.drain(5)
    go_on.set()
    await settle(browser)
    assert browser.status == 503
    assert site.ends == ["ClientDisconnected"]


@in_a_loop
async def test_stop():
    """When the handler stops, an application that goes on after all is cancelled."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await asyncio.Event().wait()

    site = Site(app)
    browser = await site.visit()
    browser.wire.factory.drain(5)
    await settle(browser)
    assert browser.close == (GOING_AWAY, "the server stops")
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await settle()
    assert (site.ends, site.stats.lingering) == (["CancelledError"], 0)


@in_a_loop
async def test_limits_of_http():
    """A client that goes because HTTP's own deadline has passed is gone for the application."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        assert (await talk.receive())["code"] == 1006

    site = Site(app, limits=Limits(handler_timeout=3), handshake_timeout=60)
    browser = await site.visit()
    browser.advance(5)
    await settle(browser)
    assert browser.status == 503
    assert site.ends == ["returned"]


@in_a_loop
async def test_client_of_tests():
    """The client of `mynet.testing` opens WebSockets of ASGI's, too."""
    loop = asyncio.get_running_loop()
    peer = await Client(Site(echo).handler).websocket("/").asFuture(loop)
    await peer.send("hello").asFuture(loop)
    await settle()
    assert await peer.receive().asFuture(loop) == "hello"
    await peer.close().asFuture(loop)


@in_a_loop
async def test_nothing_is_left():
    """When it is over nothing keeps its memory."""
    site = Site(echo)
    browser = await site.visit()
    kept = weakref.ref(site.talk)
    browser.sends("a")
    await settle(browser)
    browser.closes()
    await settle(browser)
    site.talks.clear()
    gc.collect()
    assert kept() is None
