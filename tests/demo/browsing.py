"""Chromium, and a server process of the demo site for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.child import PACKAGE

T = TypeVar("T")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"
)

SERVER = """
import sys
from twisted.internet import endpoints, reactor
from mynet.demo import demo_site
from mynet.http import HTTPFactory

endpoint = endpoints.serverFromString(reactor, f"tcp:{sys.argv[1]}:interface=127.0.0.1")
listening = endpoint.listen(HTTPFactory(demo_site()))
listening.addCallback(lambda port: print(port.getHost().port, flush=True))
reactor.run()
"""

FLAGS = """
    --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
""".split()

PATIENCE = 30
"""Seconds that anything may take on a slow machine."""


class Server:
    """A process that serves the site."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    @property
    def origin(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, where it did before if it did."""
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVER, str(self._port)],
            env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End it at once, as when the power fails."""
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._process.communicate()


def open_chromium(folder: Path) -> webdriver.Chrome:
    """A new browser, which keeps what it must in this folder."""
    options = webdriver.ChromeOptions()
    assert CHROMIUM
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    return webdriver.Chrome(options, Service(DRIVER))


class Page:
    """A page as its user sees it."""

    def __init__(self, driver: webdriver.Chrome, origin: str, path: str = "/") -> None:
        self.driver = driver
        driver.get(origin + path)

    def find(self, selector: str) -> WebElement:
        """The first element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of an element, as it is seen."""
        return self.find(selector).text

    def texts(self, selector: str) -> list[str]:
        """Those of all such elements, at one moment."""
        code = "return Array.from(document.querySelectorAll(arguments[0]), each => each.innerText)"
        return cast(list[str], self.driver.execute_script(code, selector))

    def number(self, selector: str) -> int:
        """The number that is an element's text."""
        return int(self.text(selector))

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.find(selector).click()

    def write(self, selector: str, *keys: str) -> None:
        """Type something else into a field."""
        self.find(selector).send_keys(Keys.CONTROL, "a")
        self.find(selector).send_keys(*keys)

    def script(self, code: str) -> Any:
        """What an expression is."""
        return self.driver.execute_script(f"return {code}")

    def until(self, condition: Callable[[], T]) -> T:
        """Wait for a condition, and return what it gave."""
        return WebDriverWait(self.driver, PATIENCE).until(lambda _: condition())

    def emulate(self, **features: str) -> None:
        """Be a browser of somebody who prefers that; without arguments, of anybody."""
        names = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": names})

    def resize(self, width: int) -> None:
        """Be a browser on a screen of that width."""
        size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def faults(self) -> list[Any]:
        """What the browser has complained of since this was asked last."""
        return list(self.driver.get_log("browser"))
