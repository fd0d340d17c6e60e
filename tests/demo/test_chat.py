"""The chat's other side, as clients of all kinds meet it: in memory, and in its own time."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mynet.demo import demo_site
from mynet.demo.chat import BURST, LIMIT, LONGEST_TEXT, RATE
from mynet.testing import Client, Refused, result_of
from mynet.websocket.codes import GOING_AWAY, NORMAL, TOO_BIG


class Guest:
    """A client of the chat."""

    def __init__(self, client, name, room, **headers):
        target = f"/chat/{quote(room, safe='')}?name={quote(name)}"
        self.peer = result_of(client.websocket(target, **headers))
        self.welcome, *_ = self.hear()

    def send(self, frame):
        """Send something: bytes or a text as they are, else as JSON."""
        if not isinstance(frame, str | bytes):
            frame = json.dumps(frame)
        result_of(self.peer.send(frame))

    def say(self, text):
        self.send({"type": "say", "text": text})

    def hear(self):
        """What has been heard since this was asked last."""
        return [json.loads(message) for message in self.peer.take()]

    def texts(self):
        """What has been said of it."""
        return [frame["text"] for frame in self.hear() if frame["type"] == "said"]

    def refusal(self):
        """What was told it, and nothing else: that it cannot be."""
        (frame,) = self.hear()
        assert frame["type"] == "refused"
        return frame["text"]


class Chat:
    """The site, and its time."""

    def __init__(self):
        self.clock = Clock()
        self.client = Client(demo_site(self.clock), self.clock)

    def enter(self, name="Ada", room="lobby", **options):
        return Guest(self.client, name, room, **options)

    def figures(self):
        return result_of(self.client.get("/stats")).json()["chat"]


@pytest.fixture
def chat():
    return Chat()


def test_welcome(chat):
    """Who comes is told who they are, and who is here."""
    assert chat.enter("Ada").welcome == {
        "type": "welcome",
        "room": "lobby",
        "name": "Ada",
        "here": ["Ada"],
        "lines": [],
    }
    assert chat.enter("Ada").welcome["here"] == ["Ada", "Ada 2"]
    assert chat.figures() == {"rooms": 1, "people": 2}


def test_talk(chat):
    """What one says all hear in the same order, the speaker too; not who is in another room."""
    ada, grace, joan = chat.enter("Ada"), chat.enter("Grace"), chat.enter("Joan", "Küche/2")
    for speaker, text in ((ada, "Hello"), (grace, "Grüße 🦊"), (ada, "<b>")):
        speaker.say(text)
    assert ada.texts() == grace.texts() == ["Hello", "Grüße 🦊", "<b>"]
    assert joan.hear() == []


def test_comings_and_goings(chat):
    """The others are told who comes and goes, however they go; and once each."""
    ada, grace, joan = chat.enter("Ada"), chat.enter("Grace"), chat.enter("Joan")
    result_of(grace.peer.close(GOING_AWAY))
    joan.peer.hang_up()
    assert ada.hear() == [
        {"type": "joined", "name": "Grace"},
        {"type": "joined", "name": "Joan"},
        {"type": "left", "name": "Grace"},
        {"type": "left", "name": "Joan"},
    ]
    assert chat.figures() == {"rooms": 1, "people": 1}


def test_last_leaves(chat):
    """When the last has left, nothing is left of the room."""
    ada = chat.enter("Ada")
    ada.say("a secret")
    result_of(ada.peer.close())
    assert ada.peer.close_code == NORMAL
    assert chat.figures() == {"rooms": 0, "people": 0}
    assert chat.enter("Eve").welcome["lines"] == []


def test_back(chat):
    """Who comes back is told what was said meanwhile."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    grace.peer.hang_up()
    ada.say("You missed this")
    assert [line["text"] for line in chat.enter("Grace").welcome["lines"]] == ["You missed this"]


def test_rename(chat):
    """Who wants another name gets it, or one like it, and all are told."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    ada.hear()
    ada.send({"type": "rename", "name": " grace\n"})
    renamed = {"type": "renamed", "name": "grace 2", "was": "Ada"}
    assert ada.hear() == grace.hear() == [renamed]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "Hello",
        "{",
        "null",
        "[]",
        {},
        {"type": "say"},
        {"type": "say", "text": 5},
        {"type": "said", "text": "forged", "name": "Grace", "id": "", "at": 0},
        {"type": "dance"},
        b"\xff\xfe",
        '{"type": "say", "text": "\\ud800"}',
        "[" * 5000,
    ],
)
def test_malformed(chat, frame):
    """Who sends what is no message is told so, nobody else is, and may go on."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    ada.hear()
    ada.send(frame)
    assert ada.refusal().startswith("That was no message: ")
    ada.say("Excuse me")
    assert grace.texts() == ["Excuse me"]


@given(st.text() | st.binary())
def test_anything(frame):
    """Whatever is sent, the connection stays, and the next who speaks is heard."""
    chat = Chat()
    ada = chat.enter("Ada")
    ada.send(frame)
    ada.hear()
    ada.say("Still here")
    assert ada.texts() == ["Still here"]


def test_binary(chat):
    """The same in bytes is the same."""
    ada = chat.enter("Ada")
    ada.send(b'{"type": "say", "text": "Hello"}')
    assert ada.texts() == ["Hello"]


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\u200b"])
def test_nothing(chat, text):
    """Who says nothing is not heard."""
    ada = chat.enter("Ada")
    ada.say(text)
    assert ada.hear() == []


def test_too_long(chat):
    """Too long a text is refused, and told how long it may be; as long as that it may be."""
    ada = chat.enter("Ada")
    ada.say("x" * LONGEST_TEXT)
    assert ada.texts() == ["x" * LONGEST_TEXT]
    ada.say("x" * (LONGEST_TEXT + 1))
    assert f"{LONGEST_TEXT} characters" in ada.refusal()


def test_longest_text(chat):
    """As many characters may be said in any script, and also escaped."""
    ada = chat.enter("Ada")
    ada.say("🦊" * LONGEST_TEXT)
    ada.send(json.dumps({"type": "say", "text": "🦊" * LONGEST_TEXT}, ensure_ascii=False))
    assert ada.texts() == ["🦊" * LONGEST_TEXT] * 2


def test_far_too_long(chat):
    """Who sends what no page of ours would is closed before it is kept."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    ada.send("x" * (LIMIT + 1))
    assert ada.peer.close_code == TOO_BIG
    assert grace.hear() == [{"type": "left", "name": "Ada"}]


def test_too_fast(chat):
    """Who talks too fast is told so, and heard again a little later; others are not slowed."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    for number in range(BURST):
        ada.say(str(number))
    assert grace.texts() == [str(number) for number in range(BURST)]
    ada.hear()
    ada.say("one too many")
    assert ada.refusal().startswith("Not so fast")
    grace.say("I may")
    chat.client.advance(1)
    for _ in range(RATE + 1):
        ada.say("later")
    assert grace.texts() == ["I may"] + ["later"] * RATE


def test_after_a_pause(chat):
    """However long the pause was, no more can be said at once than at the beginning."""
    ada = chat.enter("Ada")
    chat.client.advance(60)
    for _ in range(BURST + 1):
        ada.say("Hello")
    assert len([frame for frame in ada.hear() if frame["type"] == "refused"]) == 1


def test_rename_too_fast(chat):
    """To change one's name all the time is too fast, too."""
    ada = chat.enter("Ada")
    for number in range(BURST + 1):
        ada.send({"type": "rename", "name": f"Ada {number}"})
    assert ada.hear()[-1]["text"].startswith("Not so fast")


def test_slow_reader(chat):
    """Who does not read is put out in the end, and meanwhile all others talk."""
    ada, grace = chat.enter("Ada"), chat.enter("Grace")
    grace.peer.stop_reading()
    for _ in range(200):
        ada.say("🦊" * LONGEST_TEXT)
        assert ada.texts()
        chat.client.advance(1 / RATE)
        if chat.figures()["people"] == 1:
            break
    assert chat.figures()["people"] == 1
    ada.say("Where is she?")
    assert ada.texts() == ["Where is she?"]


def test_no_name_for_a_room(chat):
    """A room that cannot be is refused like any request."""
    with pytest.raises(Refused) as refused:
        chat.enter(room="\u200b")
    assert refused.value.answer.status == 400


def test_full(chat, monkeypatch):
    """Who finds a room full is told to try later."""
    monkeypatch.setattr("mynet.demo.rooms.CAPACITY", 1)
    chat.enter()
    with pytest.raises(Refused) as refused:
        chat.enter()
    assert refused.value.answer.status == 503


def test_from_another_site(chat):
    """No page of another site can talk here in its visitor's name."""
    with pytest.raises(Refused) as refused:
        chat.enter(headers={"Origin": "https://evil.example"})
    assert refused.value.answer.status == 403


def test_without_a_websocket(chat):
    """Who asks for a room by plain HTTP is told what it takes."""
    assert result_of(chat.client.get("/chat/lobby")).status == 426


@pytest.mark.parametrize("message", ["", "Hello", "🦊", b"", b"\x00\xff", "x" * 100_000])
def test_echo(chat, message):
    """The echo sends back what it gets, text as text and bytes as bytes."""
    peer = result_of(chat.client.websocket("/echo"))
    result_of(peer.send(message))
    assert peer.take() == [message]
