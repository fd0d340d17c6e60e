"""The chat and the echo as people use them: in two browsers at once, against a server process."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
from selenium.webdriver.common.keys import Keys

from tests.demo.browsing import Page, Server, needs_chromium, open_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def server():
    with closing(Server()) as server:
        yield server


@pytest.fixture(scope="module")
def browsers(tmp_path_factory):
    """Two browsers, that know nothing of each other."""
    drivers = [open_chromium(tmp_path_factory.mktemp("chromium")) for _ in range(2)]
    yield drivers
    for driver in drivers:
        driver.quit()


@pytest.fixture
def visit(server, browsers):
    """A function that opens a page in each browser; at the end they have found no fault."""
    pages: list[Page] = []

    def visit(path):
        pages.extend(Visit(driver, server.origin, path) for driver in browsers)
        return pages

    yield visit
    faults = [fault for page in pages for fault in page.faults()]
    for driver in browsers:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.get("about:blank")
    assert faults == []


class Visit(Page):
    """A visit to the chat, or the echo."""

    def __init__(self, driver, origin, path):
        driver.get("about:blank")  # to another fragment the browser would only scroll
        super().__init__(driver, origin, path)
        self.resize(1280)
        self.until_it_is("connected")

    def until_it_is(self, state):
        """Wait until it says that it is so."""
        self.until(lambda: self.text("#state") == state)

    def rename(self, name):
        """Take another name."""
        self.write("#name", name, Keys.ENTER)
        self.until(lambda: name in self.texts("#here li.me"))

    def say(self, text):
        """Say something."""
        self.write("#text", text, Keys.ENTER)

    def reads(self, *parts):
        """Wait until there is an entry on the paper with these parts."""
        pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
        self.until(lambda: any(map(pattern.search, self.texts("#log li"))))

    def here(self):
        """Who is here."""
        return sorted(self.texts("#here li"))


@pytest.fixture
def ada_and_grace(visit, request):
    """Two who are in a room of their own."""
    ada, grace = visit(f"/chat/#{request.node.name[5:40]}")
    ada.rename("Ada")
    grace.rename("Grace")
    grace.until(lambda: grace.here() == ["Ada", "Grace"])
    ada.until(lambda: ada.here() == ["Ada", "Grace"])
    return ada, grace


def test_talk(ada_and_grace):
    """What one says both read, by whom it was said, and none of it is taken for HTML."""
    ada, grace = ada_and_grace
    ada.say("Hello <b>there</b>")
    for each in ada, grace:
        each.reads("Ada", "Hello <b>there</b>")
    grace.say("Grüße 🦊")
    for each in ada, grace:
        each.reads("Grace", "Grüße 🦊")
    assert ada.find("#text").get_attribute("value") == ""


def test_comings_and_goings(ada_and_grace, browsers):
    """Each sees the other go and come, and how many are there."""
    ada, grace = ada_and_grace
    where = grace.script("location.href")
    grace.driver.get("about:blank")
    ada.reads("Grace left.")
    assert (ada.here(), ada.text("#count")) == (["Ada"], "Only you are here.")
    ada.say("You will read this later")
    ada.reads("You will read this later")
    grace = Visit(grace.driver, where, "")
    ada.reads("Grace came.")
    grace.reads("Ada", "You will read this later")
    assert ada.text("#count") == "2 are here."


def test_way_back(ada_and_grace, server):
    """Who looks at another page is not in the room meanwhile, and is there again on coming back."""
    ada, grace = ada_and_grace
    grace.driver.get(server.origin)
    ada.reads("Grace left.")
    grace.driver.back()
    grace.until_it_is("connected")
    ada.reads("Grace came.")
    ada.say("Welcome back")
    grace.reads("Ada", "Welcome back")


def test_same_name(ada_and_grace):
    """Who takes the name of another gets a number to it."""
    ada, grace = ada_and_grace
    grace.write("#name", "ada", Keys.ENTER)
    grace.until(lambda: grace.here() == ["Ada", "ada 2"])
    ada.reads("Grace is called ada 2 now.")


def test_rooms(ada_and_grace):
    """Who goes to another room is not heard in the first any more, until the way back."""
    ada, grace = ada_and_grace
    grace.write("#room", "Küche/2", Keys.ENTER)
    ada.reads("Grace left.")
    grace.until(lambda: grace.text("#room-name") == "Küche/2")
    grace.until(lambda: grace.here() == ["Grace"])
    grace.say("Nobody reads this")
    grace.reads("Nobody reads this")
    grace.driver.back()
    ada.reads("Grace came.")
    ada.say("Welcome back")
    grace.reads("Ada", "Welcome back")
    assert not any("Nobody" in text for each in ada_and_grace for text in each.texts("#log li"))


def test_no_room(visit):
    """Who cannot be let in is told so, and gets in elsewhere."""
    page, _ = visit("/chat/")
    page.write("#room", "\u200b", Keys.ENTER)
    page.until_it_is("not connected")
    assert page.text("#lost").startswith("The server does not let us in. Trying again")
    page.write("#room", "elsewhere", Keys.ENTER)
    page.until_it_is("connected")
    page.until(lambda: page.text("#room-name") == "elsewhere")
    page.faults()  # it tells of each try that failed


def test_too_fast(ada_and_grace):
    """Who talks too fast is told so, and does not lose what was not taken."""
    ada, _ = ada_and_grace
    ada.script("Array.from({ length: 40 }, (_, i) => heard && live.send(JSON.stringify("
               "{ type: 'say', text: `number ${i}` })))")  # fmt: skip
    ada.until(lambda: ada.text("#note").startswith("Not so fast"))
    assert not any("number 39" in text for text in ada.texts("#log li"))


def test_back_after_a_power_failure(server, ada_and_grace):
    """When the server is gone both are told; when it is back, so are they, by themselves."""
    ada, grace = ada_and_grace
    ada.say("Before")
    grace.reads("Before")
    server.kill()
    for each in ada, grace:
        each.until_it_is("not connected")
        assert each.text("#lost").startswith("Connection lost. Trying again")
    ada.say("Too early")
    assert "waits here" in ada.text("#note")
    assert ada.find("#text").get_attribute("value") == "Too early"
    server.start()
    for each in ada, grace:
        each.until_it_is("connected")
        each.reads("You are back as")
        assert not each.find("#lost").is_displayed()
        each.until(lambda page=each: page.here() == ["Ada", "Grace"])
        each.reads("Before")
        each.faults()  # it tells of each try that failed
    ada.find("#text").send_keys(Keys.ENTER)
    grace.reads("Ada", "Too early")


def test_unread(ada_and_grace):
    """Who has scrolled back is not torn away by what is said, but told of it."""
    ada, grace = ada_and_grace
    for page in ada, grace:
        page.resize(375)
    for number in range(9):
        ada.say(f"Line {number} " + "and so on, " * 12)
    grace.reads("Line 8")
    grace.script("document.getElementById('log').scrollTop = 0")
    grace.until(lambda: grace.script("document.getElementById('log').scrollTop") == 0)
    ada.say("New")
    grace.until(lambda: grace.text("#latest").startswith("1 new"))
    grace.click("#latest")
    grace.until(lambda: not grace.find("#latest").is_displayed())


@pytest.mark.parametrize("width", [320, 375, 768, 1024, 1280, 1920])
@pytest.mark.parametrize("path", ["/chat/#a-room-with-a-very-long-name-indeed-it-is", "/echo/"])
def test_widths(visit, path, width):
    """On no screen must a page be moved sideways."""
    for page in visit(path):
        page.resize(width)
        page.until(lambda page=page: page.script("innerWidth") == width)
        assert page.script("document.documentElement.scrollWidth") <= width


def test_echo(visit):
    """What is typed comes back at once, letter by letter, and how fast is shown."""
    for page in visit("/echo/"):
        page.write("#text", "Grüße 🦊 <b>")
        page.until(lambda page=page: page.text("#said") == "Grüße 🦊 <b>")
        assert "there and back in" in page.text("#note")
        assert page.number("#g-messages") >= 11
        assert page.text("#g-last").endswith(" ms")


def test_a_thousand(visit):
    """A thousand at once all come back, in both browsers at the same time."""
    pages = visit("/echo/")
    for page in pages:
        page.click("#many")
    for page in pages:
        page.until(lambda page=page: page.text("#note").endswith(" a second"))
        assert page.find("#many").is_enabled()


def test_hang_up(visit):
    """Who hangs up stays so until they connect again."""
    page, _ = visit("/echo/")
    page.click("#hang-up")
    page.until_it_is("hung up")
    page.write("#text", "there?")
    assert "Not connected" in page.text("#note")
    page.click("#hang-up")
    page.until_it_is("connected")
    page.until(lambda: page.text("#said") == "there?")


def test_keyboard(ada_and_grace):
    """All can be done without a mouse: the focus goes from the name to what one says."""
    ada, _ = ada_and_grace
    ada.rename("Countess")
    assert ada.script("document.activeElement.id") == "text"
    ada.driver.switch_to.active_element.send_keys("By keyboard", Keys.ENTER)
    ada.reads("Countess", "By keyboard")
