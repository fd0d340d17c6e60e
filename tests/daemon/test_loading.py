"""From `--app MODULE:ATTRIBUTE` to what it names, or to one line that says why not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mynet.daemon.errors import CannotStart
from mynet.daemon.loading import essence, load

HELLO = """
class Site:
    def __call__(self, request):
        return request

def handler(request): ...

class holder:
    site = Site()

site = Site()
words = {}
"""

BROKEN = {
    "raises": ("x = 1\nraise RuntimeError('no\\n database')", "RuntimeError: no database", 2),
    "raises_deeper": (
        "import json\ndef read():\n    return json.loads('')\nread()",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        3,
    ),
    "lacks": ("\n\nimport not_there", "ModuleNotFoundError: No module named 'not_there'", 3),
    "lacks_name": (
        "from os import not_there",
        f"ImportError: cannot import name 'not_there' from 'os' ({os.__file__})",
        1,
    ),
    "misspelt": ("x = (\n", "SyntaxError: '(' was never closed", 1),
    "noted": (
        "error = ValueError('no database')\nerror.add_note('Start it.')\nraise error",
        "ValueError: no database",
        3,
    ),
    "peculiar": ("class Odd(BaseException): ...\nraise Odd('x')", "peculiar.Odd: x", 2),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current directory, with modules that are forgotten afterwards."""
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "web.py").write_text("def site(request): ...")
    for name, (code, _, _) in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["hello:handler", "hello:site", "hello:holder.site", "hello:words", "shop.web:site"]
)
def test_found(name):
    """It is found in a module or package here, or deeper inside what is there."""
    module, _, path = name.partition(":")
    found = load(name)
    expected: object = sys.modules[module]
    for part in path.split("."):
        expected = getattr(expected, part)
    assert found is expected


def test_current_directory_comes_first(folder):
    """The application that lies here is served, not one of its name installed elsewhere."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "hello.py").write_text("")
    sys.path.insert(0, str(elsewhere))
    load("hello:handler")
    assert Path(str(sys.modules["hello"].__file__)).parent == folder


def test_path_is_not_filled(folder):
    """To look here is said once, however often an application is loaded."""
    load("hello:handler")
    load("hello:site")
    assert sys.path.count(str(folder)) == 1


WRONG = {
    "hello": "--app is MODULE:ATTRIBUTE, such as hello:app, not 'hello'",
    ":app": "--app is MODULE:ATTRIBUTE, such as hello:app, not ':app'",
    "hello:": "--app is MODULE:ATTRIBUTE, such as hello:app, not 'hello:'",
    "helo:app": "there is no module helo in {here} or on sys.path",
    "shop.wob:site": "there is no module shop.wob in {here} or on sys.path",
    "no.such:app": "there is no module no.such in {here} or on sys.path",
    "hello.py:site": "there is no module hello.py in {here} or on sys.path; for a file hello.py "
    "say hello",
    "hello:zzz": "--app hello:zzz: there is no 'zzz' in hello.py",
    "hello:handlr": "--app hello:handlr: there is no 'handlr' in hello.py; did you mean handler?",
    "hello:site.zzz": "--app hello:site.zzz: there is no 'zzz' in Site",
    "hello:site..zzz": "--app hello:site..zzz: there is no '' in Site",
    "..:x": "--app is MODULE:ATTRIBUTE, such as hello:app, not '..:x'",
    "/srv/hello:x": "there is no module /srv/hello in {here} or on sys.path",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name, folder):
    """A name that is wrong is told apart from one that is missing, and how to mend it."""
    with pytest.raises(CannotStart) as caught:
        load(name)
    assert str(caught.value) == WRONG[name].format(here=folder)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    """A bug in the application is told with the line of its own code that it is in."""
    _, what, line = BROKEN[name]
    with pytest.raises(CannotStart) as caught:
        load(f"{name}:app")
    told = f"module {name} cannot be imported: {what} ({name}.py:{line})"
    assert str(caught.value) == told
    assert isinstance(caught.value.__cause__, BaseException)


ENDS = {
    "raise SystemExit(0)": "module ends ended the process (status 0) (ends.py:1)",
    "import sys\nsys.exit('no')": "module ends ended the process (status no) (ends.py:2)",
    "raise KeyboardInterrupt": "interrupted while module ends was imported",
    "def __getattr__(name):\n    1 / 0": "--app ends:app: ZeroDivisionError: division by zero "
    "(ends.py:2)",
}


@pytest.mark.parametrize("code", ENDS)
def test_ends_the_process(folder, code):
    """A module that would end the process, or fails in odd ways, is a mistake that is told."""
    (folder / "ends.py").write_text(code)
    with pytest.raises(CannotStart) as caught:
        load("ends:app")
    assert str(caught.value) == ENDS[code]


def test_bytes_that_are_no_python(folder):
    """A file that Python cannot even read is told by its own name."""
    (folder / "nul.py").write_bytes(b"x = 1\0")
    with pytest.raises(CannotStart, match=r"^module nul cannot be imported: .*\(nul\.py(:\d+)?\)$"):
        load("nul:app")


def test_folder_that_is_no_package(folder):
    """A folder is taken for a module without anything in it: that is told."""
    (folder / "bare").mkdir()
    with pytest.raises(CannotStart) as caught:
        load("bare:app")
    told = "--app bare:app: there is no 'app' in folder bare, which has no __init__.py"
    assert str(caught.value) == told


PASSED_ON = """
import json
import traceback

def connect():
    json.loads("")

try:
    connect()
except ValueError:
    text = traceback.format_exc()
"""


def test_essence(folder):
    """Of a traceback that a framework passes on as a text, one line tells what was raised where."""
    (folder / "passed.py").write_text(PASSED_ON)
    load("passed:text")
    assert essence(sys.modules["passed"].text) == (
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0) (passed.py:6)"
    )
    assert essence("no database") == "no database"


GROUPED = """
import traceback

def connect():
    raise ValueError("2 mistakes\\nhost\\n  is missing\\nport\\n  is missing")

try:
    try:
        connect()
    except ValueError as error:
        raise ExceptionGroup("of tasks", [OSError(), error])
except ExceptionGroup as error:
    texts = [traceback.format_exc(), "".join(traceback.format_exception(error.exceptions[1]))]
"""


def test_essence_of_many_lines(folder):
    """It is that of the cause too where tasks are grouped, or a message has many lines."""
    (folder / "grouped.py").write_text(GROUPED)
    load("grouped:texts")
    for text in sys.modules["grouped"].texts:
        assert essence(text) == "ValueError: 2 mistakes (grouped.py:5)"


def test_essence_without_own_code():
    """Where none of the application's own lines is known, no place is told."""
    library = (
        f'Traceback (most recent call last):\n  File "{os.__file__}", line 1, in f\nOSError: x'
    )
    assert essence(library) == "OSError: x"
