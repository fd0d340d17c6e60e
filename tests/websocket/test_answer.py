"""The answers of servers to our handshake: what opens a WebSocket, and what must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.answer import (
    MAX_BODY,
    MAX_HEAD,
    Answer,
    AnswerReader,
    HandshakeRefused,
)
from mynet.websocket.handshake import HandshakeError

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
FIELDS = b"Upgrade: websocket\r\nConnection: \t Upgrade \t\r\nX-Empty:\r\nX-Name:  J\xfcrgen  R\r\n"
HEAD = SWITCHING + FIELDS + b"\r\n"

Outcome = Answer | HandshakeError | None


def read(data: bytes, size: int | None = None) -> tuple[Outcome, AnswerReader]:
    """What comes of an answer that arrives in pieces of this size; what is left is its rest."""
    reader = AnswerReader()
    step = size or max(1, len(data))
    for start in range(0, len(data), step):
        try:
            answer = reader.read(data[start : start + step])
        except HandshakeError as error:
            return error, reader
        if answer is not None:
            return Answer(answer.fields, answer.rest + data[start + step :]), reader
    return None, reader


def accepted(data: bytes, size: int | None = None) -> Answer:
    answer, _ = read(data, size)
    assert isinstance(answer, Answer), answer
    return answer


def wrong(data: bytes, size: int | None = None) -> str:
    error, reader = read(data, size)
    assert type(error) is HandshakeError, error
    assert reader.refusal is None
    return str(error)


def refused(data: bytes, size: int | None = None) -> HandshakeRefused:
    error, _ = read(data, size)
    assert isinstance(error, HandshakeRefused), error
    return error


SIZES = pytest.mark.parametrize("size", [None, 1, 2, 3, 7])


# What opens a WebSocket


@SIZES
@pytest.mark.parametrize("rest", [b"", b"\x81\x02hi", b"\r\n\r\n", HEAD])
def test_accepted(size, rest):
    """However a 101 arrives, its fields are known, and what is behind it is kept to the byte."""
    answer = accepted(HEAD + rest, size)
    assert answer.rest == rest
    assert answer.fields == [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"x-empty", b""),
        (b"x-name", b"J\xfcrgen  R"),
    ]
    assert answer.headers["X-Name"] == "Jürgen  R"


@pytest.mark.parametrize("cut", range(1, len(HEAD)))
def test_cuts(cut):
    """It does not matter where a head is cut."""
    reader = AnswerReader()
    assert reader.read(HEAD[:cut]) is None
    answer = reader.read(HEAD[cut:] + b"rest")
    assert answer is not None
    assert (len(answer.fields), answer.rest) == (4, b"rest")


@pytest.mark.parametrize("line", [b"HTTP/1.1 101", b"HTTP/1.1 101 ", b"HTTP/1.1 101 D'acc\xf3rd"])
def test_any_phrase(line):
    """The words behind the status mean nothing, and need not be there."""
    assert accepted(line + b"\r\n" + FIELDS + b"\r\n", 1).rest == b""


@SIZES
def test_interim_answers(size):
    """Answers before the answer are passed over."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    answer = accepted(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + HEAD + b"rest", size)
    assert (len(answer.fields), answer.rest) == (4, b"rest")


def test_short_answer_behind_another():
    """An answer that is shorter than what was before it, and came with its end, is seen."""
    reader = AnswerReader()
    assert reader.read(b"HTTP/1.1 100 Continue, please\r\n\r") is None
    answer = reader.read(b"\nHTTP/1.1 101 \r\n\r\n")
    assert answer == Answer([], b"")


# What is no answer


@SIZES
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\r\n" + HEAD,
        b" " + HEAD,
        b"http/1.1 101 x\r\n\r\n",
        b"HTTP/2 101\r\n\r\n",
        b"HTTP/0.9 101\r\n\r\n",
        b"HTTP/1.1 101 x\n\n",
        b"HTTP/1.1 101 x\r\nA: b\n\r\n\r\n",
        HEAD.replace(b"\r\n", b"\n"),
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
def test_not_http(data, size):
    """What does not speak HTTP/1.1 is found out as soon as it can be."""
    assert wrong(data, size) == "The server's answer is not HTTP/1.1."


def test_not_http_at_once():
    """The first byte may be enough, and so is the first wrong end of a line."""
    assert wrong(b"S")
    assert wrong(b"HTTP/1.1 101 x\n", 1)


@SIZES
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1  101 x\r\n",
        b"HTTP/1.1 1010 x\r\n",
        b"HTTP/1.1 10 x\r\n",
        b"HTTP/1.1 099 x\r\n",
        b"HTTP/1.1 600 x\r\n",
        b"HTTP/1.1 \xb9\xb2\xb3 x\r\n",
        b"HTTP/1.1 +11 x\r\n",
        b"HTTP/1.1\t101 x\r\n",
        b"HTTP/1.1 101x\r\n",
        b"HTTP/1.2 101 x\r\n",
        b"HTTP/1.10 101 x\r\n",
        b"HTTP/1.1 101 x\x00\r\n",
        b"HTTP/1.1 101 x\r\r\n",
        SWITCHING + b"Upgrade : websocket\r\n",
        SWITCHING + b" Upgrade: websocket\r\n",
        SWITCHING + b"Upgrade: websocket\r\n folded\r\n",
        SWITCHING + b"Upgrade:\r\n\twebsocket\r\n",
        SWITCHING + b"Upgrade\r\n",
        SWITCHING + b": websocket\r\n",
        SWITCHING + b"Up grade: websocket\r\n",
        SWITCHING + b"\xdcpgrade: websocket\r\n",
        SWITCHING + b"Upgrade: web\rsocket\r\n",
        SWITCHING + b"Upgrade: web\x00socket\r\n",
        SWITCHING + b"Upgrade: web\x7fsocket\r\n",
        b"HTTP/1.1 100 x\r\nA : b\r\n\r\nHTTP/1.1 101 x\r\n",
        b"HTTP/1.1 403 x\r\nA : b\r\n",
    ],
)
def test_malformed(head, size):
    """Nothing is made of a head that others might read in another way."""
    assert wrong(head + b"\r\n", size) == "The head of the server's answer is malformed."


@SIZES
def test_old_http(size):
    """HTTP/1.0 cannot switch to another protocol; it can refuse."""
    assert wrong(b"HTTP/1.0 101 x\r\n\r\n", size) == "The server's answer is HTTP/1.0."
    assert refused(b"HTTP/1.0 403 x\r\nContent-Length: 2\r\n\r\nno", size).body == b"no"


def padded(size: int) -> bytes:
    """A head of this size."""
    return SWITCHING + b"X: " + b"x" * (size - len(SWITCHING) - 7) + b"\r\n\r\n"


@pytest.mark.parametrize("size", [None, 1, 1000])
def test_size(size):
    """A head may be so large, and no larger; what follows it does not count."""
    assert accepted(padded(MAX_HEAD) + b"x" * MAX_HEAD, size).rest == b"x" * MAX_HEAD
    assert str(MAX_HEAD) in wrong(padded(MAX_HEAD + 1), size)
    interim = b"HTTP/1.1 103 x\r\n\r\n"
    assert accepted(interim + padded(MAX_HEAD - len(interim)), size)
    assert wrong(interim + padded(MAX_HEAD - len(interim) + 1), size)


@pytest.mark.parametrize("piece", [b"x", b"\r\nA: b", b"\r\n\r\nHTTP/1.1 100 x"])
def test_endless(piece):
    """A head, or interim answers, without end are not read without end."""
    assert str(MAX_HEAD) in wrong(b"HTTP/1.1 100 x" + piece * MAX_HEAD, len(piece))


# Refusals


@SIZES
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 403 x\r\nContent-Length: 4\r\n\r\nnope", b"nope"),
        (
            b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\r\npe\r\n0\r\n\r\n",
            b"nope",
        ),
        (b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 x\r\n\r\n", b""),
        (b"HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n", b""),
        (b"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", b"hi"),
        (
            b"HTTP/1.1 426 x\r\n" + FIELDS + b"Content-Length: 1\r\n\r\n!",
            b"!",
        ),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\nx", b"\x00"])
def test_refused(answer, body, behind, size):
    """Any other answer is a refusal, and known with its body as soon as that is here."""
    error = refused(answer + behind, size)
    assert error.status == int(answer[9:12])
    assert error.body == body
    assert len(error.headers) == answer.partition(b"\r\n\r\n")[0].count(b"\r\n")


def test_refusal_tells():
    """Whoever sees the error sees what the server said."""
    error = refused(b"HTTP/1.1 403 x\r\nX-Why: J\xfcrgen\r\nContent-Length: 0\r\n\r\n")
    assert str(error) == "The server answered 403 Forbidden."
    assert error.headers["x-why"] == "Jürgen"
    assert str(refused(b"HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n")) == (
        "The server answered 599 Unknown."
    )


@SIZES
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\nnope",
        b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n",
        b"HTTP/1.1 403 x\r\n\r\nnope",
        b"HTTP/1.0 403 x\r\n\r\nnope",
    ],
)
def test_refused_not_all_here(answer, size):
    """While a refusal goes on, what is here of it is known."""
    outcome, reader = read(answer, size)
    assert outcome is None
    refusal = reader.refusal
    assert refusal is not None
    assert (refusal.status, refusal.body) == (403, b"nope")


def test_no_refusal_yet():
    """Before its head is here there is no refusal."""
    outcome, reader = read(b"HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r")
    assert (outcome, reader.refusal) == (None, None)


@SIZES
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nnope", b""),
        (b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nnope", b""),
        (b"Content-Length: x\r\n\r\nnope", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\nzz", b"no"),
    ],
)
def test_refused_in_disorder(answer, body, size):
    """A refusal whose body cannot be understood is still one."""
    error = refused(b"HTTP/1.1 403 x\r\n" + answer, size)
    assert (error.status, error.body) == (403, body)


@pytest.mark.parametrize("size", [None, 1, 1000])
@pytest.mark.parametrize("head", [b"", b"Content-Length: 100000\r\n"])
def test_size_of_refusals(head, size):
    """Of a refusal so much is kept, and no more is waited for."""
    head = b"HTTP/1.1 403 x\r\n" + head + b"\r\n"
    body = b"x" * (MAX_BODY - 1)
    outcome, reader = read(head + body, size)
    assert outcome is None
    with pytest.raises(HandshakeRefused) as caught:
        reader.read(b"yz")
    assert caught.value.body == body + b"y"
    assert reader.refusal is not None
    assert reader.refusal.body == body + b"y"


# All that servers may send

PARTS = st.sampled_from(
    [
        SWITCHING,
        b"HTTP/1.1 100 x\r\n",
        b"HTTP/1.1 403 x\r\n",
        b"HTTP/1.0 ",
        FIELDS,
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n",
        b"\r\n",
        b"\n",
        b"abc",
    ]
)
STREAMS = st.lists(PARTS | st.binary(max_size=6), max_size=12).map(b"".join)


@given(STREAMS, st.integers(1, 9))
def test_fuzz(data, size):
    """Whatever a server sends, and however that is cut: an answer, a refusal, or what is wrong."""
    results = []
    for step in (None, size):
        outcome, reader = read(data, step)
        refusal = outcome if isinstance(outcome, HandshakeRefused) else reader.refusal
        results.append(
            (
                type(outcome),
                outcome if isinstance(outcome, Answer) else None,
                refusal and (refusal.status, refusal.headers, refusal.body),
            )
        )
    assert results[0] == results[1]
