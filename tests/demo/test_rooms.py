"""The rooms of the chat: names, comings and goings, and what is kept of them."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet import HTTPError
from mynet.demo import rooms as rooms_module
from mynet.demo.rooms import CAPACITY, KEPT, LONGEST_NAME, LONGEST_ROOM, Rooms, clean
from mynet.realtime import MemoryTopics
from tests.realtime.listening import Listener


def run(coroutine):
    """The result of a coroutine that never waits."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


class House:
    """Rooms, and what is heard in them."""

    def __init__(self):
        self.topics = MemoryTopics()
        self.rooms = Rooms(self.topics)
        self._stays = {}

    def enter(self, name="Ada", room="lobby"):
        """Somebody comes."""
        stay = self.rooms.guest(room, name)
        guest = run(stay.__aenter__())
        self._stays[guest] = stay
        return guest

    def leave(self, guest):
        """Somebody goes."""
        run(self._stays.pop(guest).__aexit__(None, None, None))

    def close(self):
        """All go."""
        for guest in list(self._stays):
            self.leave(guest)

    def listen(self, room="lobby"):
        """What is heard in a room from now on: a function that tells it."""
        listener = Listener()
        self.topics.subscribe(f"chat/{room}", listener)
        return lambda: [json.loads(text) for text in listener.heard]


@pytest.fixture
def house():
    with closing(House()) as house:
        yield house
    assert house.rooms.figures() == {"rooms": 0, "people": 0}


# Names


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("Ada", "Ada"),
        ("  Ada \t Lovelace\n", "Ada Lovelace"),
        ("A\x00d\x1ba\x7f", "Ada"),
        ("\u202eadA\u2066\u200b", "adA"),
        ("\uff21\uff44\uff41", "Ada"),
        ("Zoe\u200b\u0308", "Zoë"),
        ("Ada \u200b Lovelace", "Ada Lovelace"),
        ("Zoë 🦊", "Zoë 🦊"),
        ("<b>", "<b>"),
        ("x" * 1000, "x" * LONGEST_NAME),
        ("x" * (LONGEST_NAME - 1) + " y", "x" * (LONGEST_NAME - 1)),
        ("", "Guest"),
        (" \u200b\u202e\x00 ", "Guest"),
    ],
)
def test_names(house, wanted, name):
    """A name is one line of visible characters, and not too long, whatever is asked for."""
    assert house.enter(wanted).name == name


@given(st.text())
def test_names_can_be_cleaned_again(text):
    """A clean name stays as it is."""
    name = clean(text, LONGEST_NAME)
    assert clean(name, LONGEST_NAME) == name
    assert len(name) <= LONGEST_NAME


def test_same_names(house):
    """Of two with the same name the later one gets a number, also if only the case differs."""
    names = [house.enter(name).name for name in ("Ada", "ada", "ADA", "Ada 2", "")]
    assert names == ["Ada", "ada 2", "ADA 3", "Ada 2 2", "Guest"]


def test_name_is_free_again(house):
    """Who comes back gets the old name."""
    house.enter("Grace")
    house.leave(house.enter("Ada"))
    assert house.enter("Ada").name == "Ada"


def test_same_name_in_another_room(house):
    """A name that is taken in one room is not taken in another."""
    house.enter("Ada", "lobby")
    assert house.enter("Ada", "kitchen").name == "Ada"


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "\x00"])
def test_names_of_rooms(house, name):
    """A room whose name nobody could see cannot be entered."""
    with pytest.raises(HTTPError, match="no name for a room") as error:
        house.enter(room=name)
    assert error.value.status == 400
    assert house.rooms.figures() == {"rooms": 0, "people": 0}


def test_long_name_of_a_room(house):
    """Of a room's name as much counts as anybody reads."""
    assert house.enter(room="x" * 1000).room.name == "x" * LONGEST_ROOM


# Coming and going


def test_coming_and_going(house):
    """Who is there is told who comes, and who goes."""
    heard = house.listen()
    ada = house.enter("Ada")
    house.leave(ada)
    assert heard() == [{"type": "joined", "name": "Ada"}, {"type": "left", "name": "Ada"}]


def test_welcome(house):
    """Who comes is told who they are, who is here, and what was said last."""
    ada = house.enter("Ada")
    run(ada.say("Hello"))
    welcome = house.enter("Ada").welcome()
    assert (welcome.room, welcome.name, welcome.here) == ("lobby", "Ada 2", ["Ada", "Ada 2"])
    assert [(line.name, line.text) for line in welcome.lines] == [("Ada", "Hello")]


def test_gone_by_an_error(house):
    """Whose connection broke is not here any more."""

    async def stay():
        async with house.rooms.guest("lobby", "Ada"):
            raise ConnectionError

    heard = house.listen()
    with pytest.raises(ConnectionError):
        stay().send(None)
    assert [frame["type"] for frame in heard()] == ["joined", "left"]
    assert house.rooms.figures() == {"rooms": 0, "people": 0}


def test_figures(house):
    """One can ask how many rooms and people there are."""
    house.enter("Ada", "lobby")
    house.enter("Grace", "lobby")
    house.enter("Joan", "kitchen")
    assert house.rooms.figures() == {"rooms": 2, "people": 3}


def test_full(house, monkeypatch):
    """In a full room there is no place until somebody leaves; in others there is."""
    monkeypatch.setattr(rooms_module, "CAPACITY", 2)
    first, _ = house.enter(), house.enter()
    with pytest.raises(HTTPError, match="full") as error:
        house.enter()
    assert error.value.status == 503
    house.enter(room="kitchen")
    house.leave(first)
    house.enter()


def test_too_many_rooms(house, monkeypatch):
    """Of rooms there are not more than the memory is for; in those that are there is place."""
    monkeypatch.setattr(rooms_module, "MOST", 2)
    first, _ = house.enter(room="lobby"), house.enter(room="kitchen")
    with pytest.raises(HTTPError, match="too many rooms") as error:
        house.enter(room="attic")
    assert error.value.status == 503
    house.enter(room="kitchen")
    house.leave(first)
    house.enter(room="attic")


def test_all_of_one_name(house):
    """A room filled by people of one name still tells them apart."""
    names = {house.enter("Ada").name for _ in range(CAPACITY)}
    assert len(names) == CAPACITY


# Talking


def test_said(house):
    """What one says all hear, once, with a name and a time."""
    ada = house.enter("Ada")
    heard = house.listen()
    run(ada.say("Hello <b>"))
    (line,) = heard()
    assert (line["type"], line["name"], line["text"]) == ("said", "Ada", "Hello <b>")
    assert line["at"] > 0


def test_each_has_its_id(house):
    """Who hears something again, after coming back, can tell that it is the same."""
    ada = house.enter("Ada")
    heard = house.listen()
    run(ada.say("Hello"))
    run(ada.say("Hello"))
    ids = [line["id"] for line in heard()]
    assert len(set(ids)) == 2
    assert [line.id for line in house.enter().welcome().lines] == ids


def test_kept(house):
    """Only the last of what was said is told to who comes later."""
    ada = house.enter("Ada")
    for number in range(KEPT + 10):
        run(ada.say(str(number)))
    lines = house.enter("Grace").welcome().lines
    assert [line.text for line in lines] == [str(number) for number in range(10, KEPT + 10)]


def test_nothing_is_kept_of_a_room_that_was_left(house):
    """What was said in a room is forgotten when the last has left it."""
    ada = house.enter("Ada")
    run(ada.say("a secret"))
    house.leave(ada)
    assert house.enter("Eve").welcome().lines == []


def test_renamed(house):
    """Who takes another name is called that by all, and the old one is free."""
    ada = house.enter("Ada")
    heard = house.listen()
    run(ada.rename("Countess"))
    assert heard() == [{"type": "renamed", "name": "Countess", "was": "Ada"}]
    assert house.enter("Ada").welcome().here == ["Countess", "Ada"]


def test_renamed_to_the_same(house):
    """To take the name that one has is nothing to be told."""
    ada = house.enter("Ada")
    heard = house.listen()
    run(ada.rename(" Ada"))
    assert (heard(), ada.name) == ([], "Ada")


def test_renamed_in_case(house):
    """One's own name in other letters is not taken."""
    ada = house.enter("ada")
    run(ada.rename("Ada"))
    assert ada.name == "Ada"


def test_leaves_by_the_new_name(house):
    """Who goes goes by the name that they have then."""
    ada = house.enter("Ada")
    run(ada.rename("Countess"))
    heard = house.listen()
    house.leave(ada)
    assert heard() == [{"type": "left", "name": "Countess"}]
