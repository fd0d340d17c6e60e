"""`MODULE:ATTRIBUTE` becomes a handler, or one line that says why it does not.

A bug in the application's module is told by what was raised and where: the innermost line that
is the application's own, not the library's that it called.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import cast

from mynet.daemon.errors import CannotStart
from mynet.http.message import Handler

LIBRARIES = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def load_handler(name: str) -> Handler:
    """Import a handler; its module may be in the current directory.

    Args:
        name: A module's dotted name, a colon, and a name in it, which may be dotted too.

    Raises:
        CannotStart: There is no such thing, or it is not a handler, or its module
            cannot be imported; where that raised an exception, it is the cause.
    """
    module_name, _, attribute = name.partition(":")
    if not all(module_name.split(".")) or not attribute:
        raise CannotStart(f"--app is MODULE:ATTRIBUTE, such as hello:app, not {name!r}")
    found: object = _import(module_name)
    for part in attribute.split("."):
        found = _attribute(found, part, name)
    return _checked(found, name)


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if sys.path[:1] not in ([""], [here]):
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            hint = f"; for a file {name} say {name[:-3]}" if name.endswith(".py") else ""
            raise CannotStart(f"there is no module {name} in {here} or on sys.path{hint}") from None
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> CannotStart:
    what = traceback.format_exception_only(error)[-1]
    return CannotStart(f"module {name} cannot be imported: {what} ({where(error)})")


def where(error: BaseException) -> str:
    """The place in the application's own code that an exception came from: `hello.py:3`."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}:{error.lineno}"
    lines = [
        (frame.f_code.co_filename, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
    real = [line for line in lines if not line[0].startswith("<frozen importlib")]
    own = [line for line in real if not line[0].startswith(LIBRARIES) and line[0] != __file__]
    file, number = (own or real)[-1]
    return f"{_relative(file)}:{number}"


def _relative(path: str) -> str:
    return path.removeprefix(os.getcwd() + os.sep)


def _attribute(holder: object, part: str, name: str) -> object:
    try:
        return getattr(holder, part)
    except AttributeError:
        close = get_close_matches(part, dir(holder), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    file = getattr(holder, "__file__", None)
    owner = _relative(file) if file else type(holder).__name__
    raise CannotStart(f"--app {name}: there is no {part!r} in {owner}{hint}")


def _checked(found: object, name: str) -> Handler:
    if not callable(found):
        raise CannotStart(f"--app {name} is no handler but of type {type(found).__name__}")
    if isinstance(found, type):
        raise CannotStart(f"--app {name} is no handler but a class; name an instance of it")
    if not _takes_one(found):
        raise CannotStart(f"--app {name} is no handler: it cannot be called with a request alone")
    return cast(Handler, found)


def _takes_one(found: Callable[..., object]) -> bool:
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        return False
    except ValueError:  # written in C, it does not tell
        return True
    return True
