"""A WebSocket as a coroutine sees it: what it receives, sends, and learns of the end."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from mynet.testing import result_of
from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost
from mynet.websocket.inbox import OVERHEAD
from mynet.websocket.message import Message
from mynet.websocket.socket import Socket
from tests.asking import start
from tests.websocket.line import Line, masked

ROLES = pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
TEXT = 1


def connect(**options: Any) -> tuple[Any, Line]:
    """A socket, and the line that it is at the end of."""
    socket = Socket()
    line = Line(socket, **options)
    return socket, line


def now(awaitable: Awaitable[Any]) -> Any:
    """What comes of it, which must be known at once."""
    return result_of(start(awaitable))


async def collect(socket: Socket, got: list[str | bytes]) -> int | None:
    async for message in socket:
        got.append(message)  # noqa: PERF401  (one by one, as they come)
    return socket.close_code


# Receiving


@ROLES
@WAYS
def test_receive(client, size):
    """Messages are received one after the other, whether they or who waits for them came first."""
    socket, line = connect(client=client, size=size)
    line.sends("a", b"b")
    assert (now(socket.receive()), now(socket.receive())) == ("a", b"b")
    waiting = start(socket.receive())
    assert not waiting.called
    line.sends("c", "d")
    assert result_of(waiting) == "c"
    assert now(socket.receive()) == "d"


@ROLES
def test_iterate(client):
    """`async for` has all messages, and ends when the connection is closed, however it was."""
    for end in ("closes", "lose"):
        socket, line = connect(client=client)
        got: list[str | bytes] = []

        collected = start(collect(socket, got))
        line.sends("a", b"b")
        assert got == ["a", b"b"]
        getattr(line, end)()
        if end == "closes" and client:
            line.lose()
        assert result_of(collected) == (1000 if end == "closes" else 1006)
        assert now(collect(socket, got)) == socket.close_code


def test_receive_after_the_end():
    """What had arrived before the end is received after it; then there is the end, each time."""
    socket, line = connect()
    line.sends("a", "b")
    line.closes(4000, "bye")
    assert (socket.close_code, socket.close_reason) == (4000, "bye")
    assert (now(socket.receive()), now(socket.receive())) == ("a", "b")
    for _ in range(2):
        with pytest.raises(WebSocketDone, match=r"^4000: bye$") as caught:
            now(socket.receive())
        assert (caught.value.code, caught.value.reason) == (4000, "bye")


def test_end_while_receiving():
    """Who waits to receive is told of the end."""
    socket, line = connect()
    assert (socket.close_code, socket.close_reason) == (None, "")
    waiting = start(socket.receive())
    line.lose()
    with pytest.raises(WebSocketLost, match="1006"):
        result_of(waiting)


def test_two_receive():
    """Two cannot receive at once, which would leave it to chance who gets what."""
    socket, line = connect()
    waiting = start(socket.receive())
    with pytest.raises(RuntimeError, match="another coroutine is receiving"):
        now(socket.receive())
    with pytest.raises(RuntimeError, match="another coroutine is receiving"):
        now(anext(socket))
    line.sends("a")
    assert result_of(waiting) == "a"
    waiting = start(socket.receive())
    with pytest.raises(RuntimeError, match="another coroutine is receiving"):
        now(anext(socket))
    line.lose()
    with pytest.raises(WebSocketLost):
        result_of(waiting)


def test_receive_is_cancelled():
    """Who waits no longer takes nothing from the next."""
    socket, line = connect()
    waiting = start(socket.receive())
    waiting.cancel()
    with pytest.raises(CancelledError):
        result_of(waiting)
    line.sends("a")
    assert now(socket.receive()) == "a"


@WAYS
def test_peer_waits(size):
    """What is not received makes the peer wait at the limit, and go on when all is received."""
    limit = 10 * (100 + OVERHEAD)
    socket, line = connect(receive_limit=limit, size=size)
    sent = 0
    while not line.transport.paused:
        line.feed(masked(TEXT, b"%100d" % sent))
        sent += 1
        assert sent < 100
    assert sent == 11
    line.feed(masked(TEXT, b"%100d" % sent))  # what was on its way
    for number in range(sent):
        assert line.transport.paused
        assert int(now(socket.receive())) == number
    assert not line.transport.paused
    assert int(now(socket.receive())) == sent
    line.feed(masked(TEXT, b"after"))
    assert now(socket.receive()) == "after"


def test_many_small_messages_make_the_peer_wait():
    """Empty messages count, too."""
    _, line = connect()
    for _ in range(1100):
        if line.transport.paused:
            break
        line.feed(masked(TEXT))
    assert line.transport.paused


def test_messages_at_once():
    """A piece of bytes with many messages gives no more than the limit before they are received."""
    socket, line = connect(receive_limit=0)
    line.sends("")  # even an empty one is held, and no more
    line.feed(b"".join(masked(TEXT, b"%d" % number) for number in range(1000)))
    assert line.shared.stats.messages_received < 3
    assert now(socket.receive()) == ""
    assert [int(now(socket.receive())) for _ in range(1000)] == [*range(1000)]


# Sending


@ROLES
def test_send(client):
    """Texts, bytes and Messages are sent as they are."""
    socket, line = connect(client=client)
    for message in ("a", b"b", Message("c"), bytearray(b"d")):
        assert now(socket.send(message)) is None
    socket.deliver(Message("e"))
    assert line.got() == ["a", b"b", "c", b"d", "e"]
    with pytest.raises(TypeError, match="a message is a str or bytes, not NoneType"):
        now(socket.send(None))


def test_send_waits():
    """To send to one that does not read waits, and goes on in order; cancelled, it is not sent."""
    socket, line = connect(send_limit=0)
    line.stop_reading()
    now(socket.send(bytes(100_000)))
    now(socket.send("a"))
    sending = [start(socket.send(text)) for text in "bcd"]
    assert [each.called for each in sending] == [False] * 3
    sending[1].cancel()
    with pytest.raises(CancelledError):
        result_of(sending[1])
    line.read()
    assert line.got() == [bytes(100_000), "a", "b", "d"]
    assert result_of(sending[0]) is result_of(sending[2]) is None


def test_send_with_keys():
    """Of what waits under one key the latest is sent."""
    socket, line = connect(slow_consumer="latest")
    line.stop_reading()
    now(socket.send(bytes(100_000)))
    for number in range(5):
        now(socket.send(str(number), key="a"))
    socket.deliver(Message("5"), "a")
    line.read()
    assert line.got() == [bytes(100_000), "5"]


def test_send_after_the_end():
    """To send what cannot be sent is an error; to deliver it is not."""
    socket, line = connect()
    line.closes(4000, "bye")
    with pytest.raises(WebSocketDone, match="4000: bye"):
        now(socket.send("a"))
    socket.deliver(Message("a"))
    assert line.got() == []


def test_one_receives_while_another_sends():
    """One coroutine may receive while others send."""
    socket, line = connect()

    async def echo() -> None:
        async for message in socket:
            await socket.send(message)

    async def tell() -> None:
        for number in range(3):
            await socket.send(f"tick {number}")
            await ticks[number]

    ticks: list[Deferred[None]] = [Deferred() for _ in range(3)]
    done = [start(echo()), start(tell())]
    line.sends("a")
    ticks[0].callback(None)
    line.sends("b")
    ticks[1].callback(None)
    ticks[2].callback(None)
    assert line.got() == ["tick 0", "a", "tick 1", "b", "tick 2"]
    line.closes()
    assert [result_of(each) for each in done] == [None, None]


def test_in_tasks_of_asyncio():
    """Tasks of asyncio's may receive and send, where there is its loop; and be cancelled."""
    socket, line = connect()

    async def echo() -> None:
        async for message in socket:
            await socket.send(message)

    async def test() -> None:
        echoing = asyncio.create_task(echo())
        for text in ("a", "b"):
            await asyncio.sleep(0)
            line.sends(text)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert line.got() == ["a", "b"]
        echoing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await echoing
        last = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        line.closes()
        with pytest.raises(WebSocketDone):
            await last

    asyncio.run(test())


# Signs of life


@ROLES
def test_ping(client):
    """A ping tells how long its answer took."""
    socket, line = connect(client=client)
    waiting = start(socket.ping())
    line.clock.advance(0.25)
    assert not waiting.called
    line.turn()
    assert result_of(waiting) == 0.25


def test_pings_at_once():
    """The answer to a later ping answers the earlier ones, too; what answers none is ignored."""
    socket, line = connect()
    first, cancelled, last = (start(socket.ping()) for _ in range(3))
    cancelled.cancel()
    with pytest.raises(CancelledError):
        result_of(cancelled)
    line.clock.advance(0.5)
    data, line.transport.received = line.transport.received, b""
    line.feed(masked(10, b"unasked"))
    assert not first.called
    line.protocol.receive_data(data)
    *_, pong = line.protocol.data_to_send()
    line.feed(pong)
    assert (result_of(first), result_of(last)) == (0.5, 0.5)
    line.feed(pong)


def test_cancelled_pings_are_forgotten():
    """Who asks for signs of life, and each time waits for so long only, takes no more memory."""
    socket, line = connect()
    waiting = start(socket.ping())
    for _ in range(100):
        cancelled = start(socket.ping())
        cancelled.cancel()
        with pytest.raises(CancelledError):
            result_of(cancelled)
    assert socket._pings is not None
    assert len(socket._pings) == 1
    line.turn()
    assert result_of(waiting) == 0
    assert socket._pings is None


def test_ping_is_cancelled_by_the_answer_to_another():
    """Who is cancelled while another ping is answered leaves the rest as they were."""
    socket, line = connect()
    first = start(socket.ping())
    data, line.transport.received = line.transport.received, b""
    cancelled, last = start(socket.ping()), start(socket.ping())
    first.addCallback(lambda _: cancelled.cancel())
    line.protocol.receive_data(data)
    line.feed(b"".join(line.protocol.data_to_send()))
    assert first.called
    with pytest.raises(CancelledError):
        result_of(cancelled)
    assert not last.called
    line.turn()
    assert result_of(last) == 0


def test_pings_one_by_one():
    """The answer to a ping does not answer a later one."""
    socket, line = connect()
    first = start(socket.ping())
    data, line.transport.received = line.transport.received, b""
    last = start(socket.ping())
    line.protocol.receive_data(data)
    line.feed(b"".join(line.protocol.data_to_send()))
    assert first.called
    assert not last.called
    line.turn()
    assert (result_of(first), result_of(last)) == (0, 0)


def test_ping_in_vain():
    """A ping that is not answered fails when the connection is lost."""
    socket, line = connect()
    waiting = start(socket.ping())
    line.lose()
    with pytest.raises(WebSocketLost):
        result_of(waiting)
    with pytest.raises(WebSocketLost):
        now(socket.ping())


def test_ping_before_it_is_open():
    """A ping may be asked for before the connection is open: it is sent as soon as it is."""
    socket = Socket()
    line = Line(socket, made=False)
    socket.negotiationStarted(line.connection)
    waiting = start(socket.ping())
    line.make()
    line.turn()
    assert result_of(waiting) == 0


# Its end


@ROLES
def test_close(client):
    """Closing waits until that is done; to do it again does nothing."""
    socket, line = connect(client=client)
    closing = [start(socket.close(4000, "enough")) for _ in range(2)]
    assert not closing[0].called
    line.turn()
    if client:
        line.lose()
    assert [result_of(each) for each in closing] == [None, None]
    assert now(socket.close()) is None
    assert line.close == (4000, "enough")
    assert socket.close_code == 4000


def test_close_is_not_waited_for():
    """Who no longer waits for it has closed it all the same."""
    socket, line = connect()
    closing = start(socket.close())
    closing.cancel()
    with pytest.raises(CancelledError):
        result_of(closing)
    line.turn()
    assert socket.close_code == 1000


def test_close_with_what_cannot_be_told():
    """A wrong code is an error, and the connection goes on."""
    socket, line = connect()
    with pytest.raises(ValueError, match="not a close code"):
        now(socket.close(1006))
    line.sends("a")
    assert now(socket.receive()) == "a"


def test_on_close():
    """Whoever subscribes learns of the end."""
    socket, line = connect()
    calls: list[str] = []
    socket.on_close(lambda: calls.append("a"))
    line.lose()
    socket.on_close(lambda: calls.append("b"))
    assert calls == ["a", "b"]


async def use(socket: Socket) -> None:
    async for message in socket:
        await socket.send(message)
    with pytest.raises(WebSocketClosed):
        await socket.receive()
    with pytest.raises(WebSocketClosed):
        await socket.send("a")


async def ping(socket: Socket) -> None:
    with pytest.raises(WebSocketClosed):
        await socket.ping()


@ROLES
def test_nothing_is_left(client):
    """When it is over it is gone as soon as nobody holds it, whatever it was used for."""
    gc.disable()
    try:
        socket, line = connect(client=client, send_limit=0)

        using = start(use(socket))
        line.sends("a")
        pinging = start(ping(socket))
        line.lose()
        result_of(using)
        result_of(pinging)
        line.transport.protocol = None  # as Twisted's own does
        references: list[weakref.ref[Any]] = [weakref.ref(socket), weakref.ref(line.connection)]
        del socket, line, using, pinging
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()
