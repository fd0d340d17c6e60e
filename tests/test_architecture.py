"""The shape of the code: who imports whom, what importing costs, what is documented and tested."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
from pathlib import Path

import pytest
from twisted.internet.interfaces import ITransport

from tests.child import PACKAGE, run_python

ORDER = """
    mynet.late
    mynet.http.errors mynet.http.limits mynet.http.body mynet.http.tls mynet.http.sweep
    mynet.http.pace mynet.http.file mynet.http.exchange mynet.http.decoding mynet.http.forms
    mynet.http.reading mynet.http.writing mynet.http.message mynet.http.outgoing
    mynet.http.coroutines mynet.http.sending mynet.http.sendfile mynet.http.incoming
    mynet.http.shared mynet.http.connection mynet.http.http1 mynet.http.factory
    mynet.http.accept mynet.http.conditional mynet.http.ranges
    mynet.http.client_errors mynet.http.client_limits mynet.http.response_reading
    mynet.http.client_response mynet.http.client_request mynet.http.client mynet.http.pool
    mynet.http
    mynet.websocket.codes mynet.websocket.masking mynet.websocket.frames
    mynet.websocket.deflate mynet.websocket.handshake mynet.websocket.messages
    mynet.websocket.message mynet.websocket.policy mynet.websocket.stats
    mynet.websocket.outbox mynet.websocket.shared mynet.websocket.closed
    mynet.websocket.interfaces mynet.websocket.connection mynet.websocket.opening
    mynet.websocket.inbox mynet.websocket.socket mynet.websocket.endpoint
    mynet.websocket.url mynet.websocket.answer mynet.websocket.client
    mynet.websocket.factory mynet.websocket
    mynet.routing mynet.debug mynet.responding mynet.app mynet
    mynet.middleware
    mynet.handlers.asgi mynet.handlers.wsgi mynet.handlers.resource mynet.handlers.static
    mynet.handlers.proxy mynet.handlers
    mynet.realtime mynet.testing mynet.demo
    mynet.uvreactor.stream mynet.uvreactor.unix mynet.uvreactor.clients
    mynet.uvreactor.listening mynet.uvreactor.reactor mynet.uvreactor
    mynet.daemon mynet.__main__
""".split()
"""Each may import what stands before it. A package whose modules are not named is one part."""

TESTED_ELSEWHERE = {
    "mynet.http.shared",  # it is a part of the factory, and tested as that
    "mynet.http.exchange",  # an interface, and so there is nothing to run
    "mynet.__main__",  # its few lines are run by the tests of the daemon
}

TESTS = Path(__file__).parent
DESIGN = TESTS.parent / "docs" / "design.md"
IMPORT_ORDER = re.compile(r"import order[^\n]*\n+```\w*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(module: str) -> str | None:
    """The entry of ORDER that a module belongs to."""
    if module in ORDER:
        return module
    package = module.rpartition(".")[0]
    is_whole = not any(part.startswith(package + ".") for part in ORDER)
    return part_of(package) if package and is_whole else None


def place(module: str) -> int:
    return ORDER.index(part_of(module) or module)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that code imports, wherever in it; `from a import b` may give `a.b` or `a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


def ours(module: str) -> set[str]:
    """The modules of mynet that a module imports."""
    return {name for name in imported(parse(MODULES[module])) if name.split(".")[0] == "mynet"}


def test_every_module_has_its_place():
    """A new module gets a place in the order before it gets a reader."""
    assert [module for module in MODULES if part_of(module) is None] == []


def test_order_is_of_what_exists():
    """What was removed or renamed is not in the order any more."""
    assert [part for part in ORDER if part not in MODULES] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    """Whoever reads the modules in their order meets nothing that comes later."""
    assert {name for name in ours(module) if place(name) > place(module)} == set()


def test_imports_within_a_part_go_one_way():
    """Inside a part too no module imports one that imports it."""
    graph = {module: ours(module) & MODULES.keys() for module in MODULES}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        for name in graph[module]:
            if part_of(name) == part_of(module):
                visit(name, (*trail, module))

    for module in MODULES:
        visit(module, ())


def test_design_tells_this_order():
    """The design's reader is told the order that holds."""
    found = IMPORT_ORDER.search(DESIGN.read_text(encoding="utf-8"))
    assert found, "docs/design.md has no fenced block below a line with the words: import order"
    assert found[1].split() == ORDER


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_alone(module):
    """Any module can be the first that a program imports; none chooses the reactor by that."""
    code = f"import sys, {module}; print('twisted.internet.reactor' in sys.modules)"
    run = run_python("-W", "error", "-c", code)
    assert (run.stdout, run.stderr) == ("False\n", "")


@pytest.mark.parametrize("module", MODULES)
def test_module_has_its_tests(module):
    """The tests of a module are where one looks for them."""
    if module in TESTED_ELSEWHERE or MODULES[module].name == "__init__.py":
        return
    path = MODULES[module].relative_to(PACKAGE)
    assert (TESTS / path.with_name(f"test_{path.name}")).exists()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_test_tells_its_requirement():
    """A test that fails says in a user's words what no longer holds."""
    mute = [
        f"{path.relative_to(TESTS)}:{function.lineno} {function.name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for function in functions(parse(path))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert mute == []


def interface_methods() -> Iterator[str]:
    """The names of the methods that our own interfaces document, and Twisted's in lower case."""
    yield from ITransport.names(all=True)
    for module in MODULES.values():
        for node in ast.walk(parse(module)):
            if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                yield from (part.name for part in node.body if isinstance(part, ast.FunctionDef))


def undocumented(body: list[ast.stmt], trail: str, documented: Set[str]) -> Iterator[str]:
    """Public functions without a docstring.

    Magic ones, those of an interface (Twisted's are named in camelCase), overloads and
    setters need none.
    """
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            known = set() if "Protocol" in map(ast.unparse, node.bases) else documented
            yield from undocumented(node.body, f"{trail}.{node.name}", known)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            excused = decorators & {"overload", "override", f"{node.name}.setter"}
            named_by_us = not node.name.startswith("_") and node.name.islower()
            excused |= documented & {node.name}
            if named_by_us and not excused and not ast.get_docstring(node):
                yield f"{trail}.{node.name}"


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_documented(module):
    """Who uses a public function or method finds out what it promises."""
    documented = set(interface_methods())
    assert list(undocumented(parse(MODULES[module]).body, module, documented)) == []
