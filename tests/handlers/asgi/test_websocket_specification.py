"""ASGI's specification of WebSockets, clause by clause; and that of its denial responses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mynet.testing import Client, Wire
from tests.handlers.asgi.websockets import Event, Site, Talk, echo, in_a_loop, settle
from tests.websocket.arriving import KEY, raw
from tests.websocket.line import masked

TEXT, BINARY, PING = 1, 2, 9


async def undecided(talk: Talk) -> None:
    """An application that does not decide."""
    await talk.begin()
    await talk.receive()


# The connection scope


@in_a_loop
async def test_scope():
    """The scope has the kind of connection, and what the request line and the fields say."""
    site = Site(undecided)
    options: Any = {"subprotocols": ["superchat", "chat"], "headers": {"X-Twice": "1"}}
    browser = await site.visit("/caf%C3%A9/%2Froom?a=1&b=%20", **options)
    scope = site.talk.scope
    assert scope["type"] == "websocket"
    assert scope["asgi"]["version"] == "3.0"
    assert tuple(map(int, scope["asgi"]["spec_version"].split("."))) >= (2, 4)
    assert scope["http_version"] == "1.1"
    assert scope["scheme"] == "ws"
    assert scope["path"] == "/caf\u00e9//room"
    assert scope["raw_path"] == b"/caf%C3%A9/%2Froom"
    assert scope["query_string"] == b"a=1&b=%20"
    assert scope["root_path"] == ""
    assert list(scope["subprotocols"]) == ["superchat", "chat"]
    assert list(scope["client"]) == ["192.0.2.1", 50000]
    assert list(scope["server"]) == ["192.0.2.2", 80]
    assert "method" not in scope
    browser.hang_up()
    await settle()


@in_a_loop
async def test_scope_of_tls():
    """Over TLS the scheme is wss."""
    site = Site(undecided)
    client = Client(site.handler)
    new = client._new_exchange

    def secure() -> Any:
        exchange = new()
        exchange.scheme = "https"
        return exchange

    client._new_exchange = secure  # type: ignore[method-assign]
    opening = client.websocket("/")
    await settle()
    assert site.talk.scope["scheme"] == "wss"
    opening.addErrback(lambda _: None)
    opening.cancel()
    await settle()


@in_a_loop
async def test_scope_headers():
    """Fields are pairs of bytes in their order, names in lower case, duplicates as they came."""
    site = Site(undecided)
    wire = Wire(site.handler)
    wire.send(
        b"GET / HTTP/1.1\r\nHost: test\r\nX-B: 1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"x-a: caf\xe9\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-B: 2\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    await settle()
    fields = [tuple(field) for field in site.talk.scope["headers"]]
    assert fields[:2] == [(b"host", b"test"), (b"x-b", b"1")]
    assert fields[4:] == [
        (b"x-a", b"caf\xe9"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"x-b", b"2"),
        (b"sec-websocket-version", b"13"),
    ]
    wire.hang_up()
    await settle()


@in_a_loop
async def test_scope_has_no_subprotocols():
    """Where none is offered, the list is there, and empty."""
    site = Site(undecided)
    browser = await site.visit()
    assert list(site.talk.scope["subprotocols"]) == []
    browser.hang_up()
    await settle()


@in_a_loop
async def test_scope_extensions():
    """A server that lets applications refuse by a response says so."""
    site = Site(undecided)
    browser = await site.visit()
    assert site.talk.scope["extensions"]["websocket.http.response"] == {}
    browser.hang_up()
    await settle()


# Connect


@in_a_loop
async def test_connect_comes_first():
    """The handshake is not completed until the application replies to websocket.connect."""
    site = Site(undecided)
    browser = await site.visit()
    assert browser.status is None
    assert site.ends == []
    browser.hang_up()
    await settle()


@in_a_loop
async def test_no_message_before_a_reply():
    """What the client has sent already is passed only when the handshake is complete."""
    events: list[Event] = []

    async def app(talk: Talk) -> None:
        await talk.begin()
        early = asyncio.ensure_future(talk.receive())
        await asyncio.sleep(0)
        assert not early.done()
        await talk.send({"type": "websocket.accept"})
        events.append(await early)

    site = Site(app)
    await site.visit(behind=masked(TEXT, b"early"))
    assert events == [{"type": "websocket.receive", "text": "early"}]
    assert site.ends == ["returned"]


# Accept


@in_a_loop
async def test_accept():
    """websocket.accept completes the handshake; without a subprotocol none is spoken."""
    site = Site(echo)
    browser = await site.visit(subprotocols=["chat"])
    assert browser.status == 101
    assert browser.protocol.subprotocol is None
    browser.closes()
    await settle(browser)


@in_a_loop
async def test_accept_subprotocol():
    """The subprotocol that the server wishes to speak is the one in websocket.accept."""
    site = Site(lambda talk: talk.accept(subprotocol="chat"))
    browser = await site.visit(subprotocols=["superchat", "chat"])
    assert browser.protocol.subprotocol == "chat"


@in_a_loop
async def test_accept_headers():
    """Fields of websocket.accept are in the response, in their order."""
    headers = [[b"x-b", b"1"], (b"set-cookie", b"a=1"), (b"set-cookie", b"b=caf\xe9")]
    site = Site(lambda talk: talk.accept(headers=headers))
    browser = await site.visit()
    assert browser.response is not None
    ours = ("x-b", "set-cookie")
    found = [(n.lower(), v) for n, v in browser.response.headers.raw_items() if n.lower() in ours]
    assert found[:2] == [("x-b", "1"), ("set-cookie", "a=1")]
    assert found[2][1].startswith("b=caf")


@in_a_loop
async def test_accept_may_not_name_the_subprotocol(logged):
    """The headers must not include sec-websocket-protocol."""
    headers = [(b"sec-websocket-protocol", b"chat")]
    site = Site(lambda talk: talk.accept(headers=headers))
    browser = await site.visit(subprotocols=["chat"])
    assert browser.status == 500
    assert "sec-websocket-protocol" in rule(logged)


def rule(logged: Any) -> str:
    """The one error that is logged, which has no traceback."""
    (event,) = logged.events
    logged.events = []
    assert "log_failure" not in event
    return str(event["log_format"].format(**event))


# Receive


@in_a_loop
async def test_receive():
    """A data message has either text or bytes, as it was sent; the other is missing or None."""
    events: list[Event] = []

    async def app(talk: Talk) -> None:
        await talk.accept()
        while (event := await talk.receive())["type"] == "websocket.receive":
            events.append(event)

    browser = await Site(app).visit()
    browser.sends("text", b"bytes", "", b"")
    await settle(browser)
    assert [(event.get("text"), event.get("bytes")) for event in events] == [
        ("text", None),
        (None, b"bytes"),
        ("", None),
        (None, b""),
    ]
    browser.closes()
    await settle(browser)


@in_a_loop
async def test_fragments():
    """Fragments are the server's business: an application gets whole messages."""
    site = Site(echo)
    browser = await site.visit()
    browser.wire.send(masked(TEXT, b"caf\xc3", fin=False) + masked(0, b"\xa9"))
    await settle(browser)
    assert browser.got() == ["caf\u00e9"]
    browser.closes()
    await settle(browser)


@in_a_loop
async def test_pings():
    """Pings are answered by the server; the application knows nothing of them."""
    site = Site(echo)
    browser = await site.visit()
    browser.wire.send(raw(0x80 | PING, b"are you there", KEY))
    await settle(browser)
    assert [frame.opcode.name for frame in browser.frames] == ["PONG"]
    browser.closes()
    await settle(browser)
    assert site.ends == ["returned"]


@in_a_loop
async def test_server_pings():
    """The server sends pings to be sure that the connection is alive."""
    site = Site(echo, ping_interval=20)
    browser = await site.visit()
    browser.advance(25)
    assert [frame.opcode.name for frame in browser.frames] == ["PING"]
    browser.closes()
    await settle(browser)


# Send


@in_a_loop
@pytest.mark.parametrize("both", [False, True], ids=["one key", "both keys"])
async def test_send(both):
    """Text is sent as text, bytes as binary; the other key may be missing, or be None."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        other: Event = {"text": None, "bytes": None} if both else {}
        await talk.send({**other, "type": "websocket.send", "text": "caf\u00e9"})
        await talk.send({**other, "type": "websocket.send", "bytes": b"\x00\xff"})
        await talk.send({**other, "type": "websocket.send", "text": ""})
        await talk.send({**other, "type": "websocket.send", "bytes": b""})

    browser = await Site(app).visit()
    assert browser.got() == ["caf\u00e9", b"\x00\xff", "", b""]


WRONG: list[Event] = [
    {},
    {"text": None},
    {"text": "a", "bytes": b"a"},
    {"text": b"a"},
    {"bytes": "a"},
    {"text": 1},
    {"text": "\ud800"},
]


@in_a_loop
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_send_exactly_one(logged, wrong):
    """Exactly one of text and bytes must be given, and be one."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.send({"type": "websocket.send", **wrong})

    site = Site(app)
    browser = await site.visit()
    assert browser.close == (1011, "")
    assert site.ends == ["ContractError"]
    assert "websocket.send" in rule(logged)


# Disconnect


async def last_event(talk: Talk) -> Event:
    """The websocket.disconnect."""
    while (event := await talk.receive())["type"] != "websocket.disconnect":
        pass
    return event


class Left:
    """An application that notes how its WebSockets end."""

    def __init__(self, **fields: Any) -> None:
        self.events: list[Event] = []
        self.site = Site(self, **fields)

    async def __call__(self, talk: Talk) -> None:
        await talk.accept()
        self.events.append(await last_event(talk))


@in_a_loop
@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [(1000, "", 1000), (4321, "bye \u20ac", 4321), (None, "", 1005)],
)
async def test_client_closes(code, reason, told):
    """The application is told the client's code and reason; 1005 where there was no code."""
    app = Left()
    browser = await app.site.visit()
    browser.closes(code, reason)
    await settle(browser)
    assert app.events == [{"type": "websocket.disconnect", "code": told, "reason": reason}]
    assert app.site.ends == ["returned"]


@in_a_loop
async def test_connection_lost():
    """Without a Close it is 1006."""
    app = Left()
    browser = await app.site.visit()
    browser.hang_up()
    await settle()
    assert [event["code"] for event in app.events] == [1006]


@in_a_loop
async def test_server_closes():
    """A server that stops tells the client 1001, and then the application."""
    app = Left()
    browser = await app.site.visit()
    drained = browser.wire.factory.drain(5)
    await settle(browser)
    assert browser.close == (1001, "the server stops")
    assert [event["code"] for event in app.events] == [1001]
    assert drained.called


@in_a_loop
async def test_client_breaks_the_rules():
    """A client that breaks WebSocket's rules is closed, and the application told with what code."""
    app = Left()
    browser = await app.site.visit()
    browser.wire.send(masked(TEXT, b"\xff"))
    browser.wire.half_close()
    await settle(browser)
    assert [event["code"] for event in app.events] == [1007]


@in_a_loop
async def test_application_closes():
    """One that closes is told that it is closed, too."""
    events: list[Event] = []

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.close(code=4000)
        events.append(await last_event(talk))

    browser = await Site(app).visit()
    await settle(browser)
    assert browser.close == (4000, "")
    assert [event["code"] for event in events] == [4000]


@in_a_loop
async def test_client_goes_before_it_is_accepted():
    """A client that goes before the decision: websocket.disconnect, with 1006."""
    events: list[Event] = []

    async def app(talk: Talk) -> None:
        await talk.begin()
        events.append(await talk.receive())

    site = Site(app)
    browser = await site.visit()
    browser.hang_up()
    await settle()
    assert [(event["type"], event["code"]) for event in events] == [("websocket.disconnect", 1006)]
    assert site.ends == ["returned"]


@in_a_loop
async def test_disconnect_again():
    """Whoever asks again after websocket.disconnect is told the same again."""
    events: list[Event] = []

    async def app(talk: Talk) -> None:
        await talk.accept()
        events.extend([await last_event(talk) for _ in range(3)])

    site = Site(app)
    browser = await site.visit()
    browser.closes(4000)
    await settle(browser)
    assert [event["code"] for event in events] == [4000] * 3
    assert site.ends == ["returned"]


# Sending to who has gone


@in_a_loop
@pytest.mark.parametrize("kind", ["websocket.send", "websocket.close"])
@pytest.mark.parametrize("caught", [False, True], ids=["raised", "caught"])
async def test_send_raises(kind, caught):
    """After a disconnect send() raises an OSError; raised by the application, it is no error."""
    errors: list[OSError] = []

    async def app(talk: Talk) -> None:
        await talk.accept()
        await last_event(talk)
        try:
            await talk.send({"type": kind, "text": "too late"})
        except OSError as error:
            errors.append(error)
            if not caught:
                raise

    site = Site(app)
    browser = await site.visit()
    browser.closes()
    await settle(browser)
    assert [type(error) for error in errors] != [OSError]
    assert len(errors) == 1
    assert site.ends == ["returned" if caught else type(errors[0]).__name__]


@in_a_loop
async def test_send_raises_before_the_disconnect_is_received():
    """It may do so before websocket.disconnect is received."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        while True:
            await talk.say("hello")
            await asyncio.sleep(0)

    site = Site(app)
    browser = await site.visit()
    browser.hang_up()
    await settle()
    assert site.ends == ["ClientDisconnected"]


# Close


@in_a_loop
async def test_close_refuses():
    """websocket.close before the WebSocket is accepted: 403, and no handshake."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.close(code=4000)

    site = Site(app)
    browser = await site.visit()
    assert browser.status == 403
    assert site.ends == ["returned"]
    assert site.stats.refused == 1


@in_a_loop
@pytest.mark.parametrize(
    ("fields", "close"),
    [
        ({}, (1000, "")),
        ({"code": None, "reason": None}, (1000, "")),
        ({"code": 4001}, (4001, "")),
        ({"code": 4001, "reason": "that \u20ac"}, (4001, "that \u20ac")),
    ],
    ids=["nothing", "None", "code", "reason"],
)
async def test_close(fields, close):
    """After it is accepted: the code that was passed, or 1000, and the reason."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        await talk.close(**fields)

    browser = await Site(app).visit()
    assert browser.close == close


@in_a_loop
async def test_application_dies(logged):
    """If the application dies, the socket is closed."""

    async def app(talk: Talk) -> None:
        await talk.accept()
        raise ZeroDivisionError

    browser = await Site(app).visit()
    assert browser.close == (1011, "")
    logged.take(ZeroDivisionError)


@in_a_loop
async def test_application_returns():
    """If it returns, the socket is closed in good order."""
    browser = await Site(lambda talk: talk.accept()).visit()
    assert browser.close == (1000, "")


# Denial responses


@in_a_loop
async def test_denial():
    """A response in place of the handshake has any status, fields and body; then it is closed."""
    headers = [(b"content-type", b"application/json"), (b"x-why", b"because")]

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.respond(b'{"pay": "first"}', status=402, headers=headers)

    site = Site(app)
    browser = await site.visit()
    assert (browser.status, browser.body) == (402, b'{"pay": "first"}')
    assert browser.response is not None
    assert browser.response.headers["Content-Type"] == "application/json"
    assert browser.response.headers["X-Why"] == "because"
    assert site.ends == ["returned"]
    assert site.stats.refused == 1


@in_a_loop
async def test_denial_in_pieces():
    """Its body may be streamed."""
    go_on = asyncio.Event()

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response(401, [(b"content-length", b"12")])
        await talk.body(b"You ", more_body=True)
        await go_on.wait()
        await talk.body(b"may not.")

    site = Site(app)
    browser = await site.visit()
    go_on.set()
    await settle(browser)
    assert (browser.status, browser.body) == (401, b"You may not.")
    assert site.ends == ["returned"]


@in_a_loop
@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.send", "websocket.close"])
@pytest.mark.parametrize("when", ["after its start", "after its end"])
async def test_denial_is_the_end(logged, kind, when):
    """It cannot be followed by any other WebSocket event."""

    async def app(talk: Talk) -> None:
        await talk.begin()
        await talk.begin_response()
        if when == "after its end":
            await talk.body(b"No.")
        await talk.send({"type": kind, "text": "but"})

    site = Site(app)
    browser = await site.visit()
    assert browser.status == (403 if when == "after its end" else 500)
    assert kind in rule(logged)
    assert site.ends == ["ContractError"]
