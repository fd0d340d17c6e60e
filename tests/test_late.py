"""What makes a program start sooner: not to import what it does not use."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from mynet.late import import_late
from tests.child import run_python


def test_found_when_asked_for(monkeypatch):
    """A name is looked for in its module once; what is not there is missed as anywhere."""
    package = ModuleType("package")
    monkeypatch.setitem(sys.modules, "package", package)
    find = import_late("package", {"OrderedDict": "collections"})
    assert "OrderedDict" not in vars(package)
    assert find("OrderedDict") is sys.modules["collections"].OrderedDict
    assert "OrderedDict" in vars(package)
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'other'"):
        find("other")


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import mynet, mynet.http; mynet.App()", "mynet.websocket"),
        ("import mynet.websocket", "mynet.websocket.client"),
        ("import mynet.http", "mynet.http.client_errors"),
    ],
)
def test_not_imported(code, module):
    """A server does not wait for WebSockets if it has none, nor for clients."""
    run = run_python("-c", f"import sys; {code}; print({module!r} in sys.modules)")
    assert (run.stdout, run.stderr) == ("False\n", "")
