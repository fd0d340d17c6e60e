"""The load generator itself, too: that it notices whatever is not as it should be."""

from __future__ import annotations

import re
import shutil

import pytest

from benchmarks.comparing import loads
from benchmarks.comparing.errors import MeasurementError, UsageError
from benchmarks.comparing.loads import BROWSER, CLOSE, UPGRADE, Load, build, generator, parse
from tests.benchmarks.echoing import SWITCH, echoing
from tests.benchmarks.serving import HELLO, answering

SECONDS = 0.05

SMALL = Load(connections=2)
TEXT = Load("/echo", "is it NUMBER? ", UPGRADE, connections=2, kind="text", size=32)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which(loads.COMPILER) is None:
        pytest.skip("the load generator needs a C compiler")
    return build(tmp_path_factory.mktemp("load"))


def run(program, load, port):
    with generator(program, load, port) as started:
        return started.run(SECONDS)


def test_parse():
    """What the generator prints is understood."""
    assert parse("answers 120 seconds 3.5 cpu 0.25\n") == (120, 3.5, 0.25)


@pytest.mark.parametrize("output", ["", "answers 1 seconds", "answers 0 seconds 3.0 cpu 0.1\n"])
def test_no_result(output):
    """No result, or a load that nothing of was answered, is no measurement."""
    with pytest.raises(MeasurementError):
        parse(output)


def test_request():
    """A request is one that any server takes."""
    request = Load("/a", fields=CLOSE).request()
    assert request == "GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def test_browser():
    """A browser's fields are 14."""
    assert len(re.findall(r"^[\w-]+: \S.*$", BROWSER, re.MULTILINE)) == 14
    assert BROWSER.count("\n") == 14


def test_no_compiler(monkeypatch, tmp_path):
    """Who has no compiler is told that one is needed."""
    monkeypatch.setattr(loads, "COMPILER", "no-such-compiler")
    with pytest.raises(UsageError, match="C compiler"):
        build(tmp_path)


def test_does_not_compile(monkeypatch, tmp_path, program):
    """What the compiler complains of is told."""
    monkeypatch.setattr(loads, "SOURCE", tmp_path / "gone.c")
    with pytest.raises(UsageError, match="cannot be compiled"):
        build(tmp_path)


def test_kept_connections(program):
    """Answers on connections that are kept are counted."""
    with answering(HELLO) as port:
        outcome = run(program, SMALL, port)
    assert outcome.answers > 0
    assert outcome.seconds >= SECONDS
    assert outcome.cpu > 0


def test_runs(program):
    """Each run is told by itself."""
    with answering(HELLO) as port, generator(program, SMALL, port) as started:
        runs = [started.run(seconds) for seconds in (SECONDS, SECONDS / 10)]
    assert runs[0].seconds > runs[1].seconds
    assert min(run.answers for run in runs) > 0


def test_connection_for_each_request(program):
    """Where the request asks for that, each has a connection of its own."""
    with answering(HELLO, closes=True) as port:
        assert run(program, SMALL._replace(fields=CLOSE), port).answers > 0


def test_answer_in_pieces(program):
    """An answer that does not come at once is waited for."""
    with answering(HELLO, piece=1) as port:
        assert run(program, SMALL, port).answers > 0


def test_numbers(program):
    """Each request may have a number of its own, which its answer must have too."""
    asked = []

    def answer(head):
        number = head[len("GET /hello/") :][:6]
        asked.append(number)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%s!" % number

    load = Load("/hello/NUMBER", "NUMBER!", connections=3)
    with answering(answer) as port:
        assert run(program, load, port).answers > 3
    assert len(set(asked)) == len(asked)
    assert all(number.isdigit() for number in asked)


def test_wrong_number(program):
    """The answer to another request is a wrong one."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n999999"
    load = Load("/hello/NUMBER", "NUMBER")
    with answering(answer) as port, pytest.raises(MeasurementError, match="wrong body: 999999"):
        run(program, load, port)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (HELLO.replace(b"World", b"Worle"), "wrong body"),
        (HELLO + b"!", "wrong body"),
        (HELLO.replace(b"200 OK", b"404 No"), "wrong status: HTTP/1.1 404"),
        (HELLO.replace(b"\r\n\r\n", b"\r\nX: %s\r\n\r\n" % bytes(9000)), "too long"),
    ],
)
@pytest.mark.parametrize("idle", [0, 1])
def test_wrong_answer(program, answer, complaint, idle):
    """A server that answers wrong under load is found out, however fast it is."""
    load = SMALL._replace(idle=idle)
    with answering(answer) as port, pytest.raises(MeasurementError, match=complaint):
        run(program, load, port)


@pytest.mark.parametrize(("size", "fields"), [(0, ""), (20, ""), (len(HELLO), ""), (20, CLOSE)])
def test_closed_connection(program, size, fields):
    """A connection that is closed before its time is a failure."""
    load = SMALL._replace(fields=fields)
    with (
        answering(HELLO[:size], closes=True) as port,
        pytest.raises(MeasurementError, match=r"closed|reset|cannot|answers nothing"),
    ):
        run(program, load, port)


LONG = Load(body="abcde", connections=2, kind="long", size=300_001)

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 300001\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(body, size):
    """An answer in chunks of a size."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return CHUNKED + b"".join(chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "answer", [LENGTH + LONG.answer(), *(chunked(LONG.answer(), size) for size in (7, 300_001))]
)
def test_long_answer(program, answer):
    """An answer may be larger than what is received at once, with its length or in chunks."""
    assert len(LONG.answer()) == 300_001
    with answering(answer) as port:
        assert run(program, LONG, port).answers > 0


@pytest.mark.parametrize("piece", [1, 3])
def test_long_answer_in_pieces(program, piece):
    """Wherever it is cut."""
    load = LONG._replace(size=50)
    with answering(chunked(load.answer(), 16), piece=piece) as port:
        assert run(program, load, port).answers > 0


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (LENGTH + LONG.answer()[:-1] + b"!", "wrong body"),
        (LENGTH.replace(b"1\r", b"2\r") + LONG.answer() + b"e", "wrong body"),
        (LENGTH.replace(b"1\r", b"0\r") + LONG.answer()[:-1], "too short"),
        (LENGTH.replace(b"300001", b"0"), "too short"),
        (LENGTH.replace(b"200 OK", b"206 OK") + LONG.answer(), "wrong status: HTTP/1.1 206"),
        (LENGTH + LONG.answer() + b"!", r"more than an answer|wrong status: !HTTP"),
        (LENGTH[:-2] + b"X: %s" % bytes(9000), "too long"),
        (chunked(LONG.answer()[:-1], 5), "too short"),
        (chunked(LONG.answer() + b"a", 5), "wrong body"),
        (CHUNKED + b"5\r\nabcdef\r\n", "wrong end of a chunk: f"),
        (chunked(LONG.answer(), 5)[:-2] + b"X: y\r\n\r\n", "wrong end of a chunk: X"),
    ],
)
def test_wrong_long_answer(program, answer, complaint):
    """What is wrong with a long answer is found out as it comes."""
    with answering(answer) as port, pytest.raises(MeasurementError, match=complaint):
        run(program, LONG, port)


@pytest.mark.parametrize("size", [0, 20, 1000])
def test_long_answer_that_is_cut_off(program, size):
    """A connection that is lost within an answer is a failure."""
    answer = LENGTH + LONG.answer()
    with (
        answering(answer[:size], closes=True) as port,
        pytest.raises(MeasurementError, match=r"closed|reset"),
    ):
        run(program, LONG, port)


def test_upload(program):
    """A body is sent with each request."""
    asked = []

    def answer(request):
        asked.append(request)
        return HELLO

    load = SMALL._replace(path="/length", kind="upload", size=3_000_000)
    with answering(answer) as port:
        assert run(program, load, port).answers > 0
    assert asked[0].startswith(b"POST /length HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 3000000\r\n" in asked[0]
    assert asked[0].endswith(load.uploaded())
    assert len(load.uploaded()) == 3_000_000


def test_wrong_answer_to_an_upload(program):
    """The answer to an upload is compared, too."""
    answer = HELLO.replace(b"World", b"Worle")
    load = SMALL._replace(kind="upload", size=100)
    with answering(answer) as port, pytest.raises(MeasurementError, match="wrong body"):
        run(program, load, port)


def test_idle_connections(program):
    """Idle connections are answered before the load begins, and are there when it has ended."""
    asked = []

    def answer(head):
        asked.append(head)
        return HELLO

    load = SMALL._replace(idle=5)
    with answering(answer) as port, generator(program, load, port) as started:
        assert len(asked) == 5
        assert started.run(SECONDS).answers > 0


def test_lost_idle_connection(program):
    """Servers that get rid of their idle connections do not have them to carry."""
    load = Load(connections=0, idle=2)
    with answering(HELLO, closes=True) as port, pytest.raises(MeasurementError, match="idle"):
        run(program, load, port)


def test_nobody_listens(program):
    """A server that has gone is a failure."""
    with answering(HELLO) as port:
        pass
    with pytest.raises(MeasurementError, match="cannot connect"):
        run(program, SMALL, port)


def recording():
    """An echo, and the frames that it gets."""
    frames = []

    def answer(frame):
        frames.append(frame)
        return frame

    return frames, answer


@pytest.mark.parametrize("size", [32, 125, 126, 65_535, 65_536, 300_000])
@pytest.mark.parametrize(("kind", "opcode"), [("text", 1), ("binary", 2)])
def test_messages(program, kind, opcode, size):
    """Messages of any size are sent on WebSockets, and their echoes counted."""
    frames, answer = recording()
    with echoing(answer) as port:
        outcome = run(program, TEXT._replace(kind=kind, size=size), port)
    assert 0 < outcome.answers <= len(frames)
    assert {frame[0] for frame in frames} == {0x80 | opcode}
    payload = re.sub(rb"\d{6}", b"NUMBER", frames[0][-size:])
    assert payload == (TEXT.body.encode() * size)[:size]


def test_messages_differ(program):
    """Each message has a number of its own."""
    frames, answer = recording()
    with echoing(answer) as port:
        assert run(program, TEXT, port).answers > 2
    assert len(set(frames)) == len(frames)


def test_message_without_number(program):
    """They need not have one."""
    with echoing() as port:
        assert run(program, TEXT._replace(body="the same"), port).answers > 0


def test_message_in_pieces(program):
    """An echo that does not come at once is waited for."""
    with echoing(piece=1) as port:
        assert run(program, TEXT, port).answers > 0


def test_messages_go_on(program):
    """WebSockets are kept from one run to the next."""
    with echoing() as port, generator(program, TEXT, port) as started:
        assert min(started.run(SECONDS).answers for _ in range(2)) > 0


@pytest.mark.parametrize(
    "answer",
    [
        lambda frame: b"\x82" + frame[1:],
        lambda frame: frame[:-1] + b"!",
        lambda frame: frame * 2,
        lambda frame: frame.translate(bytes([*range(256)]).replace(b"0123", b"1230")),
    ],
)
@pytest.mark.parametrize("idle", [0, 1])
def test_wrong_message(program, answer, idle):
    """An echo that is not what was sent is found out: its kind, its end, its number."""
    load = TEXT._replace(idle=idle)
    with echoing(answer) as port, pytest.raises(MeasurementError, match="wrong message"):
        run(program, load, port)


@pytest.mark.parametrize(
    ("handshake", "complaint"),
    [
        (HELLO, "wrong status: HTTP/1.1 200"),
        (SWITCH.replace(b"+xOo=", b"+xOO="), "wrong handshake"),
        (SWITCH + b"\x81\x01a", "a message that nobody sent"),
        (b"", r"closed|reset"),
    ],
)
def test_wrong_handshake(program, handshake, complaint):
    """A WebSocket that is not opened as it should be is a failure."""
    with (
        echoing(lambda frame: b"", handshake=handshake) as port,
        pytest.raises(MeasurementError, match=complaint),
    ):
        run(program, TEXT, port)


def test_lost_websocket(program):
    """A WebSocket that is closed is a failure, and no echo."""
    with echoing(lambda frame: b"") as port, pytest.raises(MeasurementError, match=r"closed|reset"):
        run(program, TEXT, port)


def test_idle_websockets(program):
    """Idle WebSockets have had one echo before the load begins."""
    frames, answer = recording()
    with echoing(answer) as port, generator(program, TEXT._replace(idle=5), port) as started:
        assert len(frames) == 5
        assert started.run(SECONDS).answers > 0


def test_fan_out(program):
    """One publishes, and what each of the others gets is counted."""
    frames, answer = recording()
    load = TEXT._replace(kind="fanout", connections=7)
    with echoing(answer, fans_out=True) as port:
        answers = run(program, load, port).answers
    assert answers > 7
    assert 7 * (len(frames) - 1) <= answers <= 7 * len(frames)


def test_no_fan_out(program):
    """A server that leaves somebody out is found out."""
    load = TEXT._replace(kind="fanout")
    with echoing() as port, generator(program, load, port) as started:
        started.run(SECONDS)
        with pytest.raises(MeasurementError, match="answers nothing"):
            started.run(SECONDS)
