"""`MODULE:ATTRIBUTE` becomes what it names, or one line that says why it does not.

A bug in the application's module is told by what was raised and where: the innermost line that
is the application's own, not the library's that it called.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType

from mynet.daemon.errors import CannotStart

LIBRARIES = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)

_FRAME = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)

_MARGIN = re.compile(r"^ *[|+] ", re.MULTILINE)
"""What tracebacks of exceptions in a group have on the left."""

MYNET = str(Path(__file__).parents[1]) + os.sep


def load(name: str) -> object:
    """Import an application; its module may be in the current directory.

    Args:
        name: A module's dotted name, a colon, and a name in it, which may be dotted too.

    Raises:
        CannotStart: There is no such thing, or its module cannot be imported; where that
            raised an exception, it is the cause.
    """
    module_name, _, attribute = name.partition(":")
    if not all(module_name.split(".")) or not attribute:
        raise CannotStart(f"--app is MODULE:ATTRIBUTE, such as hello:app, not {name!r}")
    found: object = _import(module_name)
    for part in attribute.split("."):
        found = _attribute(found, part, name)
    return found


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
    except KeyboardInterrupt:
        raise CannotStart(f"interrupted while module {name} was imported") from None
    except SystemExit as error:
        place = where(error, error.__traceback__, name)
        told = f"module {name} ended the process (status {error.code}) ({place})"
        raise CannotStart(told) from error
    except BaseException as error:
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> CannotStart:
    place = where(error, error.__traceback__, name)
    return CannotStart(f"module {name} cannot be imported: {what(error)} ({place})")


def what(error: BaseException) -> str:
    """What was raised, as a traceback has it below the frames; notes come behind that."""
    lines = traceback.format_exception_only(error)
    return next(line for line in lines if not line.startswith(" "))


def where(error: BaseException, raised: TracebackType | None, name: str) -> str:
    """The place in the application's own code that an exception came from: `hello.py:3`.

    Args:
        error: The exception.
        raised: Its traceback.
        name: The application's module; its file is told if none of its lines is known.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}:{error.lineno}"
    frames = traceback.walk_tb(raised)
    own = _own_place([(frame.f_code.co_filename, number) for frame, number in frames])
    if own:
        return own
    file = None
    with suppress(Exception):  # as of a package that is broken itself
        spec = find_spec(name)
        file = spec.origin if spec is not None else None
    return _relative(file or name)


def essence(text: str) -> str:
    """What was raised, and where, if a text is a whole traceback; any other as it is.

    Frameworks pass on tracebacks where ASGI asks for a message. Of a group of exceptions it is
    the last one.
    """
    if "Traceback (most recent call last):" not in text:
        return text
    text = _MARGIN.sub("", text.strip())
    place = _own_place(_FRAME.findall(text))
    lines = text[text.rfind('\n  File "') + 1 :].splitlines()
    raised = next((line for line in lines if not line.startswith(" ")), lines[-1])
    return f"{raised} ({place})" if place else raised


def _own_place(places: Iterable[tuple[str, object]]) -> str:
    """The innermost of these places in files that is the application's own; empty if none is."""
    libraries = ("<frozen ", MYNET, *LIBRARIES)
    own = [f"{_relative(file)}:{line}" for file, line in places if not file.startswith(libraries)]
    return own[-1] if own else ""


def _relative(path: str) -> str:
    return path.removeprefix(os.getcwd() + os.sep)


def _attribute(holder: object, part: str, name: str) -> object:
    try:
        return getattr(holder, part)
    except AttributeError:
        close = get_close_matches(part, dir(holder), n=1)
    except Exception as error:
        place = where(error, error.__traceback__, name.partition(":")[0])
        raise CannotStart(f"--app {name}: {what(error)} ({place})") from error
    hint = f"; did you mean {close[0]}?" if close else ""
    raise CannotStart(f"--app {name}: there is no {part!r} in {_owner(holder)}{hint}")


def _owner(holder: object) -> str:
    if not isinstance(holder, ModuleType):
        return type(holder).__name__
    if holder.__spec__ is not None and holder.__spec__.origin is None:
        return f"folder {holder.__name__}, which has no __init__.py"
    return _relative(getattr(holder, "__file__", None) or holder.__name__)
