"""The options of `twistd mynet`: what they say, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from mynet import __version__
from mynet.daemon import Options
from mynet.daemon.options import parse_mount
from tests.child import run_python


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def test_defaults():
    """Without options the demo site is served, to this machine only, and nothing is logged."""
    options = parse()
    assert options["listen"] == ["tcp:8080:interface=127.0.0.1"]
    assert (options["app"], options["access-log"], options["debug"]) == (None, None, False)
    assert (options["interface"], options["mounts"]) == (None, [])
    assert options["drain"] == 30


def test_all():
    """Each option is taken in."""
    options = parse(
        *("--listen=tcp:80", "--listen", "unix:/run/m.sock", "--app=hello:app"),
        *("--access-log=-", "--debug", "--drain", "2.5", "--interface=wsgi"),
        *("--static", "/static=public", "--proxy=/api=http://127.0.0.1:9000"),
    )
    assert options["listen"] == ["tcp:80", "unix:/run/m.sock"]
    assert (options["app"], options["access-log"]) == ("hello:app", "-")
    assert (options["debug"], options["drain"], options["interface"]) == (True, 2.5, "wsgi")
    assert options["mounts"] == [
        ("static", "/static=public", "/static", "public"),
        ("proxy", "/api=http://127.0.0.1:9000", "/api", "http://127.0.0.1:9000"),
    ]


@pytest.mark.parametrize(
    ("text", "prefix", "target"),
    [
        ("public", "/", "public"),
        ("/srv/www", "/", "/srv/www"),
        ("/=/srv/a=b", "/", "/srv/a=b"),
        ("a=b", "/", "a=b"),
        ("/a/b-c/=www", "/a/b-c", "www"),
        ("/..a=www", "/..a", "www"),
        ("/ä=www", "/ä", "www"),
        ("http://h:1/?a=b", "/", "http://h:1/?a=b"),
    ],
)
def test_prefixes(text, prefix, target):
    """What is before the first = is where it is served, if that is a path; else at the root."""
    assert parse_mount("static", text)[2:] == (prefix, target)


def test_different_places():
    """An app, folders and servers go together, each in its own place."""
    options = parse("--app=hello:app", "--static=/a=b", "--static=/a/b=b", "--proxy=/c=http://d")
    assert [mount.prefix for mount in options["mounts"]] == ["/a", "/a/b", "/c"]


WRONG = {
    "--nonsense": "option --nonsense not recognized",
    "--app": "option --app requires argument",
    "--debug=yes": "option --debug must not have an argument",
    "hello:app": "unexpected argument 'hello:app'",
    "--drain=soon": "--drain is a number of seconds, not 'soon'",
    "--drain=-1": "--drain is a number of seconds, not '-1'",
    "--drain=nan": "--drain is a number of seconds, not 'nan'",
    "--drain=inf": "--drain is a number of seconds, not 'inf'",
    "--interface=cgi": "--interface is one of handler, asgi, wsgi, resource, not 'cgi'",
    "--interface=wsgi": "--interface says what an --app is, and there is none",
    "--static=": "--static '' names nothing to serve",
    "--proxy=/api=": "--proxy '/api=' names nothing to serve",
    "--static=//a=b": "--static //a=b: '//a' is no path to serve it at",
    "--static=/a/../b=c": "--static /a/../b=c: '/a/../b' is no path to serve it at",
    "--static=/.=c": "--static /.=c: '/.' is no path to serve it at",
    "--static=/{a}=c": "--static /{a}=c: '/{a}' is no path to serve it at",
    "--static=/a%20b=c": "--static /a%20b=c: '/a%20b' is no path to serve it at",
    "--app=a:b --static=c": "--app a:b and --static c are both at /",
    "--static=/a=c --proxy=/a/=http://d": "--static /a=c and --proxy /a/=http://d are both at /a",
    "--static=/a=c --static=/a=c": "--static /a=c and --static /a=c are both at /a",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong(arguments):
    """A mistake on the command line is told in one line, which leads on to the help."""
    with pytest.raises(SystemExit) as caught:
        parse(*arguments.split(" "))
    assert caught.value.code == f"mynet: {WRONG[arguments]} (--help tells the options)"


def test_help(capsys):
    """The help tells all options, and shows how they are used, on a terminal of 80 columns."""
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    shown = capsys.readouterr().out
    assert caught.value.code in (None, 0)
    for name in "access-log app debug drain help interface listen proxy static version".split():
        assert f" --{name}" in shown
    assert "twistd -n mynet --app hello:app" in shown
    assert "[default: 30]" in shown
    assert "tcp:8080:interface=127.0.0.1]" in shown
    assert max(map(len, shown.splitlines())) <= 90


def test_version(capsys):
    """The version is that of mynet, with what a bug report needs beside it."""
    with pytest.raises(SystemExit) as caught:
        parse("--version")
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert shown.startswith(f"mynet {__version__} (Twisted ")
    assert "Python 3." in shown


REACTOR = "from mynet.daemon import Options; Options().parseOptions([]);"
NAME = "from twisted.internet import reactor; print(type(reactor).__name__)"


def test_reactor():
    """Who names no reactor gets mynet's own."""
    assert run_python("-c", REACTOR + NAME).stdout == "UVReactor\n"


def test_another_reactor():
    """The reactor that was asked for, as with twistd --reactor, stays."""
    code = "from twisted.internet.selectreactor import install; install();"
    assert run_python("-c", code + REACTOR + NAME).stdout == "SelectReactor\n"


def test_reactor_without_uvloop():
    """Where uvloop is not installed, mynet runs on Twisted's default, and knows why."""
    code = "import sys; sys.modules['uvloop'] = None; from mynet.daemon import Options;"
    code += "o = Options(); o.parseOptions([]); print(o['uv-missing']);" + NAME
    why, name = run_python("-c", code).stdout.splitlines()
    assert why == "the uv reactor needs uvloop (pip install uvloop; not on Windows)"
    assert name != "UVReactor"
