"""The daemon serves what others have written, in processes of its own and over sockets."""

from __future__ import annotations

import re

import pytest

from tests.daemon.running import ANYWHERE

FRAMEWORKS = {
    "starlette": """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def index(request):
    return PlainTextResponse(f"Hello from {request.scope['type']}")

app = Starlette(routes=[Route("/", index)])
""",
    "fastapi": """
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()

@app.get("/", response_class=PlainTextResponse)
def index():
    return "Hello from http"
""",
    "django_asgi": """
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def index(request):
    return HttpResponse(f"Hello from {request.scope['type']}")

urlpatterns = [path("", index)]
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])

from django.core.asgi import get_asgi_application
app = get_asgi_application()
""",
    "quart": """
from quart import Quart

app = Quart(__name__)

@app.get("/")
async def index():
    return "Hello from http"
""",
    "litestar": """
from litestar import Litestar, MediaType, get

@get("/", media_type=MediaType.TEXT)
async def index() -> str:
    return "Hello from http"

app = Litestar([index])
""",
    "django_wsgi": """
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def index(request):
    return HttpResponse(f"Hello from {request.environ['wsgi.url_scheme']}")

urlpatterns = [path("", index)]
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])

from django.core.wsgi import get_wsgi_application
app = get_wsgi_application()
""",
    "flask": """
from flask import Flask

app = Flask(__name__)

@app.get("/")
def index():
    return "Hello from http"
""",
    "klein": """
from klein import Klein

app = Klein()

@app.route("/")
def index(request):
    return "Hello from http"
""",
    "twisted_web": """
from twisted.web.resource import Resource
from twisted.web.server import Site

class Index(Resource):
    isLeaf = True
    def render_GET(self, request):
        return b"Hello from http"

app = Site(Index())
""",
    "plain": """
from mynet import Response

def app(request):
    return Response.text(f"Hello from {request.scheme}")
""",
}
"""A module for each, whose name begins with `hosted_`, so that it hides nobody's."""

UNABLE = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(app):
    raise OSError("no database")
    yield

app = Starlette(lifespan=lifespan)
"""

HELLO = """
from mynet import App
app = App()

@app.get("/")
def index(request):
    return "the app"

async def unable(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})

def opaque(*arguments):
    environ, start_response = arguments
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"by WSGI"]
"""


@pytest.fixture
def folder(tmp_path):
    """The current directory of the daemons, with applications, and a folder of files."""
    for name, code in FRAMEWORKS.items():
        (tmp_path / f"hosted_{name}.py").write_text(code)
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "hosted_unable.py").write_text(UNABLE)
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("<p>the index")
    (tmp_path / "public" / "a.txt").write_text("a file")
    return tmp_path


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks(serve, name):
    """An application is served without a word of what it is, and ends well."""
    with serve(f"--app=hosted_{name}:app") as running:
        assert running.get("/") == (200, "Hello from http")
        assert running.get("/none")[0] == (200 if name in ("twisted_web", "plain") else 404)
        running.signal()
        assert running.end() == 0
    assert "Traceback" not in running.log


def test_interface(serve):
    """What cannot be recognised is served as what it is said to be."""
    with serve("--app=hello:opaque", "--interface=wsgi") as running:
        assert running.get("/") == (200, "by WSGI")


def test_files(serve):
    """A folder alone is served at the root, and no demo is."""
    with serve("--static=public") as running:
        assert running.get("/") == (200, "<p>the index")
        assert running.get("/a.txt") == (200, "a file")
        assert running.get("/../hello.py")[0] in (400, 404)
    assert "Serving public on" in running.log


def test_all_at_once(serve):
    """An application, files, and a server behind this one share it; the longest prefix wins."""
    with (
        serve("--static=public") as behind,
        serve(
            "--app=hello:app",
            "--static=/static=public",
            f"--proxy=/static/far=http://127.0.0.1:{behind.port}",
        ) as running,
    ):
        assert running.get("/") == (200, "the app")
        assert running.get("/static/a.txt") == (200, "a file")
        assert running.get("/static/far/a.txt") == (200, "a file")
        assert running.get("/static/far/none")[0] == 404
        assert running.get("/none")[0] == 404
        running.signal()
        assert running.end() == 0
    assert "Traceback" not in running.log


def test_a_server_that_is_not_there(serve):
    """A server behind this one that is down is told as that, and the rest goes on."""
    with serve("--proxy=/p=http://127.0.0.1:1", "--static=public") as running:
        assert running.get("/p/x")[0] == 502
        assert running.get("/a.txt") == (200, "a file")


def test_application_that_cannot_start(launch):
    """What an application says of its failed start is told in one line, and the status tells."""
    with launch(ANYWHERE, "--app=hello:unable") as running:
        assert running.end() == 1
    (line,) = [each for each in running.log.splitlines() if "cannot start" in each]
    assert re.search(r"mynet: cannot start hello:unable: .*no database", line)
    assert "Traceback" not in running.log


def test_framework_that_cannot_start(launch):
    """A traceback that a framework tells instead of a message is one line, with the place."""
    with launch(ANYWHERE, "--app=hosted_unable:app") as running:
        assert running.end() == 1
    (line,) = [each for each in running.log.splitlines() if "cannot start" in each]
    assert line.endswith(
        "cannot start hosted_unable:app: OSError: no database (hosted_unable.py:7)"
    )


def test_no_loop(launch):
    """ASGI on a reactor without asyncio is refused in one line, which says what to do."""
    how = "twistd on Twisted's reactor"
    with launch(ANYWHERE, "--app=hosted_starlette:app", how=how) as running:
        assert running.end() == 1
    assert running.log == (
        "mynet: --app hosted_starlette:app is an ASGI application, which needs a reactor with an "
        "asyncio loop: twistd --reactor=asyncio, or mynet's own (pip install uvloop)\n"
    )


MISTAKES = {
    "--static=none": r"--static none: No such file or directory: .*/none",
    "--proxy=nowhere": r"--proxy nowhere: .+",
    "--app=hello:none": r"--app hello:none: there is no 'none' in hello\.py",
    "--app=hello:app --static=public": r"--app hello:app and --static public are both at / \(.*\)",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes(run, arguments):
    """What cannot be served is told in one line, and the status tells as well."""
    ran = run("-m", "mynet", *arguments.split(" "))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.fullmatch(f"mynet: {MISTAKES[arguments]}\n", ran.stderr)
