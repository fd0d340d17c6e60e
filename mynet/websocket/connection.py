"""A WebSocket connection: messages in, messages out, over any stream transport of Twisted's.

It is the IProtocol of that transport, and itself the transport of a `WebSocketProtocol`, with the
interface of `twisted.web.websocket`: protocols written for that run on this. Here is all policy:
signs of life, the closing handshake and its deadline, back-pressure both ways. What bytes mean is
in `mynet.websocket.messages`; what becomes of messages that must wait, in `mynet.websocket.outbox`.

It begins after the opening handshake. The same class serves both roles: a client masks what it
sends, and lets the server be the first to close the TCP connection (RFC 6455 section 7.1.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from enum import Enum, auto
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.pace import bytes_waiting
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import is_tls
from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost
from mynet.websocket.codes import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL_ERROR,
    NO_STATUS,
    NORMAL,
    TRY_AGAIN_LATER,
    WebSocketError,
    is_sendable,
)
from mynet.websocket.deflate import Deflater, Parameters, make_codec
from mynet.websocket.frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    FINAL,
    MAX_CONTROL,
    PING,
    PONG,
    SHORT,
    SHORT_HEADERS,
    TEXT,
    frame,
    header,
)
from mynet.websocket.interfaces import WebSocketProtocol
from mynet.websocket.message import Message, as_bytes
from mynet.websocket.messages import MessageReader
from mynet.websocket.outbox import Outbox
from mynet.websocket.shared import Shared

LARGE = 16 * 1024
"""From this size on a payload is handed to the transport as it is, not joined with its header."""

WHOLE_TEXT = FINAL | TEXT
WHOLE_BINARY = FINAL | BINARY
"""The first bytes of messages in one frame, not compressed."""

MAX_REASON = MAX_CONTROL - 2
"""How long the reason of a Close may be, in bytes."""

SIGN_OF_LIFE = b"are you there"
"""What our own pings say. Their answers are not the application's."""

Waiter = tuple[Message, Hashable | None, Deferred[None]]
"""A message, its key, and who waits for it to be put to what waits."""

log = Logger()


class State(Enum):
    """The course of a connection."""

    CONNECTING = auto()
    """What is sent waits for the opening handshake."""
    OPEN = auto()
    CLOSING = auto()
    """We want to close: nothing more can be sent, and messages are not delivered. The peer's
    Close is awaited, once ours has been sent."""
    CLOSED = auto()
    """No more frames, neither way; the TCP connection is about to end."""
    LOST = auto()


_OPEN = State.OPEN  # asked for with every message


class _Deaf:
    """The reader of a connection on which nothing can be understood any more."""

    waiting = False

    def add(self, data: bytes) -> None: ...

    def read(self, data: bytes = b"") -> None: ...


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class WebSocketConnection:
    """One connection of an endpoint.

    What is sent never blocks. While the peer takes less than that, messages wait in an outbox, and
    the policy for slow consumers is applied to them. To a protocol that does not say
    `controls_reading = True` nothing is delivered meanwhile, so that one that only answers is
    never slowed by its limits.
    """

    direct = True
    """For the uv reactor: `dataReceived` stays what it is."""

    __slots__ = (
        "__weakref__",
        "_asked",
        "_blocked",
        "_client",
        "_closers",
        "_code",
        "_controls_reading",
        "_deadline",
        "_deflater",
        "_farewell",
        "_held_up",
        "_is_done",
        "_is_plain",
        "_left",
        "_opened",
        "_outbox",
        "_ping",
        "_pong",
        "_producer",
        "_protocol",
        "_reader",
        "_reading_paused",
        "_reason",
        "_silent",
        "_stats",
        "_taking",
        "_waiters",
        "_write_paused",
        "shared",
        "state",
        "sweep",
        "transport",
    )

    def __init__(
        self,
        shared: Shared,
        protocol: WebSocketProtocol,
        sweep: Sweep[Deadlines],
        parameters: Parameters | None = None,
        *,
        client: bool = False,
    ) -> None:
        """A connection whose opening handshake will be done before `makeConnection`.

        Args:
            shared: The endpoint's.
            protocol: Which is told all that happens.
            sweep: Which looks at its deadlines.
            parameters: Of compression, if it was agreed on.
            client: Whether this is the client's side.
        """
        policy = shared.policy
        self.shared = shared
        self.sweep = sweep
        self._stats = shared.stats
        self._protocol: Any = protocol
        self._client = client
        self._deflater: Deflater | None = None
        inflater = None
        if parameters is not None and policy.deflate is not None:
            self._deflater, inflater = make_codec(parameters, policy.deflate, client=client)
        self._is_plain = self._deflater is None and not client
        self._reader: MessageReader | _Deaf = MessageReader(
            masked=not client,
            limit=policy.max_message_size,
            max_frames=policy.max_frames,
            inflater=inflater,
        )
        self.transport: Any = None
        self.state = State.CONNECTING
        self._opened: Callable[[], object] | None = None  # called then, for an `Opening`
        # Signs of life
        self._silent = False  # nothing has arrived since this was last looked at
        self._asked = False  # for a sign of life
        self._deadline = inf  # of a sign of life, of what the peer is to take, of the end
        # What arrives
        self._controls_reading = getattr(protocol, "controls_reading", False)
        self._held_up = False  # by the application
        self._reading_paused = False
        self._taking = False
        # What is sent
        self._write_paused = True
        self._blocked = True  # by that, or because it is not open
        self._outbox: Outbox | None = None
        self._waiters: deque[Waiter] | None = None
        self._producer: IPushProducer | None = None
        self._pong: bytes | None = None  # to be sent when the peer takes more
        self._ping: bytes | None = None
        self._left = inf  # of what the transport holds, when last looked at
        # Its end
        self._farewell: tuple[int, str] | None = None  # a Close that waits for what is before it
        self._code = ABNORMAL
        self._reason = ""
        self._is_done = False  # both sides have said Close
        self._closers: list[Callable[[], object]] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._protocol!r}, {self.state.name.lower()}>"

    # What arrives

    def dataReceived(self, data: bytes) -> None:
        """Deliver what can be read, until reading is paused."""
        stats = self._stats
        stats.bytes_received += len(data)
        self._silent = False
        if self._taking or self._reading_paused:
            self._reader.add(data)
            return
        self._taking = True
        try:
            event = self._reader.read(data)
            while event is not None:
                opcode, value = event
                if opcode == TEXT:
                    if self.state is _OPEN:
                        stats.messages_received += 1
                        self._protocol.textMessageReceived(value)
                elif opcode != BINARY:
                    self._control(opcode, value)
                elif self.state is _OPEN:
                    stats.messages_received += 1
                    self._protocol.bytesMessageReceived(value)
                if not self._reader.waiting or self.is_reading_paused:
                    break
                event = self._reader.read()
        except Exception:
            self.failed(Failure())
        finally:
            self._taking = False

    def _control(self, opcode: int, value: Any) -> None:
        if opcode == CLOSE:
            self._close_received(*value)
        elif self.state is not _OPEN:
            pass  # a Close is all that counts now
        elif opcode == PING:
            if self._write_paused:
                self._pong = value  # the latest is enough (section 5.5.3)
            else:
                self._write(FINAL | PONG, value)
        elif value != SIGN_OF_LIFE:
            self._protocol.pongReceived(value)

    @property
    def is_reading_paused(self) -> bool:
        """Whether what arrives waits."""
        return self._reading_paused

    def pause_reading(self) -> None:
        """Deliver nothing for now, and so let the peer wait."""
        self._held_up = True
        self._mind_reading()

    def resume_reading(self) -> None:
        """Deliver again what arrives, and at once what has arrived."""
        self._held_up = False
        self._mind_reading()

    def _mind_reading(self) -> None:
        """Pause or resume reading, as is right now."""
        waits = self._held_up or (self._write_paused and not self._controls_reading)
        pause = waits and self.state is _OPEN
        if pause is self._reading_paused or self.state is State.LOST:
            return
        self._reading_paused = pause
        if pause:
            self.transport.pauseProducing()
            return
        self.transport.resumeProducing()
        if not self._taking:
            self.dataReceived(b"")

    # What is sent

    def sendTextMessage(self, text: str) -> None:
        """Send a text; once the connection is to be closed, it goes nowhere."""
        if not self._blocked:
            self._send(WHOLE_TEXT, text.encode())
        elif isinstance(text, str):
            self._send_later(Message(text), None)
        else:
            raise TypeError(f"a text is a str, not {type(text).__name__}")

    def sendBytesMessage(self, data: bytes) -> None:
        """The same with bytes."""
        if self._blocked:
            self._send_later(Message(as_bytes(data)), None)
        else:
            self._send(WHOLE_BINARY, as_bytes(data))

    def deliver(self, message: Message, key: Hashable | None = None) -> None:
        """The same with a message that many receive; `key` is for the policy `latest`."""
        if self._blocked:
            self._send_later(message, key)
        else:
            self._send_message(message)

    def send(
        self, data: str | bytes | Message, key: Hashable | None = None
    ) -> Deferred[None] | None:
        """Send a message, and tell whoever can wait when to send the next one.

        Returns:
            None if that is now. A Deferred if so much waits that this message was not even put
            to it: it fires when it was. Cancelled before, it takes the message back.

        Raises:
            WebSocketClosed: The connection is closed, or about to be. The Deferred may fail
                with it, too.
            TypeError: This is no message.
        """
        if not self._blocked:
            if isinstance(data, str):
                self._send(WHOLE_TEXT, data.encode())
            elif isinstance(data, Message):
                self._send_message(data)
            else:
                self._send(WHOLE_BINARY, as_bytes(data))
            return None
        if not self.can_send:
            raise self.closed()
        message = data if isinstance(data, Message) else Message(data)
        if self._waiters or self._must_wait(message):
            return self._wait_to_send(message, key)
        self._send_later(message, key)
        return None

    @property
    def can_send(self) -> bool:
        """Whether what is sent now has a chance."""
        return self.state is _OPEN or (self.state is State.CONNECTING and self._farewell is None)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping. The peer need not answer each, but the last; no other may be sent at all.

        Raises:
            ValueError: The payload is longer than 125 bytes.
        """
        if len(payload) > MAX_CONTROL:
            raise ValueError(f"a ping has {MAX_CONTROL} bytes at most, not {len(payload)}")
        if self.state is not _OPEN:
            return
        if self._write_paused:
            self._ping = payload
        else:
            self._write(FINAL | PING, payload)

    def attachProducer(self, producer: IPushProducer) -> None:
        """Pause this producer while the peer takes less than it is sent.

        Raises:
            RuntimeError: There is one already.
        """
        if self._producer is not None:
            raise RuntimeError(f"{self._producer!r} is attached already")
        self._producer = producer
        if self.state is State.LOST:
            producer.stopProducing()
        elif self._write_paused:
            producer.pauseProducing()

    def detachProducer(self) -> None:
        """Do so no longer."""
        self._producer = None

    def _send(self, first: int, payload: bytes) -> None:
        """Send a message as a frame."""
        stats = self._stats
        stats.messages_sent += 1
        length = len(payload)
        if self._is_plain and length <= SHORT:
            data = SHORT_HEADERS[first][length] + payload
            stats.bytes_sent += len(data)
            self.transport.write(data)
            return
        deflater = self._deflater
        if deflater is not None and length >= deflater.threshold:
            first |= COMPRESSED
            payload = deflater.compress(payload)
        self._write(first, payload)

    def _send_message(self, message: Message) -> None:
        if self._client:  # which masks each by itself
            self._send(FINAL | message.opcode, message.payload)
            return
        if self._deflater is None:
            data = message.frame
        else:
            data = message.compressed_frame(self._deflater)
            self._deflater.forget()  # what the peer remembers is another message now
        self._stats.messages_sent += 1
        self._stats.bytes_sent += len(data)
        self.transport.write(data)

    def _write(self, first: int, payload: bytes) -> None:
        """Write a frame."""
        if self._client:
            data = frame(first, payload, next(self.shared.keys))
        elif len(payload) < LARGE:
            data = frame(first, payload)
        else:
            start = header(first, len(payload))
            self._stats.bytes_sent += len(start) + len(payload)
            self.transport.writeSequence((start, payload))
            return
        self._stats.bytes_sent += len(data)
        self.transport.write(data)

    # What waits to be sent

    def _send_later(self, message: Message, key: Hashable | None) -> None:
        if not self.can_send:
            return
        if self._outbox is None:
            self._outbox = Outbox(self.shared.policy, self._stats)
        if not self._outbox.put(message, key):
            self._stats.slow += 1
            self.fail(TRY_AGAIN_LATER, "too much waits to be sent")

    def _must_wait(self, message: Message) -> bool:
        """Whether who can wait has to."""
        waits = self.shared.policy.slow_consumer == "wait"
        return waits and self._outbox is not None and not self._outbox.has_room_for(message)

    def _wait_to_send(self, message: Message, key: Hashable | None) -> Deferred[None]:
        if self._waiters is None:
            self._waiters = deque()
        sent: Deferred[None] = Deferred(self._take_back)
        self._waiters.append((message, key, sent))
        return sent

    def _take_back(self, cancelled: Deferred[None]) -> None:
        waiters = self._waiters or ()
        self._waiters = deque(waiter for waiter in waiters if waiter[2] is not cancelled)

    def _flush(self) -> None:
        """Send what waits, as far as the peer takes it."""
        pong, self._pong = self._pong, None
        ping, self._ping = self._ping, None
        if pong is not None:
            self._write(FINAL | PONG, pong)
        if ping is not None:
            self._write(FINAL | PING, ping)
        while True:
            while self._outbox and not self._write_paused:
                self._send_message(self._outbox.take())
            if not self._waiters or self._must_wait(self._waiters[0][0]):
                break
            message, key, sent = self._waiters.popleft()
            self._send_later(message, key)
            sent.callback(None)  # what this sends waits, too, and so has its turn
        if self._outbox is not None and not self._outbox:
            self._outbox = None
        self._blocked = self._write_paused or self.state is not _OPEN
        self._take_leave()

    # Signs of life

    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now; called by the endpoint's sweep."""
        if self.state is not _OPEN:
            if self._deadline <= now:
                if self._code == ABNORMAL:
                    self._reason = "the closing handshake took too long"
                self.abortConnection()
        elif self._write_paused:
            self._check_progress(now)
        elif not self._silent:
            self._silent = True
            self._asked = False
            interval = self.shared.policy.ping_interval
            self._deadline = inf if interval is None else now + interval
        elif self._deadline <= now:
            self._check_life(now)

    def _check_progress(self, now: float) -> None:
        """Cut off who takes nothing of what waits to be sent."""
        left = bytes_waiting(self.transport)
        if left is not None and left < self._left:
            self._left = left
            self._deadline = now + self.shared.policy.send_timeout
        elif self._deadline <= now:
            self._cut_off_dead("nothing that was sent is taken")

    def _check_life(self, now: float) -> None:
        """Ask for a sign of life, or cut off who gave none.

        Who is not read cannot be heard. It is sent pings all the same: a peer that has closed its
        socket answers them by resetting the connection.
        """
        policy = self.shared.policy
        if self._asked and not self._reading_paused:
            self._cut_off_dead("no sign of life")
            return
        self._asked = not self._reading_paused
        self._deadline = now + (policy.ping_timeout if self._asked else policy.ping_interval or inf)
        self._write(FINAL | PING, SIGN_OF_LIFE)
        if self._deflater is not None:
            self._deflater.forget()  # what rests holds no more than it must

    def _cut_off_dead(self, reason: str) -> None:
        self._stats.dead += 1
        self._reason = reason
        self.abortConnection()

    # Its end

    def loseConnection(self, code: int = NORMAL, reason: str = "") -> None:
        """Close, when all has been sent that was.

        The peer has `close_timeout` for that and for its own Close; then it is cut off.

        Raises:
            ValueError: This is no code that can be sent, or the reason is longer than 123 bytes.
        """
        check_close(code, reason)
        if not self.can_send:
            return
        self._farewell = code, reason
        self._fail_waiters()
        if self.state is _OPEN:
            self._close_down(State.CLOSING)
            self._take_leave()

    def fail(self, code: int, reason: str) -> None:
        """Close at once, since something is wrong: what waits to be sent is not."""
        if self.state is State.CLOSED or self.state is State.LOST:
            return
        self._code = code
        self._reason = reason
        self._outbox = None
        if self.state is State.CONNECTING:
            self._farewell = code, reason
            return
        if self.state is _OPEN or self._farewell is not None:
            self._write(FINAL | CLOSE, close_payload(code, reason))
        self._close_down(State.CLOSED)
        # Closing while the peer still sends would reset the connection, and might take the Close
        # from it. Of TLS one side's goodbye is enough.
        if is_tls(self.transport) or not hasattr(self.transport, "loseWriteConnection"):
            self._lose_transport()
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Cut the connection off. One that is not open yet is closed when it would be."""
        if self.transport is None:
            self.fail(INTERNAL_ERROR, "")
        else:
            self.transport.abortConnection()

    def drain(self) -> None:
        """The server stops."""
        self.loseConnection(GOING_AWAY, "the server stops")

    def on_close(self, call: Callable[[], object]) -> None:
        """Call this when the connection is over; at once if it is."""
        if self.state is State.LOST:
            call()
        elif self._closers is None:
            self._closers = [call]
        else:
            self._closers.append(call)

    def closed(self) -> WebSocketClosed:
        """How it ended, as far as that is known."""
        if self.state is State.CLOSING:
            return WebSocketClosed(ABNORMAL, "it is being closed")
        kind = WebSocketDone if self._is_done else WebSocketLost
        return kind(self._code, self._reason)

    def _take_leave(self) -> None:
        """Send a Close, if one waits and nothing before it."""
        if self._farewell is not None and not self._outbox:
            self._say_farewell(*self._farewell)

    def _say_farewell(self, code: int, reason: str) -> None:
        self._farewell = None
        self._write(FINAL | CLOSE, close_payload(code, reason))

    def _close_received(self, code: int, reason: str) -> None:
        self._code = code
        self._reason = reason
        self._is_done = True
        if self.state is _OPEN or self._farewell is not None:
            self._say_farewell(code, "")
        self._outbox = None
        self._close_down(State.CLOSED)
        if not self._client:
            self._lose_transport()

    def _close_down(self, state: State) -> None:
        self.state = state
        self._blocked = True
        self._pong = self._ping = None
        self._fail_waiters()
        if state is State.CLOSED:
            self._farewell = None
            self._reader = _DEAF
        self._deadline = self.sweep.now + self.shared.policy.close_timeout
        self._mind_reading()

    def _lose_transport(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def failed(self, failure: Failure) -> None:
        """Close at once because of an error: of the peer's, or of what handles the connection.

        A WebSocketError tells with which code; any other is logged, and closes with 1011.
        """
        error = failure.value
        if isinstance(error, WebSocketError) and _can_be_told(error):
            self.fail(error.code, error.reason)
            return
        log.failure("{connection} failed", failure, connection=self)
        self._stats.failures += 1
        self.fail(INTERNAL_ERROR, "")

    def _fail_waiters(self) -> None:
        while self._waiters:  # to tell one may cancel others
            _, _, sent = self._waiters.popleft()
            sent.errback(self.closed())
        self._waiters = None

    # IProtocol, besides dataReceived

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.state = State.OPEN
        self._stats.accepted += 1
        opened, self._opened = self._opened, None
        if opened is not None:
            opened()
        self.sweep.add(self)
        try:
            self._protocol.negotiationStarted(self)
            if self.state is State.CLOSED:
                return
            self._write_paused = False
            transport.registerProducer(self, True)
            self._mind_reading()
            if self._farewell is not None:
                self._close_down(State.CLOSING)
            self._flush()
            if self._producer is not None and not self._write_paused:
                self._producer.resumeProducing()
            if self.state is _OPEN:
                self._protocol.negotiationFinished()
        except Exception:
            self.failed(Failure())

    def connectionMade(self) -> None:
        """Its protocol is told by other names."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.state is not State.CONNECTING:
            self._stats.closed[self._code] += 1
        self.state = State.LOST
        self._blocked = True
        self._reader = _DEAF
        self._outbox = None
        self._deadline = inf
        self.sweep.discard(self)
        self._fail_waiters()
        protocol, self._protocol = self._protocol, None
        producer, self._producer = self._producer, None
        if producer is not None:
            call_safely(producer.stopProducing)
        call_safely(protocol.connectionLost, Failure(self.closed()))
        closers, self._closers = self._closers, None
        for call in closers or ():
            call_safely(call)

    # IHalfCloseableProtocol

    def readConnectionLost(self) -> None:
        """The peer sends no more, and so there will be no Close, if there was none."""
        self._outbox = None
        self._close_down(State.CLOSED)
        self._lose_transport()

    def writeConnectionLost(self) -> None:
        """Our side is closed, as it is after an error."""

    # IPushProducer: the transport tells how fast the peer takes what is written

    def pauseProducing(self) -> None:
        if self._write_paused:  # Twisted says so with each write
            return
        self._write_paused = self._blocked = True
        self._left = inf
        if self.state is _OPEN:
            self._deadline = self.sweep.next + self.shared.policy.send_timeout
        if self._producer is not None:
            self._producer.pauseProducing()
        self._mind_reading()

    def resumeProducing(self) -> None:
        self._write_paused = False
        self._silent = False
        self._flush()
        if self._write_paused or self.state is not _OPEN:
            return
        if self._producer is not None:
            self._producer.resumeProducing()
        self._mind_reading()

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""


_DEAF = _Deaf()


def check_close(code: int, reason: str) -> None:
    """Raises ValueError for what no Close can tell."""
    if not is_sendable(code):
        raise ValueError(f"{code} is not a close code that can be sent")
    if len(reason.encode()) > MAX_REASON:
        raise ValueError(f"the reason of a Close has {MAX_REASON} bytes at most")


def _can_be_told(error: WebSocketError) -> bool:
    try:
        check_close(error.code, error.reason)
    except ValueError:
        return False
    return True


def close_payload(code: int, reason: str) -> bytes:
    """Of a Close frame; empty for 1005, the code of one that has none."""
    return b"" if code == NO_STATUS else code.to_bytes(2) + reason.encode()


def call_safely(function: Callable[..., object], *arguments: object) -> None:
    """Call what others gave us, where it is too late for its errors to matter."""
    try:
        function(*arguments)
    except Exception:
        log.failure("{function} failed", function=function)
