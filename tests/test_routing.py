"""Which route a request leads to; above all, that a much simpler program finds the same."""

from __future__ import annotations

from itertools import permutations
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.errors import HTTPError
from mynet.routing import ANY, NoRoute, Router, parameter_names

ID = "12345678-9abc-def0-1234-56789abcdef0"


def router_of(*patterns: str, method: str = "GET") -> Router[str]:
    """A router whose endpoints are their patterns."""
    router: Router[str] = Router()
    for pattern in patterns:
        router.add([method], pattern, pattern)
    return router


def find(router: Router[str], path: str, method: str = "GET"):
    """The endpoint and the parameters; the methods allowed where there is no route."""
    try:
        route, parameters = router.find(method, path.encode("ascii"))
    except NoRoute as outcome:
        return outcome.methods
    return route.endpoint, parameters


# Patterns


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/", "/", {}),
        ("/a/b", "/a/b", {}),
        ("/a/", "/a/", {}),
        ("/a//b", "/a//b", {}),
        ("/hello/{name}", "/hello/Ann", {"name": "Ann"}),
        ("/hello/{name:str}", "/hello/Ann", {"name": "Ann"}),
        ("/{a}/x/{b}", "/1/x/2", {"a": "1", "b": "2"}),
        ("/items/{id:int}", "/items/0042", {"id": 42}),
        ("/items/{id:int}", f"/items/{'9' * 18}", {"id": 10**18 - 1}),
        ("/at/{x:float}", "/at/-1.50", {"x": -1.5}),
        ("/at/{x:float}", "/at/7", {"x": 7.0}),
        ("/users/{id:uuid}", f"/users/{ID.upper()}", {"id": UUID(ID)}),
        ("/photos/{name}.jpg", "/photos/a.b.jpg", {"name": "a.b"}),
        ("/v{n:int}", "/v12", {"n": 12}),
        ("/photo-{n:int}.jpg", "/photo-3.jpg", {"n": 3}),
        ("/v1.{x}", "/v1.2", {"x": "2"}),
        ("/a+{x}(b)", "/a+1(b)", {"x": "1"}),
        ("/files/{rest:path}", "/files/a/b.txt", {"rest": "a/b.txt"}),
        ("/files/{rest:path}", "/files/", {"rest": ""}),
        ("/files/{rest:path}", "/files//a//", {"rest": "/a//"}),
        ("/{rest:path}", "/", {"rest": ""}),
        ("/{user}/{rest:path}", "/ann/a/b", {"user": "ann", "rest": "a/b"}),
    ],
)
def test_pattern_fits(pattern, path, parameters):
    """A path that fits gives its parameters, each of the type that was asked for."""
    assert find(router_of(pattern), path) == (pattern, parameters)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/a"),
        ("/a", "/a/"),
        ("/a/", "/a"),
        ("/a", "/A"),
        ("/a", "*"),
        ("/{rest:path}", "*"),
        ("/hello/{name}", "/hello/"),
        ("/hello/{name}", "/hello"),
        ("/hello/{name}", "/hello/a/b"),
        ("/items/{id:int}", "/items/-1"),
        ("/items/{id:int}", "/items/+1"),
        ("/items/{id:int}", "/items/1_0"),
        ("/items/{id:int}", "/items/%20" + "1"),
        ("/items/{id:int}", "/items/%D9%A3"),  # an Arabic-Indic digit, which int() would take
        ("/items/{id:int}", f"/items/{'1' * 19}"),
        ("/items/{id:int}", "/items/1%0A"),
        ("/at/{x:float}", "/at/nan"),
        ("/at/{x:float}", "/at/1e5"),
        ("/at/{x:float}", "/at/1."),
        ("/users/{id:uuid}", f"/users/{ID.replace('-', '')}"),
        ("/users/{id:uuid}", f"/users/%7B{ID}%7D"),
        ("/photos/{name}.jpg", "/photos/.jpg"),
        ("/photos/{name}.jpg", "/photos/a.png"),
        ("/photos/{name}.jpg", "/photos/a_jpg"),
        ("/v1.{x}", "/v1_2"),
        ("/a+{x}", "/aa1"),
        ("/a+{x}", "/a1"),
        ("/aba{x}aba", "/abaaba"),
        ("/files/{rest:path}", "/files"),
    ],
)
def test_pattern_does_not_fit(pattern, path):
    """A path that only looks alike leads nowhere."""
    assert find(router_of(pattern), path) == frozenset()


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/hello/{name}", "/hello/a%2Fb", {"name": "a/b"}),
        ("/hello/{name}", "/hello/J%C3%BCrgen", {"name": "Jürgen"}),
        ("/hello/{name}", "/hello/100%", {"name": "100%"}),
        ("/hello/{name}", "/hello/%252F", {"name": "%2F"}),
        ("/hello/{name}", "/hello/+", {"name": "+"}),
        ("/hello/{name}", "/hello/%0A", {"name": "\n"}),
        ("/items/{id:int}", "/items/%34%32", {"id": 42}),
        ("/files/{rest:path}", "/files/a%2Fb/c", {"rest": "a/b/c"}),
        ("/grüße/{name}", "/gr%C3%BC%C3%9Fe/Ann", {"name": "Ann"}),
        ("/grüße", "/gr%c3%bc%c3%9fe", {}),
        ("/a b", "/a%20b", {}),
        ("/a", "/%61", {}),
        ("/100%", "/100%", {}),
        ("/100%", "/100%25", {}),
    ],
)
def test_percent_encoding(pattern, path, parameters):
    """Segments are decoded one by one, once, and whatever the client chose to encode."""
    assert find(router_of(pattern), path) == (pattern, parameters)


@pytest.mark.parametrize("pattern", ["/a/b", "/a/{x}", "/a/{rest:path}"])
def test_encoded_slash_separates_nothing(pattern):
    """A slash that the client encoded is data, and opens nothing that lies below a path."""
    assert find(router_of(pattern), "/a%2Fb") == frozenset()


def test_path_that_is_not_utf8():
    """What cannot be decoded is the client's fault."""
    with pytest.raises(HTTPError) as caught:
        find(router_of("/hello/{name}"), "/hello/%FF")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "pattern '' does not begin with a slash"),
        ("hello", "pattern 'hello' does not begin with a slash"),
        ("/{name", "'{name', which is not one {name} or {name:type}"),
        ("/name}", "'name}', which is not"),
        ("/{}", "'{}', which is not"),
        ("/{1st}", "which is not"),
        ("/{a-b}", "which is not"),
        ("/{a:}", "which is not"),
        ("/{a:int:str}", "which is not"),
        ("/{{a}}", "which is not"),
        ("/{a}{b}", "'{a}{b}', which is not"),
        ("/{a/b}", "which is not"),
        ("/{name}\n}", "which is not"),
        ("/{id:integer}", "the unknown type 'integer'; known are uuid, int, float, str, path"),
        ("/{a}/{a}", "two parameters of one name"),
        ("/{rest:path}/b", "more behind, or beside, a path parameter"),
        ("/{rest:path}/", "more behind, or beside, a path parameter"),
        ("/x{rest:path}", "more behind, or beside, a path parameter"),
        ("/{rest:path}.txt", "more behind, or beside, a path parameter"),
        ("/{a:path}/{b:path}", "more behind, or beside, a path parameter"),
        ("/search?q={q}", "not a decoded path"),
        ("/a#b", "not a decoded path"),
        ("/a%20b", "not a decoded path"),
    ],
)
def test_malformed_pattern(pattern, message):
    """A mistake in a pattern is told when it is added, with the pattern, and adds nothing."""
    router: Router[str] = Router()
    with pytest.raises(ValueError, match="pattern") as caught:
        router.add(["GET"], pattern, "")
    assert message in str(caught.value)
    assert repr(pattern) in str(caught.value)
    assert (router.static, router.methods) == ({}, set())


def test_parameter_names():
    """The names of a pattern are known in its order."""
    assert parameter_names("/{b}/x/{a:int}/{rest:path}") == ["b", "a", "rest"]


# Precedence

PRECEDENCE = [
    "/a/x",
    "/a/abc{n:int}",
    "/a/ab{s}",
    "/a/{u:uuid}",
    "/a/{n:int}",
    "/a/{x:float}",
    "/a/{s}",
    "/a/{rest:path}",
    "/{n:int}/x",
    "/{s}/x",
    "/{s}/{rest:path}",
    "/{rest:path}",
]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/a/x", "/a/x"),
        ("/a/abc1", "/a/abc{n:int}"),
        ("/a/abcd", "/a/ab{s}"),
        (f"/a/{ID}", "/a/{u:uuid}"),
        ("/a/1", "/a/{n:int}"),
        ("/a/1.5", "/a/{x:float}"),
        ("/a/y", "/a/{s}"),
        ("/a/", "/a/{rest:path}"),
        ("/a/x/y", "/a/{rest:path}"),
        ("/1/x", "/{n:int}/x"),
        ("/b/x", "/{s}/x"),
        ("/b/y", "/{s}/{rest:path}"),
        ("/b", "/{rest:path}"),
    ],
)
def test_precedence(path, pattern):
    """The more a pattern says of a path the sooner it is taken, in whatever order added."""
    for patterns in (PRECEDENCE, PRECEDENCE[::-1], sorted(PRECEDENCE)):
        found, _ = find(router_of(*patterns), path)
        assert found == pattern


def test_way_back_from_a_dead_end():
    """A pattern that fits is found though a more literal one begins to fit."""
    router = router_of("/a/b/c", "/a/{x}/d", "/{y}/b/e", "/{rest:path}")
    assert find(router, "/a/b/d") == ("/a/{x}/d", {"x": "b"})
    assert find(router, "/a/b/e") == ("/{y}/b/e", {"y": "a"})
    assert find(router, "/a/b/f") == ("/{rest:path}", {"rest": "a/b/f"})


# Methods


def test_method_decides_among_patterns():
    """A less exact pattern answers a method that the more exact one has not."""
    router = router_of("/users/me")
    router.add(["GET", "DELETE"], "/users/{name}", "named")
    assert find(router, "/users/me") == ("/users/me", {})
    assert find(router, "/users/me", "DELETE") == ("named", {"name": "me"})


def test_methods_of_a_path():
    """Where the path is known and the method is not, one learns what it could be."""
    router = router_of("/users/me")
    router.add(["DELETE"], "/users/{name}", "named")
    router.add(["PUT"], "/users/{id:int}", "numbered")
    assert find(router, "/users/me", "POST") == {"GET", "HEAD", "DELETE"}
    assert find(router, "/users/1", "POST") == {"PUT", "DELETE"}
    assert find(router, "/user", "POST") == frozenset()
    assert router.methods == {"GET", "HEAD", "DELETE", "PUT"}


def test_one_pattern_with_other_names():
    """Methods of one pattern may each name its parameters as they like."""
    router = router_of("/users/{id}")
    router.add(["DELETE"], "/users/{name}", "delete")
    assert find(router, "/users/x") == ("/users/{id}", {"id": "x"})
    assert find(router, "/users/x", "DELETE") == ("delete", {"name": "x"})


@pytest.mark.parametrize("order", list(permutations(["GET", "HEAD"])))
def test_head(order):
    """GET answers HEAD, unless that has a route of its own, added before or after."""
    router: Router[str] = Router()
    router.add(order[:1], "/", order[0])
    assert find(router, "/", "HEAD") == (order[0], {})
    router.add(order[1:], "/", order[1])
    assert find(router, "/", "HEAD") == ("HEAD", {})
    assert find(router, "/", "GET") == ("GET", {})


def test_head_conflict():
    """Two routes for HEAD conflict like any."""
    router: Router[str] = Router()
    router.add(["GET", "HEAD"], "/", "both")
    with pytest.raises(ValueError, match="conflicts"):
        router.add(["HEAD"], "/", "again")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/a/{x}", "/a/{y}"),
        ("/a/{x}", "/a/{x:str}"),
        ("/{x:int}/b", "/{y:int}/b"),
        ("/v{x}", "/v{y}"),
        ("/{x:path}", "/{y:path}"),
    ],
)
def test_conflict(first, second):
    """Two routes for the same paths and method are a mistake, told with both patterns."""
    router = router_of(first)
    with pytest.raises(ValueError, match="conflicts") as caught:
        router.add(["POST", "GET"], second, "second")
    assert f"GET {second} conflicts with GET {first}" in str(caught.value)
    assert router.methods == {"GET", "HEAD"}


@pytest.mark.parametrize("method", ["", "get", "GET ", "G/T", "GET\n", "**"])
def test_malformed_method(method):
    """A method is in upper case, as on the wire."""
    with pytest.raises(ValueError, match="is not a method in upper case"):
        router_of("/", method=method)


def test_any_method():
    """What answers every method leaves those to the pattern that are its own."""
    router = router_of("/a")
    router.add([ANY], "/a", "any")
    assert find(router, "/a") == ("/a", {})
    assert find(router, "/a", "POST") == ("any", {})
    assert router.methods == {"GET", "HEAD"}


def test_any_method_behind_a_pattern():
    """A path that has a route does not get other methods from what answers all below."""
    router = router_of("/api/health")
    router.add([ANY], "/api/{rest:path}", "api")
    router.add([ANY], "/{rest:path}", "all")
    assert find(router, "/api/health", "POST") == {"GET", "HEAD"}
    assert find(router, "/api/other", "POST") == ("api", {"rest": "other"})
    assert find(router, "/other", "POST") == ("all", {"rest": "other"})


# The way without a search


def test_static_routes_take_one_look_up():
    """A path without parameters is found as it is written, without a search."""
    router = router_of("/", "/a/b", "/a/{x}")
    assert router.static.keys() == {b"/", b"/a/b"}
    assert router.static[b"/a/b"]["GET"] is router.find("GET", b"/a/b")[0]
    assert router.static[b"/a/b"]["HEAD"] is router.find("HEAD", b"/a/b")[0]


# The way back


@pytest.mark.parametrize(
    ("pattern", "values", "path"),
    [
        ("/", {}, "/"),
        (
            "/grüße an/{name}",
            {"name": "Jürgen/?#%"},
            "/gr%C3%BC%C3%9Fe%20an/J%C3%BCrgen%2F%3F%23%25",
        ),
        ("/v{n:int}.txt", {"n": 3}, "/v3.txt"),
        ("/files/{rest:path}", {"rest": "a b/c"}, "/files/a%20b/c"),
        ("/files/{rest:path}", {"rest": ""}, "/files/"),
        ("/users/{id:uuid}", {"id": UUID(ID)}, f"/users/{ID}"),
    ],
)
def test_url_for(pattern, values, path):
    """A link to a route is written from its name and parameters."""
    router: Router[str] = Router()
    router.add(["GET"], pattern, "endpoint", "it")
    assert router.url_for("it", values) == path


def test_url_for_what_does_not_fit():
    """A link that would lead nowhere is not written."""
    router: Router[str] = Router()
    router.add(["GET"], "/{id:int}/{name}", "endpoint", "it")
    with pytest.raises(LookupError, match="'other'"):
        router.url_for("other", {})
    for values in ({}, {"id": 1}, {"id": 1, "name": "a", "x": 2}):
        with pytest.raises(ValueError, match="takes"):
            router.url_for("it", values)
    for values in ({"id": -1, "name": "a"}, {"id": True, "name": "a"}, {"id": 1, "name": ""}):
        with pytest.raises(ValueError, match="does not fit"):
            router.url_for("it", values)


@pytest.mark.parametrize("rest", [".", "..", "../a", "a/../b", "a/.", "a/./b"])
def test_url_for_what_clients_fold(rest):
    """A link that clients would take for another, shorter one is not written."""
    router: Router[str] = Router()
    router.add(["GET"], "/{rest:path}", "endpoint", "it")
    router.add(["GET"], "/s/{name}", "endpoint", "segment")
    router.add(["GET"], "/s/{name}/t", "endpoint", "inner")
    with pytest.raises(ValueError, match=r"a segment of it is . or .."):
        router.url_for("it", {"rest": rest})
    if "/" not in rest:
        for name in ("segment", "inner"):
            with pytest.raises(ValueError, match=r"clients would fold /s/"):
                router.url_for(name, {"name": rest})
    assert router.url_for("it", {"rest": "...a./.b/..c"}) == "/...a./.b/..c"


def test_name_twice():
    """Two routes of one name are a mistake, told with both patterns; nothing is added."""
    router: Router[str] = Router()
    router.add(["GET"], "/a", "a", "it")
    with pytest.raises(ValueError, match="/b and /a are both named 'it'"):
        router.add(["GET"], "/b", "b", "it")
    assert find(router, "/b") == frozenset()


# Against a simpler program
#
# A pattern is a tuple of segments here: a str, or (before, type, after).

TYPES = ["uuid", "int", "float", "str"]
TEXTS = st.sampled_from(["", "a", "b", "1", "ab", "a1", "-"])
SEGMENTS = st.one_of(TEXTS, st.tuples(TEXTS, st.sampled_from(TYPES), TEXTS))
PATTERNS = st.builds(
    lambda segments, rest: (*segments, *rest),
    st.lists(SEGMENTS, min_size=1, max_size=3),
    st.sampled_from([(), (("", "path", ""),)]),
)
PATH_SEGMENTS = st.one_of(
    st.sampled_from(["", "a", "b", "1", "ab", "a1", "1.5", "-1", "a1b", "11", ID, "a/b", "%", "é"]),
    st.text("ab1.-/é%", max_size=4),
)


def fits(kind: str, text: str) -> bool:
    digits = "0123456789"
    if kind == "str":
        return text != ""
    if kind == "int":
        return 1 <= len(text) <= 18 and all(each in digits for each in text)
    if kind == "float":
        whole, point, fraction = text.removeprefix("-").partition(".")
        return fits("int", whole) and (fits("int", fraction) if point else True)
    parts = [len(part) for part in text.split("-")]
    hexadecimal = all(each in "0123456789abcdefABCDEF-" for each in text)
    return kind == "uuid" and hexadecimal and parts == [8, 4, 4, 4, 12]


def write(pattern) -> str:
    names = iter("uvwxyz")
    return "".join(
        f"/{segment}"
        if isinstance(segment, str)
        else f"/{segment[0]}{{{next(names)}:{segment[1]}}}{segment[2]}"
        for segment in pattern
    )


def rank(pattern):
    """What sorts patterns by precedence."""
    return [
        (0,)
        if isinstance(segment, str)
        else (1, -len(segment[0] + segment[2]), [*TYPES, "path"].index(segment[1]), *segment)
        for segment in pattern
    ]


def values_in(pattern, path: list[str]):
    """The texts of a pattern's parameters, or None if it does not fit."""
    if pattern[-1] == ("", "path", ""):
        if len(path) < len(pattern):
            return None
        head = values_in(pattern[:-1], path[: len(pattern) - 1]) if pattern[:-1] else []
        return None if head is None else [*head, "/".join(path[len(pattern) - 1 :])]
    if len(pattern) != len(path):
        return None
    values = []
    for segment, text in zip(pattern, path, strict=True):
        if isinstance(segment, str):
            if segment != text:
                return None
            continue
        before, kind, after = segment
        if not (text.startswith(before) and text.endswith(after)):
            return None
        value = text[len(before) : len(text) - len(after)]
        if len(text) < len(before) + len(after) or not fits(kind, value):
            return None
        values.append(value)
    return values


def is_not_folded(text: str) -> bool:
    return not {".", ".."} & {*text.split("/")}


def typed(kind: str, text: str):
    return {"uuid": UUID, "int": int, "float": float}.get(kind, str)(text)


@given(
    st.lists(st.tuples(PATTERNS, st.sampled_from(["GET", "PUT"])), max_size=12, unique=True),
    st.lists(PATH_SEGMENTS, min_size=1, max_size=4),
)
def test_finds_what_a_search_through_all_finds(routes, path):
    """The tree finds the same as trying each pattern, in the order of precedence."""
    router: Router[object] = Router()
    for pattern, method in routes:
        router.add([method], write(pattern), (pattern, method))
    raw = "".join(f"/{quote(segment, '')}" for segment in path).encode()
    fitting = [each for each in routes if values_in(each[0], path) is not None]
    if ours := [each for each in fitting if each[1] == "GET"]:
        route, parameters = router.find("GET", raw)
        best = min(ours, key=lambda each: rank(each[0]))
        assert route.endpoint == best
        kinds = [segment[1] for segment in best[0] if not isinstance(segment, str)]
        values = values_in(best[0], path)
        assert list(parameters.values()) == [*map(typed, kinds, values)]
    else:
        with pytest.raises(NoRoute) as caught:
            router.find("GET", raw)
        assert caught.value.methods == {method for _, method in fitting}


@given(st.lists(PATTERNS, max_size=12, unique=True), st.lists(PATH_SEGMENTS, min_size=1), st.data())
def test_order_of_addition_means_nothing(patterns, path, data):
    """Routes may be added from any module, in any order."""
    raw = "".join(f"/{quote(segment, '')}" for segment in path)
    written = [write(pattern) for pattern in patterns]
    shuffled = data.draw(st.permutations(written))
    assert find(router_of(*written), raw) == find(router_of(*shuffled), raw)


@given(PATTERNS, st.data())
def test_links_lead_back(pattern, data):
    """What `url_for` writes leads to its route, with the same values."""
    examples = {
        "uuid": st.uuids(),
        "int": st.integers(0, 10**18 - 1),
        "float": st.decimals(-(10**6), 10**6, places=3).map(float),
        "str": st.text(min_size=1).filter(is_not_folded),
        "path": st.text().filter(is_not_folded),
    }
    kinds = [segment[1] for segment in pattern if not isinstance(segment, str)]
    drawn = [data.draw(examples[kind]) for kind in kinds]
    router: Router[str] = Router()
    router.add(["GET"], write(pattern), "it", "it")
    values = dict(zip("uvwxyz", drawn, strict=False))
    assert find(router, router.url_for("it", values)) == ("it", values)
