"""The demo site as people use it: clicked through in Chromium, against a server process."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from urllib.request import urlopen

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from mynet.demo import site
from tests.demo.browsing import PATIENCE, Page, Server, needs_chromium, open_chromium

pytestmark = needs_chromium

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def origin():
    """Where the site is served."""
    with closing(Server()) as server:
        yield server.origin


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = open_chromium(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, origin):
    """The welcome page. When its test is over, the browser has found no fault with it."""
    page = Page(chromium, origin)
    yield page
    faults = page.faults()
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.emulate()
    chromium.delete_network_conditions()
    assert faults == []


def test_greeting(page):
    """A visitor is greeted, and at each letter of another name by that."""
    page.until(lambda: page.text("#hello-said") == "Hello, World!")
    page.find("#name").send_keys(Keys.CONTROL, "a")
    page.find("#name").send_keys("Zoë/<b>🦊")
    page.until(lambda: page.text("#hello-said") == "Hello, Zoë/<b>🦊!")
    assert "%2F" in page.text("#hello-note")
    assert " 200 in " in page.text("#hello-note")


@pytest.mark.parametrize("name", ["", "..", "."])
def test_no_name(page, name):
    """What cannot be sent as a name is not sent, and the visitor is told."""
    page.until(lambda: page.text("#hello-said"))
    page.find("#name").send_keys(Keys.CONTROL, "a")
    page.find("#name").send_keys(name or Keys.DELETE)
    page.until(lambda: "name" in page.text("#hello-note"))
    assert page.text("#hello-said") == ""


def cancelled(page):
    """How many streams the server has cancelled, as the page tells."""
    return int(page.text("#stream-count").split()[-2])


def test_stream(page):
    """A stream is seen word by word, and when it is stopped the server knows."""
    page.until(lambda: " 0 running" in page.text("#stream-count"))
    before = cancelled(page)
    page.click("#stream-start")
    first = page.until(lambda: page.text("#spoken"))
    page.until(lambda: len(page.text("#spoken")) > len(first))
    page.until(lambda: " 1 running" in page.text("#stream-count"))
    page.click("#stream-stop")
    page.until(lambda: page.text("#stream-note").startswith("Stopped: "))
    shown = page.text("#spoken").split()
    assert shown == site.STORY.split()[: len(shown)]
    page.until(lambda: " 0 running" in page.text("#stream-count"))
    assert cancelled(page) == before + 1
    assert page.find("#stream-start").is_enabled()


def test_upload_of_a_file(page, tmp_path):
    """A file is uploaded, and the server's count and digest of it are shown."""
    content = os.urandom(3 * MIB)
    file = tmp_path / "file"
    file.write_bytes(content)
    page.find("#file").send_keys(str(file))
    page.click("#upload-start")
    page.until(lambda: hashlib.sha256(content).hexdigest() in page.text("#upload-note"))
    assert page.text("#received-size") == page.text("#sent-size") == "3.0 MiB"
    assert page.script("document.getElementById('received').value") == len(content)


def test_upload_without_a_file(page):
    """Who has no file at hand sees an upload all the same."""
    page.click("#upload-start")
    zeros = hashlib.sha256(bytes(64 * MIB)).hexdigest()
    page.until(lambda: zeros in page.text("#upload-note"))


def test_upload_is_stopped(page, chromium):
    """Over a slow network the bar grows with what the server has, until the upload is stopped."""
    chromium.set_network_conditions(
        offline=False, latency=0, download_throughput=10 * MIB, upload_throughput=MIB
    )
    page.click("#upload-start")
    received = "document.getElementById('received').value"
    first = page.until(lambda: page.script(received))
    page.until(lambda: page.script(received) > first)
    page.click("#upload-stop")
    page.until(lambda: page.text("#upload-note").startswith("Broken off: the server counted "))
    assert page.script(received) < 64 * MIB
    assert page.find("#upload-start").is_enabled()


def test_figures(page, origin):
    """The figures move with the server, and requests from elsewhere are on the disc."""
    page.until(lambda: page.text("#g-connections").isdigit())
    page.until(lambda: page.text("#g-sent").endswith("B"))
    assert "requests" in page.text("#ledger")
    answered = page.number("#count")
    for _ in range(3):
        urlopen(f"{origin}/hello/elsewhere", timeout=PATIENCE).close()
    page.until(lambda: page.number("#n-others") >= 3)
    assert page.number("#count") >= answered + 3
    assert page.script("document.querySelectorAll('#marks .others').length") >= 3


def test_echo(page):
    """The visitor sees the request as it arrived."""
    Select(page.find("#method")).select_by_visible_text("PUT")
    page.find("#query").clear()
    page.find("#query").send_keys("q=ä b")
    page.click("#f-echo button")
    wire = page.until(lambda: page.text("#wire"))
    assert wire.startswith("PUT /request?q=%C3%A4%20b HTTP/1.1\nhost: 127.0.0.1:")
    assert "\nfrom 127.0.0.1:" in wire


def test_keyboard(page):
    """All can be done without a mouse: Enter sends, and the focus stays where it is of use."""
    page.find("#query").send_keys(Keys.ENTER)
    page.until(lambda: page.text("#wire"))
    page.find("#stream-start").send_keys(Keys.SPACE)
    page.until(lambda: page.script("document.activeElement.id") == "stream-stop")
    page.find("#stream-stop").send_keys(Keys.SPACE)
    page.until(lambda: page.script("document.activeElement.id") == "stream-start")


@pytest.mark.parametrize("width", [320, 375, 768, 1024, 1280, 1920])
def test_widths(page, width):
    """On no screen must the page be moved sideways."""
    page.resize(width)
    page.until(lambda: page.script("innerWidth") == width)
    page.click("#f-echo button")
    page.until(lambda: page.text("#wire"))
    assert page.script("document.documentElement.scrollWidth") <= width


def test_light_and_dark(page):
    """The page is light or dark as its visitor likes it."""
    colors = []
    for scheme in ("light", "dark"):
        page.emulate(prefers_color_scheme=scheme)
        colors.append(page.find("body").value_of_css_property("background-color"))
    assert colors == ["rgba(244, 247, 242, 1)", "rgba(14, 20, 17, 1)"]


def test_reduced_motion(page):
    """For those whom motion disturbs, nothing fades or glides."""
    page.emulate(prefers_reduced_motion="reduce")
    page.until(lambda: page.number("#n-figures") > 1)
    assert page.find("#marks line").value_of_css_property("animation-name") == "none"


def test_server_is_gone(page, chromium):
    """When the server stops answering the page says so, and when it is back too."""
    page.until(lambda: page.number("#n-figures") > 0)
    chromium.set_network_conditions(
        offline=True, latency=0, download_throughput=0, upload_throughput=0
    )
    page.until(lambda: page.text("#state") == "no answer")
    page.find("#name").send_keys("s")
    page.until(lambda: page.text("#hello-note").startswith("No answer"))
    chromium.delete_network_conditions()
    page.until(lambda: page.text("#state") == "serving")
    chromium.get_log("browser")  # it tells of each request that failed


def test_way_back(page, chromium, origin):
    """Who has lost the way finds a page that leads to the examples."""
    lost = Page(chromium, origin, "/nowhere")
    assert "404" in lost.text("p")
    lost.click("a")
    lost.until(lambda: lost.text("h1") == "It turns.")
    assert [entry for entry in chromium.get_log("browser") if "404" not in entry["message"]] == []
