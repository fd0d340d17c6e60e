"""Nothing is opened but what lies in a folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynet.handlers.static import tree
from mynet.handlers.static.names import read_names
from mynet.handlers.static.tree import Tree

NOT_THERE = (FileNotFoundError, NotADirectoryError)


@pytest.fixture(params=[True, False], ids=["walking", "resolving"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what POSIX offers, and without it, as on Windows."""
    monkeypatch.setattr(tree, "CAN_WALK", request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder, with something secret beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a.txt").write_text("secret")
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "a.txt").write_text("secret")
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub" / "b.txt").write_text("b")
    (root / "sub" / "deep" / "c.txt").write_text("c")
    return root


def content(found: Tree, *names: str) -> str:
    """What is in a file."""
    opened = found.open(names)
    assert not opened.is_folder
    with open(opened.descriptor) as file:
        assert os.path.samestat(os.stat(opened.path), opened.status)
        return file.read()


@pytest.mark.usefixtures("ways")
def test_files_and_folders(root):
    """What is in the folder, and in those in it, is opened."""
    found = Tree(str(root))
    assert content(found, "a.txt") == "a"
    assert content(found, "sub", "b.txt") == "b"
    assert content(found, "sub", "deep", "c.txt") == "c"
    for names in ((), ("sub",), ("sub", "deep")):
        opened = found.open(names)
        assert opened.is_folder
        opened.close()


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize(
    "names", [("b.txt",), ("sub", "a.txt"), ("no", "a.txt"), ("a.txt", "b"), ("a.txt", "b", "c")]
)
def test_what_is_not_there(root, names):
    """What is not there is not found, and nothing is in a file."""
    with pytest.raises(NOT_THERE):
        Tree(str(root)).open(names)


@pytest.mark.usefixtures("ways")
def test_a_name_that_is_too_long(root):
    """The system says what it thinks of a name that no file can have."""
    with pytest.raises(OSError, match="name too long"):
        Tree(str(root)).open(["x" * 5000])


@pytest.mark.usefixtures("ways")
def test_the_root_is_a_file(root):
    """A file is opened whatever it is asked for."""
    found = Tree(str(root / "a.txt"))
    assert content(found) == "a"
    assert content(found, "b.txt") == "a"
    assert content(found, "no", "such", "folder") == "a"


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize(
    ("link", "target", "names", "expected"),
    [
        ("link.txt", "a.txt", ("link.txt",), "a"),
        ("link.txt", "sub/../a.txt", ("link.txt",), "a"),
        ("link.txt", "{root}/sub/b.txt", ("link.txt",), "b"),
        ("sub/link.txt", "../a.txt", ("sub", "link.txt"), "a"),
        ("link", "sub", ("link", "b.txt"), "b"),
        ("link", "{root}/sub/deep", ("link", "c.txt"), "c"),
        ("sub/link", "deep", ("sub", "link", "c.txt"), "c"),
        ("link", ".", ("link", "link", "sub", "b.txt"), "b"),
    ],
)
def test_links_inside(root, link, target, names, expected):
    """A symbolic link that stays inside is followed, to files and to folders."""
    (root / link).symlink_to(target.format(root=root))
    assert content(Tree(str(root)), *names) == expected


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize(
    ("link", "target", "names"),
    [
        ("link.txt", "../secret.txt", ("link.txt",)),
        ("link.txt", "{root}/../secret.txt", ("link.txt",)),
        ("sub/link.txt", "../../secret.txt", ("sub", "link.txt")),
        ("link", "../secrets", ("link", "a.txt")),
        ("link", "../secrets", ("link",)),
        ("link", "..", ("link", "secret.txt")),
        ("link", "..", ("link",)),
        ("link", "/", ("link", "etc", "passwd")),
        ("link", "../root-too", ("link", "a.txt")),
        ("sub/link", "/", ("sub", "link", "etc", "passwd")),
    ],
)
def test_links_that_lead_out(root, link, target, names):
    """A symbolic link that leads out is as if it were not there, unless that is allowed."""
    (root / link).symlink_to(target.format(root=root))
    with pytest.raises(NOT_THERE):
        Tree(str(root)).open(names)
    opened = Tree(str(root), follow_symlinks=True).open(names)
    assert os.path.samestat(opened.status, os.stat(root.joinpath(*names)))
    opened.close()


@pytest.mark.usefixtures("ways")
def test_links_of_links(root):
    """It counts where a link ends, not where it leads through."""
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("../three")
    (root.parent / "three").symlink_to("root/sub")
    assert content(Tree(str(root)), "one", "b.txt") == "b"
    (root.parent / "three").unlink()
    (root.parent / "three").symlink_to("secrets")
    with pytest.raises(NOT_THERE):
        Tree(str(root)).open(["one", "a.txt"])


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("follows", [True, False])
def test_links_that_lead_nowhere(root, follows):
    """A link to nothing, or to itself, is an error of the system's."""
    (root / "nothing").symlink_to("no-such-file")
    (root / "itself").symlink_to("itself")
    found = Tree(str(root), follows)
    for name in ("nothing", "itself"):
        with pytest.raises(OSError, match=r"No such file|levels of symbolic links"):
            found.open([name])


@pytest.mark.usefixtures("ways")
def test_the_root_is_a_link(root):
    """A site may be put in place by turning a link round, while it is served."""
    current = root.parent / "current"
    current.symlink_to("root")
    found = Tree(str(current))
    assert content(found, "a.txt") == "a"
    (root / "link").symlink_to("a.txt")
    assert content(found, "link") == "a"
    current.unlink()
    current.symlink_to("root-too")
    assert content(found, "a.txt") == "secret"


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("follows", [True, False])
def test_special_files(root, follows):
    """A pipe, a socket and a device are never opened, which might block, or do something."""
    os.mkfifo(root / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)  # the path of a socket may not be long
    listener.bind("socket")
    os.chdir(here)
    (root / "device").symlink_to("/dev/zero")
    found = Tree(str(root), follows)
    for name in ("pipe", "socket", "device"):
        with pytest.raises(FileNotFoundError):
            found.open([name])
    listener.close()


def test_a_file_that_is_replaced_by_a_link_just_then(root, monkeypatch):
    """Who is quick enough to put a link in the place of what was checked gains nothing."""

    def replace(name: object) -> None:
        if name == "a.txt":
            (root / "a.txt").unlink()
            (root / "a.txt").symlink_to("../secret.txt")

    before_opening(monkeypatch, replace)
    with pytest.raises(FileNotFoundError):
        Tree(str(root)).open(["a.txt"])


def test_a_folder_that_is_replaced_by_a_link_just_then(root, monkeypatch):
    """The same with a folder on the way to it."""

    def replace(name: object) -> None:
        if name == "sub" and not (root / "sub").is_symlink():
            (root / "sub").rename(root.parent / "was-sub")
            (root / "sub").symlink_to("../secrets")

    before_opening(monkeypatch, replace)
    with pytest.raises(NOT_THERE):
        Tree(str(root)).open(["sub", "a.txt"])


def test_a_folder_that_is_replaced_by_a_link_after_it_was_resolved(root, monkeypatch):
    """The same where a link inside led to it."""
    (root / "link").symlink_to("sub")
    (root.parent / "secrets" / "b.txt").write_text("secret")

    def replace(name: object) -> None:
        if name == "sub" and not (root / "sub").is_symlink():
            (root / "sub").rename(root.parent / "was-sub")
            (root / "sub").symlink_to("../secrets")

    before_opening(monkeypatch, replace)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        Tree(str(root)).open(["link", "b.txt"])


def test_a_file_that_is_replaced_by_a_pipe_just_then(root, monkeypatch):
    """What is a pipe by now is not waited for."""

    def replace(name: object) -> None:
        if name == "a.txt":
            (root / "a.txt").unlink()
            os.mkfifo(root / "a.txt")

    before_opening(monkeypatch, replace)
    with pytest.raises(FileNotFoundError):
        Tree(str(root)).open(["a.txt"])


def before_opening(monkeypatch: pytest.MonkeyPatch, call: Callable[[object], None]) -> None:
    """Call this with each name that is about to be opened."""
    original: Callable[..., int] = os.open

    def opening(name: Any, *args: Any, **named: Any) -> int:
        call(name)
        return original(name, *args, **named)

    monkeypatch.setattr(os, "open", opening)


def test_listing_by_descriptor(root):
    """A folder that was opened is listed, whatever is in its place by then."""
    opened = Tree(str(root)).open(["sub"])
    (root / "sub").rename(root / "was-sub")
    folder = opened.reopen()
    assert isinstance(folder, int)
    assert sorted(os.listdir(folder)) == ["b.txt", "deep"]
    os.close(folder)
    opened.close()


def test_listing_by_path(root, monkeypatch):
    """Where systems do not open folders they are listed by their paths."""
    monkeypatch.setattr(tree, "CAN_WALK", False)
    opened = Tree(str(root)).open(["sub"])
    assert opened.reopen() == str(root / "sub")
    opened.close()


PIECES = st.sampled_from(
    ["..", ".", "", "/", "\\", "%2e%2e", "%2f", "%5c", "%00", "root", "secret.txt", "secrets",
     "a.txt", "sub", "b.txt", "out", "inside", "etc", "passwd", "..%2f", "%252e"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.lists(st.one_of(PIECES, st.lists(PIECES).map("/".join))), st.booleans())
def test_nothing_outside_is_ever_opened(root, pieces: Sequence[str], walks: bool):
    """However a path is put together, what is opened lies inside."""
    if not (root / "out").is_symlink():
        (root / "out").symlink_to("..")
        (root / "inside").symlink_to("sub")
    found = read_names(f"/{'/'.join(pieces)}".encode(), dotfiles=True)
    if found is None:
        return
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree, "CAN_WALK", walks)
            opened = Tree(str(root)).open(found.names)
    except OSError:
        return
    real = os.path.realpath(opened.path)
    opened.close()
    assert os.path.samestat(os.stat(real), opened.status)
    assert os.path.commonpath([real, root]) == str(root)
