"""The recipes for WebSockets, driven: each does what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock

from mynet.http import HTTPFactory
from mynet.testing import Client, Peer, Refused, result_of
from mynet.websocket import Deflate, WebSocketClosed
from tests.recipes import run_recipe
from tests.test_docs import ROOT

HOWTO = ROOT / "docs" / "howto-websocket.md"
FOR_TWISTED = ROOT / "docs" / "howto-twisted.md"

Recipe = Callable[[str], SimpleNamespace]


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Recipe:
    """Runs a file of the page in a folder of its own; its names are the result's attributes."""
    monkeypatch.chdir(tmp_path)
    return partial(run_recipe, HOWTO)


@pytest.fixture
def for_twisted(tmp_path, monkeypatch) -> Recipe:
    """The same of the page for Twisted programs."""
    monkeypatch.chdir(tmp_path)
    return partial(run_recipe, FOR_TWISTED)


def opened(client: Client, target: str, **options: Any) -> Peer:
    return result_of(client.websocket(target, **options))


def refusal(client: Client, target: str, **options: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        opened(client, target, **options)
    return refused.value.answer.status, refused.value.answer.text


# Talk


def test_echo(recipe):
    """A text comes back as a text, and bytes as bytes."""
    peer = opened(Client(recipe("echo.py").app), "/echo")
    peer.send("Hello")
    peer.send(b"Hello")
    assert peer.take() == ["Hello", b"Hello"]


def test_sums(recipe):
    """What is no list of numbers is told so, and may be followed by one; bytes end it."""
    peer = opened(Client(recipe("sums.py").app), "/sums")
    for message in ("[1, 2.5]", '["1"]', "{", "[]"):
        peer.send(message)
    answers = peer.take()
    assert [answer for answer in answers if "no list" not in str(answer)] == ["3.5", "0"]
    assert len(answers) == 4
    peer.send(b"[1]")
    assert (peer.close_code, peer.close_reason) == (1003, "only texts are understood here")


def test_ticking(recipe):
    """It counts by itself, by what it is told; and no longer than somebody listens."""
    ticking = recipe("ticking.py")
    clock = Clock()
    ticking.tick.__globals__["reactor"] = clock
    client = Client(ticking.app, clock)
    peer = opened(client, "/count")
    client.advance(2)
    peer.send("10")
    client.advance(2)
    assert peer.take() == ["0", "1", "2", "12", "22"]
    peer.hang_up()
    client.advance(1)
    assert clock.getDelayedCalls() == []


def test_rooms(recipe):
    """Rooms do not hear each other, and one that all have left is gone."""
    rooms = recipe("rooms.py")
    client = Client(rooms.app)
    ada, bob = opened(client, "/rooms/tea?name=Ada"), opened(client, "/rooms/milk?name=Bob")
    ada.send("Hello?")
    assert ada.take()[-1] == "Ada: Hello?"
    assert bob.take() == ["Bob has come, to 1"]
    ada.hang_up()
    bob.hang_up()
    assert len(rooms.topics) == 0


def test_prices(recipe):
    """Who comes is told all prices, then each that changes; a slow reader the latest of each."""
    prices = recipe("prices.py")
    client = Client(prices.app)
    result_of(client.put("/prices/tea", json=1))
    peer = opened(client, "/prices")
    assert result_of(client.put("/prices/tea", json=2)).json() == {"watching": 1}
    assert peer.take() == ["tea: 1.0", "tea: 2.0"]
    peer.stop_reading()
    for number in range(20_000):
        result_of(client.put("/prices/tea", json=number))
    peer.read()
    heard = peer.take()
    assert heard[-1] == "tea: 19999.0"
    assert len(heard) < 20_000


@pytest.mark.parametrize(("answer", "closed"), [("42", (1000, "Right!")), ("41", (4000, "Wrong."))])
def test_quiz(recipe, answer, closed):
    """The code and reason of a Close arrive."""
    peer = opened(Client(recipe("quiz.py").app), "/quiz")
    assert peer.take() == ["What is the answer?"]
    peer.send(answer)
    assert (peer.close_code, peer.close_reason) == closed


def test_quiz_ends(recipe):
    """How a client goes is known: what it said, or that it said nothing."""
    quiz = recipe("quiz.py")
    client = Client(quiz.app)
    result_of(opened(client, "/quiz").close(4001, "Too hard."))
    opened(client, "/quiz").hang_up()
    assert [code for code, _ in quiz.ended] == [4001, 1006]
    assert quiz.ended[0] == (4001, "Too hard.")


# Let in


def test_games(recipe):
    """It is refused with any response, or accepted with what was agreed on."""
    games = recipe("games.py")
    client = Client(games.app)
    assert refusal(client, "/games/go")[0] == 404
    assert refusal(client, "/games/chess") == (400, "Speak moves.v1 or moves.v2.\n")
    offers = ["moves.v1", "moves.v2"]
    first, second = (opened(client, "/games/chess", subprotocols=offers) for _ in range(2))
    assert (first.subprotocol, second.answer.headers["X-Seats"]) == ("moves.v2", "0")
    first.send("e4")
    assert first.take() == ["moves.v2: e4"]
    assert refusal(client, "/games/chess", subprotocols=offers) == (503, "All seats are taken.\n")
    first.hang_up()
    assert opened(client, "/games/chess", subprotocols=["moves.v1"]).subprotocol == "moves.v1"


def test_members(recipe):
    """Who has logged in is known by the cookie; others are not let in."""
    client = Client(recipe("members.py").app)
    assert refusal(client, "/me")[0] == 401
    peer = opened(client, "/me", headers={"Cookie": "session=c2VjcmV0"})
    assert (peer.take(), peer.close_code) == (["Hello, Ada!"], 1000)


@pytest.mark.parametrize(
    ("target", "origin", "welcome"),
    [
        ("/feed", None, True),
        ("/feed", "https://example.org", True),
        ("/feed", "https://evil.example", False),
        ("/feed", "http://test", False),
        ("/public", "https://evil.example", True),
    ],
)
def test_origins(recipe, target, origin, welcome):
    """Pages are let in as the recipe names them."""
    client = Client(recipe("public.py").app)
    headers = {"Origin": origin} if origin else {}
    if welcome:
        assert opened(client, target, headers=headers).take()[0] in (
            "Welcome.",
            "Welcome, whoever sent you.",
        )
    else:
        assert refusal(client, target, headers=headers)[0] == 403


# Keep going


def test_bounded(recipe):
    """Each route has its limit, and what else the policy says."""
    client = Client(recipe("bounded.py").app)
    chat, upload = opened(client, "/chat"), opened(client, "/upload")
    for peer in (chat, upload):
        peer.send("x" * 5000)
    assert (chat.close_code, upload.take()) == (1009, ["5000"])


def test_positions(recipe):
    """A slow reader gets the latest position of each ship, and the others get all."""
    client = Client(recipe("positions.py").app)
    slow, quick = opened(client, "/ships"), opened(client, "/ships")
    slow.stop_reading()
    heard = 0
    for number in range(5000):
        quick.send(f"ship-{number % 3} {number:099}")
        heard += len(quick.take())
    slow.read()
    latest = [int(str(message).partition(" ")[2]) for message in slow.take()]
    assert (heard, sorted(latest[-3:])) == (5000, [4997, 4998, 4999])
    assert len(latest) < 5000


@pytest.mark.parametrize(
    ("target", "agreed"),
    [
        ("/documents", {"permessage-deflate", "client_max_window_bits=12"}),
        (
            "/ticker",
            {"permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"}
            | {"server_max_window_bits=12", "client_max_window_bits=12"},
        ),
        ("/images", {""}),
    ],
)
def test_compressed(recipe, target, agreed):
    """Each route compresses as it says."""
    offer = Deflate(window_bits=15, peer_window_bits=15)
    peer = opened(Client(recipe("compressed.py").app), target, deflate=offer)
    extension = peer.answer.headers.get("Sec-WebSocket-Extensions", "")
    assert set(extension.split("; ")) == agreed
    assert len(peer.take()[0]) == 5000


def test_counted(recipe):
    """What has been done can be asked for."""
    client = Client(recipe("counted.py").app)
    peers = [opened(client, "/feed") for _ in range(3)]
    peers[0].send("Hello")
    result_of(peers[1].close(4000))
    assert result_of(client.get("/counts")).json() == {
        "accepted": 3, "closed": {"4000": 1}, "dropped": 0, "delivered": 3
    }  # fmt: skip


# Connect as a client, and protocols


async def listening(factory: HTTPFactory) -> tuple[Any, str]:
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    return port, f"ws://127.0.0.1:{port.getHost().port}"


@pytest_twisted.ensureDeferred
async def test_asking(recipe, capsys):
    """The client tells what it is answered, or why it is not."""
    asking = recipe("asking.py")
    factory = HTTPFactory(recipe("echo.py").app)
    port, url = await listening(factory)
    await asking.main(reactor, f"{url}/echo", "Hello?", "Bye!")
    assert capsys.readouterr().out == "Hello?\nBye!\n"
    await asking.main(reactor, f"{url}/nowhere", "Hello?")
    assert capsys.readouterr().out.startswith("404 ")
    await port.stopListening()
    await factory.drain(1)
    await asking.main(reactor, f"{url}/echo", "Hello?")
    assert "refused" in capsys.readouterr().out


def test_guests(for_twisted):
    """Guests hear each other, and of how one left; some are not let in."""
    client = Client(for_twisted("guests.py").app)
    assert refusal(client, "/guests")[0] == 400
    assert refusal(client, "/guests?name=Eve") == (403, "Not you.\n")
    ada, bob = opened(client, "/guests?name=Ada"), opened(client, "/guests?name=Bob")
    bob.send("Hello!")
    bob.send("bye")
    assert (bob.close_code, bob.close_reason) == (1000, "See you!")
    assert ada.take() == ["Welcome, Ada!", "Bob: Hello!", "Bob has left: 1000"]
    with pytest.raises(WebSocketClosed):
        bob.send("Hello again!")


@pytest_twisted.ensureDeferred
async def test_caller(for_twisted):
    """A protocol asks another one."""
    factory = for_twisted("alone.py").factory
    port, url = await listening(factory)
    assert await for_twisted("caller.py").ask(url, "Who is there?") == "Who is there?"
    await port.stopListening()
    await factory.drain(1)
    assert factory.shared.stats.messages_sent == 1
