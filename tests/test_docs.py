"""Every block of code in the README and the docs does what a reader would do with it.

A Python block runs by itself, in a process and a folder of its own (tests/running_docs.py);
below the line `<!-- continued -->` it runs behind the block before it, of which it may take the
place of a function: `<!-- continued without create -->`. One whose first line is `# name.py` is
that file: the blocks after it can import it, and if the name is `test_*.py`, pytest runs it. Of a
shell block each command is looked at: its program is one of those below, and mynet knows the
options it is given. Text is not looked at.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.child import PACKAGE, run_python

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]

RUNNER = ["-P", str(Path(__file__).with_name("running_docs.py"))]

FENCE = re.compile(
    r"^(?:<!-- (continued(?: without (\w+))?) -->\n+)?```([^\n]*)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


class Block(NamedTuple):
    """Some code on a page."""

    page: Path
    line: int
    kind: str
    code: str
    file: str
    """Its name as a file."""


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    before = ""
    for match in FENCE.finditer(text):
        continued, without, kind, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if kind == "python":
            if without:
                before = without_function(before, without)
            code = before + code if continued else code
            before = code
        named = FILE_NAME.match(code)
        yield Block(page, line, kind, code, named[1] if named else "block.py")


def without_function(code: str, name: str) -> str:
    """Code from which a function has been taken out."""
    (found,) = (each for each in ast.parse(code).body if getattr(each, "name", "") == name)
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
    first = min(part.lineno for part in (found, *found.decorator_list))
    lines = code.splitlines(keepends=True)
    return "".join(lines[: first - 1] + lines[found.end_lineno :])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def run_block(block: Block, folder: Path) -> None:
    """Run a block of Python where the files that its page told before are."""
    write_files(block, folder)
    if block.file.startswith("test_"):
        arguments = ["-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", block.file]
    else:
        arguments = [*RUNNER, block.file]
    run = run_python(*arguments, cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr


def write_files(block: Block, folder: Path) -> None:
    """Write a page's files of Python, up to a block and with it, into a folder."""
    for other in blocks_of(block.page):
        if other.kind == "python" and other.line <= block.line:
            (folder / other.file).write_text(other.code, encoding="utf-8")


def run_commands(block: Block, folder: Path) -> None:
    """Look at each command of a shell block."""
    write_files(block, folder)
    for command in commands_of(block):
        words = shlex.split(command)
        program = Path(words[0]).name
        assert program in PROGRAMS, f"{command}: is {program} a program that a reader has?"
        PROGRAMS[program](words[1:], folder)


def commands_of(block: Block) -> Iterator[str]:
    lines = block.code.replace("\\\n", " ").splitlines()
    if block.kind == "console":  # commands behind `$ `, and between them what they print
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        yield from (part for part in re.split(r" && | \| |; |#.*", line) if part.strip())


def check_twistd(words: list[str], folder: Path) -> None:
    """Twistd knows its own options, and mynet, or another, those behind its name."""
    if "mynet" not in words:
        check_options("twisted.scripts.twistd", "ServerOptions", words, folder)
        return
    place = words.index("mynet")
    code = "from twisted.scripts.twistd import ServerOptions as O; O().parseOptions()"
    run = run_python("-c", code, *words[:place], "--help", cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    check_mynet(words[place + 1 :], folder)


def check_trial(words: list[str], folder: Path) -> None:
    """Trial knows its options."""
    check_options("twisted.scripts.trial", "Options", words, folder)


def check_options(module: str, options: str, words: list[str], folder: Path) -> None:
    """These options, which may name a reactor, are taken."""
    plugins = folder / "twisted" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "twisted_plugins" / "mynet_plugin.py", plugins)
    path = os.pathsep.join([str(PACKAGE.parent), str(folder)])
    code = f"from {module} import {options} as O; O().parseOptions()"
    run = run_python("-c", code, *words, cwd=folder, PYTHONPATH=path)
    assert run.returncode == 0, run.stdout + run.stderr


def check_mynet(options: list[str], folder: Path) -> None:
    """With --help first, options are looked at and not followed; an app named is there."""
    run = run_python("-m", "mynet", "--help", *options, cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    for option, value in pairwise(options):
        if option == "--app":
            module, _, name = value.partition(":")
            run = run_python("-c", f"from {module} import {name}", cwd=folder)
            assert run.returncode == 0, run.stderr


def check_python(words: list[str], folder: Path) -> None:
    """A program of the page, or one of the modules that a reader has."""
    if words[0] != "-m":
        assert (folder / words[0]).exists() or (ROOT / words[0]).exists(), words
    elif words[1] == "mynet":
        check_mynet(words[2:], folder)
    elif words[1].startswith("tests."):
        assert ROOT.joinpath(*words[1].split(".")).with_suffix(".py").exists(), words
    else:
        assert words[1] in {"venv", "pip", "pytest"}, words


def check_pip(words: list[str], folder: Path) -> None:
    """The extras that are asked for exist."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for extra in re.findall(r"(?:\.|mynet)\[(\w+)\]", " ".join(words)):
        assert extra in setup["options.extras_require"]


def check_bash(words: list[str], folder: Path) -> None:
    """The script is there."""
    assert (ROOT / words[0]).exists(), words


def passes(words: list[str], folder: Path) -> None:
    """A program of others, whose arguments are taken as they are."""


PROGRAMS: dict[str, Callable[[list[str], Path], None]] = {
    "bash": check_bash,
    "cd": passes,
    "curl": passes,
    "git": passes,
    "mypy": passes,
    "pip": check_pip,
    "pytest": passes,
    "python": check_python,
    "python3": check_python,
    "ruff": passes,
    "trial": check_trial,
    "twistd": check_twistd,
}

KINDS: dict[str, Callable[[Block, Path], object]] = {
    "python": run_block,
    "sh": run_commands,
    "console": run_commands,
    "toml": lambda block, _: tomllib.loads(block.code),
    "json": lambda block, _: json.loads(block.code),
    "text": lambda block, _: None,
}


@pytest.mark.parametrize(
    "block", BLOCKS, ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}"
)
def test_block(block, tmp_path):
    """What a reader copies from the documentation works."""
    assert block.kind in KINDS, f"a block of {block.kind or 'no kind'}: how is it tested?"
    KINDS[block.kind](block, tmp_path)


def test_examples(tmp_path):
    """Each example starts, and stops again."""
    for example in (ROOT / "examples").glob("*.py"):
        run = run_python(*RUNNER, str(example), cwd=tmp_path)
        assert run.returncode == 0, f"{example.name}: {run.stdout}{run.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    """A link to another file of the project leads there."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("from twisted.internet.defer import fail\nfail(ValueError('lost'))", "lost"),
        ("import sys\nsys.exit('no')", "no"),
        ("# test_it.py\ndef test_it(): assert 1 == 2", "assert 1 == 2"),
    ],
)
def test_wrong_block(code, complaint, tmp_path):
    """A block that does not work is found out."""
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{code}\n```\n")
    (block,) = blocks_of(page)
    with pytest.raises(AssertionError, match=complaint):
        run_block(block, tmp_path)


def test_serving_block(tmp_path):
    """A block that serves for ever is started, and that is enough."""
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n"
        "from twisted.internet import reactor\n"
        "from twisted.internet.protocol import Factory\n"
        "reactor.listenTCP(1, Factory())\n"
        "reactor.run()\n"
        "```\n"
        "<!-- continued -->\n"
        "```python\n"
        "assert not reactor.running\n"
        "```\n"
    )
    for block in blocks_of(page):
        run_block(block, tmp_path)


def test_without():
    """What a block takes the place of is gone, and nothing else."""
    code = "x = 1\n\n@str\n@repr\nasync def f():\n    return 1\n\ndef g(): ...\n"
    assert without_function(code, "f") == "x = 1\n\n\ndef g(): ...\n"
    assert without_function(code, "g") == code.removesuffix("def g(): ...\n")


@pytest.mark.parametrize(
    "command", ["rm -rf build", "pip install '.[tset]'", "bash .ci/rnu", "twistd --moin mynet"]
)
def test_wrong_command(command, tmp_path):
    """A command that a reader would not get far with is found out."""
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{command}\n```\n")
    (block,) = blocks_of(page)
    with pytest.raises(AssertionError):
        run_commands(block, tmp_path)
