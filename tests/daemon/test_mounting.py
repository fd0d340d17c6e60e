"""What is served where, when several things are."""

from __future__ import annotations

import sys

import pytest

from mynet import App
from mynet.daemon.errors import CannotStart
from mynet.daemon.mounting import describe, make_handler
from mynet.daemon.options import Options
from mynet.handlers.proxy import ReverseProxy
from mynet.handlers.static import StaticFiles
from mynet.testing import Client, result_of
from tests.child import run_python

APP = """
from mynet import App

class Living(App):
    started = 0
    async def start(self):
        self.started += 1

app = Living()

@app.get("/")
def index(request):
    return "the app"

@app.get("/static/in-the-app")
def shadowed(request):
    return "the app"

@app.get("/staticx")
def other(request):
    return request.root_path + request.path
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current directory, with an application and files."""
    (tmp_path / "mounted_app.py").write_text(APP)
    for name in ("public", "images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"of {name}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mounted_app", None)


def options_of(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def make(*arguments: str):
    return make_handler(options_of(*arguments), False)


def get(handler, target: str):
    return result_of(Client(handler).get(target))


def test_one_thing():
    """One thing alone has nothing in between that would cost time."""
    app = make("--app=mounted_app:app")
    assert app is sys.modules["mounted_app"].app
    assert isinstance(make("--static=public"), StaticFiles)
    assert isinstance(make("--proxy=http://127.0.0.1:9"), ReverseProxy)
    assert isinstance(make(), App)


def test_several():
    """Each answers below its prefix, the longest first; the application answers all else."""
    handler = make("--static=/static=public", "--static=/static/i=images", "--app=mounted_app:app")
    assert get(handler, "/").text == "the app"
    assert get(handler, "/static/a.txt").text == "of public"
    assert get(handler, "/static/i/a.txt").text == "of images"
    assert get(handler, "/static/in-the-app").status == 404
    assert get(handler, "/staticx").text == "/staticx"
    assert get(handler, "/none").status == 404


def test_folder_at_the_root():
    """A folder may have the root, and something else a place in it."""
    handler = make("--static=public", "--static=/i=images")
    assert get(handler, "/a.txt").text == "of public"
    assert get(handler, "/i/a.txt").text == "of images"
    redirected = get(handler, "/i?a=b")
    assert (redirected.status, redirected.headers["Location"]) == (307, "/i/?a=b")


def test_nothing_at_the_root():
    """Where nothing was named for the rest of the paths there is nothing, also no demo."""
    assert get(make("--static=/static=public"), "/").status == 404


def test_life():
    """What is served beside others is started and stopped like what is served alone."""
    handler = make("--static=/static=public", "--app=mounted_app:app")
    assert isinstance(handler, App)

    async def live() -> None:
        await handler.start()
        await handler.stop()

    from twisted.internet.defer import Deferred

    result_of(Deferred.fromCoroutine(live()))
    assert sys.modules["mounted_app"].app.started == 1


@pytest.mark.parametrize("debug", [True, False])
def test_debug(debug):
    """Errors are explained where that was asked for, however many things are served."""
    handler = make("--static=/s=public", "--app=mounted_app:app", *(["--debug"] if debug else []))
    assert isinstance(handler, App)
    assert (handler.debug, sys.modules["mounted_app"].app.debug) == (debug, debug)


@pytest.mark.parametrize(
    ("argument", "imported"),
    [
        ("--app=mounted_app:app", []),
        ("--static=public", ["mynet.handlers.static"]),
        ("--proxy=http://127.0.0.1:9", ["mynet.handlers.proxy"]),
    ],
)
def test_not_imported(folder, argument, imported):
    """A server does not wait for what it does not serve: the demo, WebSockets, other hosts."""
    code = f"""
import sys
from mynet.daemon import Options, service
from mynet.daemon.mounting import make_handler
options = Options()
options.parseOptions([{argument!r}])
make_handler(options, True)
late = ("mynet.demo", "mynet.websocket", "mynet.handlers.", "twisted.web.server")
print([name for name in sys.modules if name.startswith(late) and name.count(".") < 3])
"""
    run = run_python("-c", code, cwd=folder)
    assert (run.stdout, run.stderr) == (f"{imported}\n", "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the demo site"),
        (["--app=a:b"], "a:b"),
        (["--static=/s=public", "--app=a:b", "--proxy=/p=http://h"], "a:b, /s=public, /p=http://h"),
    ],
)
def test_described(arguments, text):
    """The log names all that is served."""
    assert describe(options_of(*arguments)) == text


def test_no_folder(folder):
    """A folder that is none is told by its path."""
    (folder / "file").write_text("")
    for name, reason in {"none": "No such file or directory", "file": "Not a directory"}.items():
        with pytest.raises(CannotStart) as caught:
            make(f"--static=/x={name}")
        assert str(caught.value) == f"--static /x={name}: {reason}: {folder / name}"


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "ftp://h", "http://", "http://h:port"])
def test_no_url(url):
    """A URL that is none is told, with what is wrong."""
    with pytest.raises(CannotStart) as caught:
        make(f"--proxy=/p={url}")
    told = str(caught.value)
    assert told.startswith(f"--proxy /p={url}: ")
    assert len(told) > len(f"--proxy /p={url}: ")
