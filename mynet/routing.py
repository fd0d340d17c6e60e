"""Which route a request's method and path lead to. Sans I/O.

A pattern is a path, written decoded, whose segments may hold one parameter each:

    /hello/{name}          a whole segment, not empty, as a str
    /items/{id:int}        1 to 18 digits, as an int
    /at/{x:float}          as many, perhaps with a sign and a fraction, as a float
    /users/{id:uuid}       as a uuid.UUID
    /photos/{name}.jpg     text may stand before and after a parameter
    /files/{rest:path}     all that follows, slashes and all; it may be empty; last only

A path is split at its slashes before anything in it is decoded: `/hello/a%2Fb`
has two segments, and its name is `a/b`. A slash at the end counts. Dots mean
nothing here: a parameter may well be `..`, or hold `../`; but no URL is written so.

Where several patterns fit a path, the order in which they were added means
nothing. Segment by segment from the left, literal text goes before text with a
parameter (more text first), that before uuid, int and float, then str, then path.
The first of them that has the method answers; if none has, the path has no such
method (405).

A path that is a pattern, letter for letter, is found by one look-up in a dict;
others by walking a tree of segments, level by level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import UUID

from mynet.http.decoding import decode_path

__all__ = ["ANY", "NoRoute", "Route", "Router", "parameter_names"]

E = TypeVar("E")

ANY = "*"
"""Stands for the methods that a pattern has not, on paths that no pattern before it fits."""

_METHOD = re.compile(r"[A-Z][A-Z-]*|\*")
_SEGMENT = re.compile(r"([^{}]*)\{([A-Za-z_]\w*)(?::(\w+))?\}([^{}]*)", re.ASCII)
_DOTS = re.compile(r"/\.\.?(/|\Z)")
_NOT_DECODED = re.compile(r"[?#]|%[0-9A-Fa-f]{2}")


class _Type(NamedTuple):
    syntax: str
    convert: Callable[[str], Any]


# In the order of precedence. The digits are as many as surely fit into 64 bits.
_TYPES = {
    "uuid": _Type("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", UUID),
    "int": _Type("[0-9]{1,18}", int),
    "float": _Type(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", float),
    "str": _Type("(?s:.+)", str),
    "path": _Type("(?s:.*)", str),
}
_RANKS = {name: rank for rank, name in enumerate(_TYPES)}
_Shape = tuple[int, int, str, str]


class NoRoute(LookupError):  # noqa: N818  (an outcome, not always an error)
    """No route has this path and method."""

    def __init__(self, methods: Iterable[str] = ()) -> None:
        super().__init__()
        self.methods = frozenset(methods)
        """Those that the path has; none where no pattern fits it."""


class _Parameter:
    """A segment that holds a parameter."""

    def __init__(self, before: str, name: str, type_name: str, after: str) -> None:
        syntax, self._convert = _TYPES[type_name]
        self._value = re.compile(syntax)
        self._segment = re.compile(f"{re.escape(before)}({syntax}){re.escape(after)}")
        self._plain = type_name == "str" and not before + after
        self.before = before
        self.name = name
        self.type_name = type_name
        self.after = after
        self.shape = (-len(before + after), _RANKS[type_name], before, after)
        """The same where the same segments fit; sorts by precedence."""

    @property
    def fits(self) -> Callable[[str], object]:
        """What tells whether it fits a segment."""
        return bool if self._plain else self._segment.fullmatch  # bool is the faster by far

    def value_at(self, index: int) -> Callable[[list[str]], Any]:
        """What takes the value from the segments of a path that fits, its own at `index`."""
        if self.type_name == "path":
            return lambda segments: "/".join(segments[index:])
        if self._plain:
            return itemgetter(index)
        end = -len(self.after) or None
        return lambda segments: self._convert(segments[index][len(self.before) : end])

    def write(self, value: object) -> str:
        """The segment with this value, percent-encoded."""
        text = str(value)
        if not self._value.fullmatch(text):
            raise ValueError(f"{value!r} does not fit {{{self.name}:{self.type_name}}}")
        safe = "/" if self.type_name == "path" else ""
        return quote(self.before, "") + quote(text, safe) + quote(self.after, "")


class _Pattern:
    """A pattern taken apart; ValueError if it is malformed."""

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise ValueError(f"pattern {text!r} does not begin with a slash")
        self.text = text
        self.segments = [self._parse(segment) for segment in text[1:].split("/")]
        self.parameters = {
            each.name: (index, each)
            for index, each in enumerate(self.segments)
            if isinstance(each, _Parameter)
        }
        if text.count("{") > len(self.parameters):
            raise ValueError(f"pattern {text!r} has two parameters of one name")
        for index, each in self.parameters.values():
            if each.type_name == "path" and (each.shape[0] or index + 1 < len(self.segments)):
                raise ValueError(f"pattern {text!r} has more behind, or beside, a path parameter")

    def _parse(self, segment: str) -> str | _Parameter:
        if _NOT_DECODED.search(segment):
            raise ValueError(f"pattern {self.text!r} is not a decoded path: it has ?, # or %XX")
        if "{" not in segment and "}" not in segment:
            return segment
        match = _SEGMENT.fullmatch(segment)
        if not match:
            raise ValueError(
                f"pattern {self.text!r} has {segment!r}, which is not one {{name}} or"
                " {name:type} with, perhaps, text around it"
            )
        before, name, type_name, after = match.groups("str")
        if type_name not in _TYPES:
            message = f"pattern {self.text!r} has the unknown type {type_name!r}"
            raise ValueError(f"{message}; known are {', '.join(_TYPES)}")
        return _Parameter(before, name, type_name, after)

    def url(self, values: Mapping[str, object]) -> str:
        """The path with these values, percent-encoded."""
        if values.keys() != self.parameters.keys():
            raise ValueError(f"{self.text} takes {[*self.parameters]}, not {[*values]}")
        written = [
            quote(each, "") if isinstance(each, str) else each.write(values[each.name])
            for each in self.segments
        ]
        path = "/" + "/".join(written)
        if _DOTS.search(path):
            raise ValueError(f"clients would fold {path}: a segment of it is . or ..")
        return path


def parameter_names(pattern: str) -> list[str]:
    """The names of a pattern's parameters, in order; ValueError if it is malformed."""
    return list(_Pattern(pattern).parameters)


class Route(Generic[E]):
    """Where one method of one pattern leads."""

    __slots__ = ("_values", "endpoint", "method", "pattern")

    def __init__(self, method: str, pattern: _Pattern, endpoint: E) -> None:
        self.method = method
        self.pattern = pattern.text
        self.endpoint = endpoint
        self._values = [
            (name, parameter.value_at(index))
            for name, (index, parameter) in pattern.parameters.items()
        ]

    def __repr__(self) -> str:
        return f"{self.method} {self.pattern}"

    def parameters(self, segments: list[str]) -> dict[str, Any]:
        """What it takes from a path that it fits."""
        values = {}
        for name, value in self._values:
            values[name] = value(segments)
        return values

    def check(self, existing: Route[E] | None) -> None:
        """Raises ValueError if it may not be added beside, or in place of, this one."""
        if not _METHOD.fullmatch(self.method):
            raise ValueError(f"{self.method!r} is not a method in upper case")
        if existing is not None and existing.method == self.method:
            raise ValueError(f"{self} conflicts with {existing}: they fit the same paths")


class _Node(Generic[E]):
    """A point in the tree, and what may follow there."""

    __slots__ = ("_shapes", "literals", "parameters", "routes")

    def __init__(self) -> None:
        self.routes: dict[str, Route[E]] = {}
        """By method, of the patterns that end here."""
        self.literals: dict[str, _Node[E]] = {}
        self.parameters: list[tuple[Callable[[str], object], _Node[E]]] = []
        """What tells whether a segment fits, and the node behind it, in order of precedence."""
        self._shapes: dict[_Shape, tuple[Callable[[str], object], _Node[E]]] = {}

    def child(self, segment: str | _Parameter) -> _Node[E]:
        """The node behind a segment of a pattern."""
        if isinstance(segment, str):
            return self.literals.setdefault(segment, _Node())
        if segment.shape not in self._shapes:
            node: _Node[E] = _Node()
            if segment.type_name == "path":
                node.parameters.append((segment.fits, node))  # however long the path is
            self._shapes[segment.shape] = (segment.fits, node)
            self.parameters = [self._shapes[shape] for shape in sorted(self._shapes)]
        return self._shapes[segment.shape][1]


class Router(Generic[E]):
    """Routes, and the way to them."""

    def __init__(self) -> None:
        self.static: dict[bytes, dict[str, Route[E]]] = {}
        """By raw path, then by method: where this has a route, it is what `find` would find."""
        self.methods: set[str] = set()
        """All that some route has."""
        self._root: _Node[E] = _Node()
        self._names: dict[str, _Pattern] = {}

    def add(
        self, methods: Iterable[str], pattern: str, endpoint: E, name: str | None = None
    ) -> None:
        """Add a route for these methods of a pattern.

        One for GET also answers HEAD, unless that is added too.

        Args:
            methods: In upper case; or `ANY`.
            name: For `url_for`.

        Raises:
            ValueError: The pattern is malformed, or another with one of the methods fits
                the same paths; or a method is malformed, or there is none, or the name
                is taken. Then nothing was added.
        """
        parsed = _Pattern(pattern)
        routes = {method: Route(method, parsed, endpoint) for method in methods}
        if not routes:
            raise ValueError(f"{pattern!r} is to have a route, but for no method")
        node = self._root
        for segment in parsed.segments:
            node = node.child(segment)
        for method, route in routes.items():
            route.check(node.routes.get(method))
        if name is not None and self._names.setdefault(name, parsed) is not parsed:
            raise ValueError(f"{pattern} and {self._names[name].text} are both named {name!r}")
        node.routes.update(routes)
        if "GET" in node.routes:
            node.routes.setdefault("HEAD", node.routes["GET"])
        if not parsed.parameters:
            self.static[pattern.encode()] = node.routes
        self.methods.update(node.routes.keys() - {ANY})

    def find(self, method: str, raw_path: bytes) -> tuple[Route[E], dict[str, Any]]:
        """The route of a request, and the values of its pattern's parameters.

        Raises:
            NoRoute: There is none.
            HTTPError: 400, where what the path encodes is not UTF-8.
        """
        path = raw_path.decode("ascii")
        if path[:1] != "/":
            raise NoRoute
        segments = path[1:].split("/")
        if "%" in path:
            segments = [decode_path(segment.encode()) for segment in segments]
        passed: set[str] = set()
        for node in self._ends(segments):
            route = node.routes.get(method) or (None if passed else node.routes.get(ANY))
            if route is not None:
                return route, route.parameters(segments)
            passed.update(node.routes)
        raise NoRoute(passed - {ANY})

    def _ends(self, segments: list[str]) -> list[_Node[E]]:
        """The nodes that a path leads to, in order of precedence."""
        nodes = [self._root]
        for segment in segments:
            ahead = []
            for node in nodes:
                literal = node.literals.get(segment)
                if literal is not None:
                    ahead.append(literal)
                for fits, child in node.parameters:
                    if fits(segment):
                        ahead.append(child)
            nodes = ahead
        return nodes

    def url_for(self, name: str, values: Mapping[str, object]) -> str:
        """The path, percent-encoded, of the pattern with this name.

        Raises:
            LookupError: There is none.
            ValueError: A value is missing, too many, or does not fit; or a segment would
                be `.` or `..`, which clients fold.
        """
        if name not in self._names:
            raise LookupError(f"no route is named {name!r}")
        return self._names[name].url(values)
