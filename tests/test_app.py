"""The App: its routes, mounts, middleware, error handlers, hooks."""

from __future__ import annotations

import asyncio

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from mynet.app import App
from mynet.http.errors import HTTPError
from mynet.http.message import Handler, Request, Response
from mynet.testing import Client, Refused, make_request, result_of
from mynet.websocket import Policy, WebSocket, WebSocketHandler, WebSocketProtocol
from tests.asking import ask, errors_logged, start, text_of


@pytest.fixture
def app():
    return App()


@pytest.fixture
def failures():
    """The errors that were logged."""
    with errors_logged() as errors:
        yield errors


def show(request: Request) -> Response:
    """A handler that tells what it sees."""
    return Response.text(f"{request.root_path} {request.path} {request.path_params}")


# Routes


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_decorator_for_a_method(app, method):
    """There is a decorator for each common method, and it leaves the function as it is."""

    def handler(request, name):
        return f"{request.method} {name}"

    assert getattr(app, method)("/{name}", name="it")(handler) is handler
    assert ask(app, "/Ann", method.upper()).body == f"{method.upper()} Ann".encode()
    assert app.url_for("it", name="Bob") == "/Bob"


def test_route_for_several_methods(app):
    """One handler may answer several methods, of any name."""

    @app.route("/", methods=["GET", "REPORT"])
    async def index(request):
        return request.method

    assert ask(app, "/").body == b"GET"
    assert ask(app, "/", "REPORT").body == b"REPORT"
    assert ask(app, "/", "POST").status == 405


def test_route_without_decorator(app):
    """Routes can be added in a list, from functions of other modules."""
    app.add_route("/", show)
    app.add_route("/{name}", show, ["PUT"], name="it")
    assert ask(app, "/").body == b" / {}"
    assert ask(app, "/Ann", "PUT").body == b" /Ann {'name': 'Ann'}"


def test_mistakes_in_routes(app):
    """A mistake in a route is told when it is added."""
    app.add_route("/", show)
    with pytest.raises(ValueError, match="GET / conflicts with GET /"):
        app.add_route("/", show)
    with pytest.raises(ValueError, match="does not begin with a slash"):
        app.get("hello")(show)
    with pytest.raises(TypeError, match=r"cannot be the handler of '/\{name\}'"):
        app.get("/{name}")(lambda request, nmae: "")
    with pytest.raises(TypeError, match=r"methods of '/' must be a list, such as \['PUT'\]"):
        app.route("/", methods="PUT")(show)
    with pytest.raises(ValueError, match="'/b' is to have a route, but for no method"):
        app.add_route("/b", show, [])
    with pytest.raises(TypeError, match="dict cannot be the handler of '/b': no signature found"):
        app.add_route("/b", dict)
    with pytest.raises(TypeError, match=r"""as in @app.get\("/path"\), not b'/b'"""):
        app.add_route(b"/b", show)
    with pytest.raises(TypeError, match="3 is not a callable object"):
        app.add_route("/b", 3)
    assert ask(app, "/b").status == 404


@pytest.mark.parametrize("method", ["get", "post", "route"])
def test_decorator_without_its_pattern(app, method):
    """A decorator for which somebody forgot the pattern does not swallow the function."""
    with pytest.raises(TypeError, match=r"""a pattern is a str, as in @app.get\("/path"\), not"""):
        getattr(app, method)(show)


def test_query_is_no_part_of_the_path(app):
    """A route is found whatever the query says."""
    app.add_route("/a", show)
    app.add_route("/b/{c}", show)
    assert ask(app, "/a?x=/b").status == 200
    assert ask(app, "/b/1?x=/b").body == b" /b/1 {'c': '1'}"
    assert ask(app, "http://example.test/a?x").status == 200


def test_parameters_of_one_request_are_its_own(app):
    """What a route took from one path is not seen by another request."""
    app.add_route("/", show)
    app.add_route("/{a}", show)
    request = make_request("GET", "/1")
    app(request)
    ask(app, "/2")
    assert request.path_params == {"a": "1"}
    assert ask(app, "/").body == b" / {}"


def test_not_found(app):
    """A path without a route is answered 404."""
    response = ask(app, "/nowhere")
    assert (response.status, response.body) == (404, b"404 Not Found\n")
    assert ask(app, "/nowhere", "OPTIONS").status == 404


def test_path_that_is_not_utf8(app):
    """A path that cannot be decoded is answered 400."""
    assert ask(app, "/%FF").status == 400


def test_method_not_allowed(app):
    """A method that the path has not is answered 405, with those that it has."""
    app.get("/a")(show)
    app.put("/{x}")(show)
    response = ask(app, "/a", "POST")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, PUT")


def test_head(app):
    """HEAD is answered as GET is; what sends the response leaves the body out."""
    app.get("/")(show)
    assert ask(app, "/", "HEAD").body == b" / {}"


def test_options(app):
    """OPTIONS tells the methods of a path."""
    app.get("/a")(show)
    response = ask(app, "/a", "OPTIONS")
    assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert response.body == b""


def test_options_of_the_server(app):
    """OPTIONS * tells all methods there are."""
    assert ask(app, "*", "OPTIONS").headers["Allow"] == "OPTIONS"
    app.get("/a")(show)
    app.put("/{b}")(show)
    app.mount("/c", show)
    response = ask(app, "*", "OPTIONS")
    assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, PUT")


def test_url_for(app):
    """A link is written from a route's name."""
    app.add_route("/{name}/{id:int}", show, name="it")
    assert app.url_for("it", id=1, name="a b") == "/a%20b/1"
    with pytest.raises(LookupError):
        app.url_for("other")
    with pytest.raises(ValueError, match="does not fit"):
        app.url_for("it", id="x", name="a")


# Mounts


@pytest.mark.parametrize(
    ("prefix", "target", "seen"),
    [
        ("/files", "/files/", b"/files / {}"),
        ("/files", "/files/a/b", b"/files /a/b {}"),
        ("/files/", "/files/a", b"/files /a {}"),
        ("/a/b", "/a/b/c", b"/a/b /c {}"),
        ("/", "/a/b", b" /a/b {}"),
        ("", "/a", b" /a {}"),
        ("/", "/", b" / {}"),
        ("/files", "/%66iles/a%2Fb", b"/%66iles /a/b {}"),
        ("/a b", "/a%20b/c", b"/a%20b /c {}"),
    ],
)
def test_mount(app, prefix, target, seen):
    """What is mounted sees the path below its prefix, and what was taken off."""
    app.mount(prefix, show)
    assert ask(app, target).body == seen
    assert ask(app, target, "PURGE").body == seen


@pytest.mark.parametrize("target", ["/file", "/filesystem", "/files%2Fa", "/x/files/a"])
def test_path_outside_of_a_mount(app, target):
    """A prefix ends where its last segment does."""
    app.mount("/files", show)
    assert ask(app, target).status == 404


def test_url_of_a_mounted_request(app):
    """What the client asked for is still known below a mount."""
    app.mount("/a", lambda request: Response.text(f"{request.url} {request.target!r}"))
    assert ask(app, "/a/b?c=d").body == b"http://test/a/b?c=d b'/a/b?c=d'"


def test_app_in_an_app_in_an_app(app):
    """Apps are made of Apps: each finds its routes below its prefix, and its own links."""
    inner, innermost = App(), App()
    app.mount("/a", inner)
    inner.mount("/b", innermost)

    @innermost.get("/{name}", name="it")
    async def tell(request, name):
        return f"{request.root_path} {name} {request.root_path}{innermost.url_for('it', name='x')}"

    assert ask(app, "/a/b/c").body == b"/a/b c /a/b/x"
    assert ask(app, "/a/b/").status == 404
    assert ask(app, "/a/b/c", "POST").headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("target", "location"),
    [("/a", "/a/"), ("/a?b=/c", "/a/?b=/c"), ("/m/a?b", "/m/a/?b"), ("/%61", "/%61/")],
)
def test_prefix_without_its_slash(app, target, location):
    """A prefix without a slash behind it is redirected, so that relative links work."""
    inner = App()
    inner.mount("/a", show)
    app.mount("/m", inner)
    app.mount("/a", show)
    for method in ("GET", "POST"):
        response = ask(app, target, method)
        assert (response.status, response.headers["Location"]) == (307, location)


def test_routes_before_mounts(app):
    """A route goes before a mount where it is more exact, and then for all methods."""
    app.mount("/", lambda request: Response.text("root"))
    app.mount("/api", lambda request: Response.text("api"))
    app.get("/api/health")(lambda request: "health")
    app.get("/api")(lambda request: "about")
    app.get("/{name}/x")(lambda request: "x")
    answers = {
        "/": b"root",
        "/api": b"about",
        "/api/": b"api",
        "/api/x": b"api",
        "/other/x": b"x",
        "/other/y": b"root",
        "/api/health": b"health",
    }
    assert {target: ask(app, target).body for target in answers} == answers
    assert ask(app, "/api/health", "POST").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert ask(app, "/api/health", "OPTIONS").status == 204


def test_mistakes_in_mounts(app):
    """A mistake in a mount is told when it is made."""
    app.mount("/a", show)
    with pytest.raises(ValueError, match="conflicts"):
        app.mount("/a/", show)
    with pytest.raises(ValueError, match=r"prefix '/\{name\}' has parameters"):
        app.mount("/{name}", show)
    with pytest.raises(ValueError, match="does not begin with a slash"):
        app.mount("files", show)
    with pytest.raises(TypeError, match="mounted at '/b' is no handler but of type NoneType"):
        app.mount("/b", None)
    with pytest.raises(TypeError, match="is no handler but a class; name an instance"):
        app.mount("/b", App)
    with pytest.raises(TypeError, match="cannot be called with a request alone"):
        app.mount("/b", lambda: 3)
    with pytest.raises(TypeError, match="a pattern is a str"):
        app.mount(b"/b", show)
    with pytest.raises(ValueError, match="an App cannot be mounted in itself"):
        app.mount("/self", app)
    assert ask(app, "/b/").status == ask(app, "/self/").status == 404


# Middleware


def named(name: str):
    """Middleware that tells that it was there, and what it saw."""

    def middleware(handler):
        async def named(request):
            response = handler(request)
            if not isinstance(response, Response):
                response = await response
            response.headers.add("X-Seen", f"{name} {response.status}")
            return response

        return named

    return middleware


def test_order_of_middleware(app):
    """The first middleware added is the outermost; all see responses, never what made them."""
    app.use(named("outer"))
    app.use(named("inner"))
    app.get("/")(lambda request: "a")
    app.get("/error")(lambda request: 1 / 0)
    app.error_handler(ZeroDivisionError)(lambda request, error: Response(b"", 418))
    for target, status in [("/", 200), ("/nowhere", 404), ("/%FF", 400), ("/error", 418)]:
        response = ask(app, target)
        assert response.headers.getall("X-Seen") == [f"inner {status}", f"outer {status}"]
    assert ask(app, "/", "OPTIONS").headers.getall("X-Seen") == ["inner 204", "outer 204"]


def test_middleware_around_mounts(app):
    """Middleware is around what is mounted too."""
    app.use(named("it"))
    app.mount("/a", show)
    assert ask(app, "/a/").headers["X-Seen"] == "it 200"


def test_middleware_is_composed_once(app):
    """Middleware is put around the handlers once, not for each request."""
    made = []

    def middleware(handler):
        made.append(handler)
        return handler

    app.use(middleware)
    result_of(start(app.start()))
    ask(app, "/")
    ask(app, "/")
    assert len(made) == 1


def test_error_that_nobody_answers_goes_through_middleware(app, failures):
    """An error of a bug is seen by middleware, and comes out to be logged, once."""
    seen = []

    def middleware(handler):
        async def watching(request):
            try:
                return await handler(request)
            except ZeroDivisionError as error:
                seen.append(error)
                raise

        return watching

    app.use(middleware)

    @app.get("/")
    async def index(request):
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        ask(app, "/")
    assert len(seen) == 1
    assert failures == []


def test_error_of_middleware(app):
    """What middleware refuses is answered as a route's error is."""

    def middleware(handler):
        def refusing(request):
            if request.path == "/bug":
                raise ZeroDivisionError
            raise HTTPError(401, headers={"WWW-Authenticate": "Basic"})

        return refusing

    app.use(middleware)
    app.error_handler(401)(lambda request, error: "who?")
    app.error_handler(ZeroDivisionError)(lambda request, error: Response(b"", 418))
    response = ask(app, "/")
    assert (response.status, response.body) == (401, b"who?")
    assert response.headers["WWW-Authenticate"] == "Basic"
    assert ask(app, "/bug").status == 418


def test_late_middleware(app):
    """Middleware that would be around some requests only is refused."""
    app.use(named("early"))
    ask(app, "/")
    with pytest.raises(RuntimeError, match="before the start and the first request"):
        app.use(named("late"))
    other = App()
    result_of(start(other.start()))
    with pytest.raises(RuntimeError):
        other.use(named("late"))


@pytest.mark.parametrize("wrong", [None, lambda: show])
def test_mistakes_in_middleware(app, wrong):
    """What cannot be given a handler is no middleware, and is told so when it is added."""
    with pytest.raises(TypeError, match="cannot be middleware"):
        app.use(wrong)
    assert ask(app, "/").status == 404


def test_middleware_that_forgets_to_return(app):
    """Middleware that returns no handler is told by name, at the start."""

    def forgetful(handler):
        pass

    app.use(forgetful)
    with pytest.raises(TypeError, match="forgetful returned None"):
        result_of(start(app.start()))
    with pytest.raises(TypeError, match="forgetful returned None"):
        ask(app, "/")


# Errors


def test_error_handlers(app):
    """An App's own pages for errors; the decorator leaves the function as it is."""

    def not_found(request, error):
        return f"no {request.path}"

    assert app.error_handler(404)(not_found) is not_found

    @app.error_handler(KeyError)
    async def bad_key(request, error):
        return {"missing": error.args[0]}

    @app.get("/key")
    async def key(request):
        raise KeyError("a")

    response = ask(app, "/nowhere")
    assert (response.status, response.body) == (404, b"no /nowhere")
    response = ask(app, "/key")
    assert (response.status, response.body) == (500, b'{"missing":"a"}')


@pytest.mark.parametrize("wrong", [show, "404", None, [404]])
def test_mistakes_in_error_handlers(app, wrong):
    """An error handler for nothing that can be an error is refused before it is there."""
    with pytest.raises(TypeError, match=r"as in @app.error_handler\(404\), not for"):
        app.error_handler(wrong)
    with pytest.raises(ValueError, match="200 is not the status of an error"):
        app.error_handler(200)


def test_mounted_app_answers_its_own_errors(app):
    """A mounted App answers what it can, and its parent what it cannot."""
    inner = App()
    app.mount("/inner", inner)
    app.error_handler(404)(lambda request, error: "outer")
    app.error_handler(ZeroDivisionError)(lambda request, error: "outer")
    inner.error_handler(404)(lambda request, error: "inner")
    inner.get("/bug")(lambda request: 1 / 0)
    assert ask(app, "/inner/nowhere").body == b"inner"
    assert ask(app, "/inner/bug").body == b"outer"


def test_mounted_handler_raises_an_http_error(app):
    """What is mounted may raise HTTPErrors as a route may."""

    def handler(request):
        raise HTTPError(403)

    app.mount("/", handler)
    assert ask(app, "/a").status == 403


@pytest.mark.parametrize("middleware", [[], [named("it")]])
def test_debug(failures, middleware):
    """With debug an error is logged and shown; it has been to the middleware first."""
    app = App(debug=True)
    for each in middleware:
        app.use(each)

    @app.get("/bug")
    async def bug(request):
        raise ValueError("what went wrong")

    app.get("/fine")(lambda request: "fine")
    response = ask(app, "/bug")
    assert response.status == 500
    assert "what went wrong" in text_of(response)
    assert "X-Seen" not in response.headers
    assert [str(error) for error in failures] == ["what went wrong"]
    assert ask(app, "/nowhere").body == b"404 Not Found\n"
    assert ask(app, "/fine").body == b"fine"


def test_debug_may_be_set_until_the_start(app, failures):
    """Whoever runs an App can turn debug on."""
    app.get("/")(lambda request: 1 / 0)
    app.debug = True
    assert "ZeroDivisionError" in text_of(ask(app, "/"))


def test_without_debug_nothing_is_told(app):
    """Without debug an error comes out, and no page about it."""
    app.get("/")(lambda request: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(app, "/")


def test_cancelled_handler(app):
    """A handler whose client has gone is cancelled, and nobody is asked about that."""
    cancelled = []
    app.error_handler(Exception)(lambda request, error: cancelled.append("asked"))

    @app.get("/")
    async def index(request):
        await Deferred(lambda deferred: cancelled.append("cancelled"))

    waiting = start(app(make_request()))
    waiting.cancel()
    waiting.addErrback(lambda failure: None)
    assert cancelled == ["cancelled"]


# Hooks


class Component:
    """A handler with a life of its own."""

    def __init__(self, name, events, way=lambda value: value):
        self._name = name
        self._events = events
        self._way = way

    def __call__(self, request):
        return Response()

    def start(self):
        self._events.append(f"start {self._name}")
        return self._way(None)

    def stop(self):
        self._events.append(f"stop {self._name}")
        return self._way(None)


async def coroutine_of(value):
    return value


def throw(error):
    raise error


def run_now(coroutine):
    """Run one that never waits, with no Deferred in between."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


@pytest.mark.parametrize("way", [lambda value: value, succeed, coroutine_of])
def test_life(app, way):
    """Hooks and mounts start in order, and stop in reverse, be they sync or async."""
    events: list[str] = []

    def hook(name):
        def call():
            events.append(name)
            return way(None)

        return call

    inner = App()
    inner.on_startup(hook("start inner"))
    inner.on_shutdown(hook("stop inner"))
    component = Component("component", events, way)
    app.mount("/inner", inner)
    app.mount("/component", component)
    app.mount("/component-again", component)
    app.mount("/function", show)
    for name in ("1", "2"):
        app.on_startup(hook(f"start {name}"))
        app.on_shutdown(hook(f"stop {name}"))
    result_of(start(app.start()))
    assert events == ["start 1", "start 2", "start inner", "start component"]
    events.clear()
    result_of(start(app.stop()))
    assert events == ["stop component", "stop inner", "stop 2", "stop 1"]
    events.clear()
    result_of(start(app.stop()))
    assert events == []
    result_of(start(app.start()))
    assert len(events) == 4


def test_hook_is_waited_for(app):
    """A hook starts when the one before it has come to its end."""
    first: Deferred[None] = Deferred()
    events = []
    app.on_startup(lambda: first)
    app.on_startup(lambda: events.append("second"))
    started = start(app.start())
    assert (events, started.called) == ([], False)
    first.callback(None)
    assert (events, started.called) == (["second"], True)


def test_hooks_stay_as_they_are(app):
    """The decorators of hooks leave functions as they are."""

    def hook():
        pass

    assert app.on_startup(hook) is hook
    assert app.on_shutdown(hook) is hook


@pytest.mark.parametrize("wrong", [3, None, lambda app: None])
def test_mistakes_in_hooks(app, wrong):
    """What cannot be called without arguments is no hook, and is told so when it is added."""
    for decorate in (app.on_startup, app.on_shutdown):
        with pytest.raises(TypeError, match="cannot be a hook"):
            decorate(wrong)
    result_of(start(app.start()))
    result_of(start(app.stop()))


def test_start_that_fails(app, failures):
    """A start that fails undoes what had been started, and tells the first error."""
    events: list[str] = []
    failing = Component("failing", events, lambda _: 1 / 0)
    app.on_shutdown(lambda: events.append("stop app"))
    app.on_shutdown(lambda: int("error"))
    app.mount("/a", Component("a", events))
    app.mount("/b", failing)
    app.mount("/c", Component("c", events))
    with pytest.raises(ZeroDivisionError):
        result_of(start(app.start()))
    assert events == ["start a", "start failing", "stop a", "stop app"]
    assert [type(error) for error in failures] == [ValueError]
    events.clear()
    result_of(start(app.stop()))
    assert events == []


def test_stop_that_fails(app, failures):
    """A stop that fails goes on to the end; the first error is told, others are logged."""
    events = []
    app.on_shutdown(lambda: events.append("stopped"))
    app.on_shutdown(lambda: 1 / 0)
    app.on_shutdown(lambda: int("error"))
    result_of(start(app.start()))
    with pytest.raises(ValueError, match="invalid literal"):
        result_of(start(app.stop()))
    assert events == ["stopped"]
    assert [type(error) for error in failures] == [ZeroDivisionError]


def test_start_twice(app):
    """An App that runs is not started again."""
    result_of(start(app.start()))
    with pytest.raises(RuntimeError, match="started already"):
        result_of(start(app.start()))
    result_of(start(app.stop()))
    result_of(start(app.start()))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_start_that_is_broken_off(app, failures, error):
    """Whatever ends a start, what had been started is stopped."""
    events: list[str] = []
    app.on_startup(lambda: throw(error()))
    app.on_shutdown(lambda: events.append("stopped"))
    with pytest.raises(error):
        run_now(app.start())
    assert events == ["stopped"]
    with pytest.raises(error):
        run_now(app.start())


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_stop_that_is_broken_off(app, failures, error):
    """Whatever a shutdown hook raises, the others run; what is no Exception is not held back."""
    events: list[str] = []
    app.on_shutdown(lambda: events.append("stopped"))
    app.on_shutdown(lambda: throw(error()))
    app.on_shutdown(lambda: 1 / 0)
    run_now(app.start())
    with pytest.raises(error):
        run_now(app.stop())
    assert events == ["stopped"]
    assert [type(error) for error in failures] == [ZeroDivisionError]


def test_stop_while_it_starts(app):
    """A stop waits for the startup hook that runs; nothing is started that nobody stops."""
    first: Deferred[None] = Deferred()
    events: list[str] = []
    app.on_startup(lambda: first)
    app.on_startup(lambda: events.append("second hook"))
    app.on_shutdown(lambda: events.append("stop app"))
    app.mount("/", Component("mounted", events))
    started, stopped = start(app.start()), start(app.stop())
    assert (events, stopped.called) == ([], False)
    first.callback(None)
    assert events == ["stop app"]
    with pytest.raises(CancelledError):
        result_of(started)
    result_of(stopped)
    result_of(start(app.start()))
    assert events == ["stop app", "second hook", "start mounted"]


def test_stop_while_a_mount_starts(app):
    """A mount that is being started when the App is stopped is stopped too."""
    slow: Deferred[None] = Deferred()
    events: list[str] = []
    app.mount("/a", Component("a", events, lambda _: slow))
    app.mount("/b", Component("b", events))
    started, stopped = start(app.start()), start(app.stop())
    slow.callback(None)
    assert events == ["start a", "stop a"]
    with pytest.raises(CancelledError):
        result_of(started)
    result_of(stopped)


def test_constructing_has_no_side_effects(app):
    """Until the start nothing runs."""
    events: list[str] = []
    app.on_startup(lambda: events.append("start"))
    app.mount("/", Component("it", events))
    ask(app, "/")
    assert events == []


# WebSockets


def test_websocket(app):
    """A WebSocket has its route, its parameters and its name, and other routes beside it."""

    @app.websocket("/chat/{room}/{number:int}", name="chat")
    async def chat(socket: WebSocket, room: str, number: int) -> None:
        assert socket.request.path_params == {"room": room, "number": number}
        async for message in socket:
            await socket.send(f"{message!r} in {room} {number + 1}")

    @app.post("/chat/{room}/{number:int}")
    def post(request: Request) -> str:
        return "posted"

    @app.websocket("/alone/{name}")
    async def alone(socket: WebSocket) -> None:
        await socket.send(socket.request.path_params["name"])

    client = Client(app)
    peer = result_of(client.websocket("/chat/a%20b/5"))
    peer.send("hello")
    assert peer.take() == ["'hello' in a b 6"]
    assert app.url_for("chat", room="x", number=1) == "/chat/x/1"
    assert result_of(client.post("/chat/a/5")).text == "posted"
    answer = result_of(client.get("/chat/a/5"))
    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
    assert result_of(client.websocket("/alone/me")).take() == ["me"]
    with pytest.raises(Refused, match="404"):
        result_of(client.websocket("/chat/a/b"))


def test_websocket_policy(app):
    """Its policy is given whole, or by what is different in it."""

    @app.websocket("/a", policy=Policy(max_message_size=3), subprotocols=["x"])
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)

    peer = result_of(Client(app).websocket("/a", subprotocols=["x"]))
    assert peer.subprotocol == "x"
    peer.send("abcd")
    assert peer.close_code == 1009


def test_websocket_under_middleware(app):
    """Middleware and error handlers are around a WebSocket as around any route."""

    def only_with_cookies(handler: Handler) -> Handler:
        async def check(request: Request) -> Response:
            if "Cookie" not in request.headers:
                raise HTTPError(401)
            return await handler(request)

        return check

    app.use(only_with_cookies)

    @app.error_handler(HTTPError)
    def explain(request: Request, error: HTTPError) -> str:
        return f"no: {error.detail}"

    @app.websocket("/a")
    async def greet(socket: WebSocket) -> None:
        if socket.request.query.get("leave"):
            raise HTTPError(410, "gone")
        await socket.send("hello")

    outer = App()
    outer.mount("/below", app)
    client = Client(outer)
    with pytest.raises(Refused, match="401"):
        result_of(client.websocket("/below/a"))
    headers = {"Cookie": "a=b"}
    with pytest.raises(Refused, match="<Answer 410 b'no: gone'>"):
        result_of(client.websocket("/below/a?leave=1", headers=headers))
    assert result_of(client.websocket("/below/a", headers=headers)).take() == ["hello"]


def test_websocket_protocols(app):
    """A protocol class is served by an ordinary route."""

    class Greeter(WebSocketProtocol):
        def negotiationStarted(self, transport):
            transport.sendTextMessage("hello")

    app.add_route("/a", WebSocketHandler(lambda request: Greeter()))
    assert result_of(Client(app).websocket("/a")).take() == ["hello"]


def test_mistakes_in_websockets(app):
    """What cannot work is told where it is written."""
    with pytest.raises(TypeError, match="a pattern is a str"):
        app.websocket(lambda socket: None)
    with pytest.raises(TypeError, match="is no coroutine function"):
        app.websocket("/a")(lambda socket: None)
    with pytest.raises(ValueError, match="send_limit must be a number from 0 on, not -1"):

        @app.websocket("/a", send_limit=-1)
        async def limited(socket: WebSocket) -> None: ...

    with pytest.raises(TypeError, match="sendlimit"):

        @app.websocket("/a", sendlimit=1)
        async def mistyped(socket: WebSocket) -> None: ...

    with pytest.raises(TypeError, match="room"):

        @app.websocket("/a/{room}")
        async def without(socket: WebSocket, chat: str) -> None: ...

    with pytest.raises(Refused, match="404"):
        result_of(Client(app).websocket("/a"))
