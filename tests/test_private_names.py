"""Nothing in ``proxy`` leans on what is private: a release of aiohttp's may change it without a word."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = [path.relative_to(ROOT) for path in sorted((ROOT / "proxy").rglob("*.py"))]
LIBRARIES: Final = frozenset({"aiohttp", "multidict", "uvloop", "yarl"})

PRIVATE: Final = re.compile(r"_(?!_)\w*|__\w*(?<!__)")
"""A name with underscores in front and none behind: ``_a`` and ``__a``, and not ``__a__``."""

PRIVATE_MODULE: Final = re.compile(r"(?:%s)(?:\.\w+)*\._\w[\w.]*" % "|".join(sorted(LIBRARIES)))  # noqa: UP031 - braces
PUBLIC_ALL_THE_SAME: Final = frozenset({"_asdict", "_fields", "_make", "_replace"})
"""Documented, of named tuples, whose own names they must not be in the way of."""

BY_NAME: Final = frozenset({"delattr", "getattr", "hasattr", "setattr"})

Found = tuple[int, str]


def is_private(name: str) -> bool:
    return PRIVATE.fullmatch(name) is not None and name not in PUBLIC_ALL_THE_SAME


def is_of_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in LIBRARIES


def problems(source: str, module: ModuleType) -> list[Found]:
    """Lines of a module at which something private of another one's is used, and what that is."""
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = [problem for node in ast.walk(tree) for problem in in_node(node, own)]
    return sorted([*found, *in_classes(tree.body, module)])


def in_node(node: ast.AST, own: set[str]) -> Iterator[Found]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield from of_import(node, alias.name)
        case ast.ImportFrom(module=module, names=names, level=0):
            for alias in names:
                yield from of_import(node, f"{module}.{alias.name}")
        case ast.Attribute(value=value, attr=name) if is_private(name) and not is_own(value, own):
            yield node.lineno, f"reaches into another object: {ast.unparse(node)}"
        case ast.Call(func=ast.Name(id=function), args=[_, ast.Constant(value=str(name)), *_]) if (
            function in BY_NAME and is_private(name)
        ):
            yield node.lineno, f"reaches into another object: {ast.unparse(node)}"
        case ast.Constant(value=str(text)) if PRIVATE_MODULE.fullmatch(text):
            yield node.lineno, f"names a private module: {text}"


def of_import(node: ast.stmt, name: str) -> Iterator[Found]:
    if is_of_library(name) and any(is_private(part) for part in name.split(".")):
        yield node.lineno, f"imports a private name: {name}"


def is_own(value: ast.expr, own: set[str]) -> bool:
    """Whether an object is this one, its class, or a class of the same module."""
    match value:
        case ast.Name(id=name):
            return name in own | {"self", "cls"}
        case ast.Call(func=ast.Name(id="super" | "type")):
            return True
        case ast.Attribute(value=ast.Name(id="self"), attr="__class__"):
            return True
    return False


def in_classes(body: list[ast.stmt], namespace: object) -> Iterator[Found]:
    """What classes take of the private parts of a library's that they inherit from, or write over."""
    for node in body:
        if isinstance(node, ast.ClassDef) and inspect.isclass(cls := getattr(namespace, node.name, None)):
            taken = private_parts(cls)
            yield from in_class(node, taken)
            yield from in_classes(node.body, cls)


def in_class(node: ast.ClassDef, taken: dict[str, str]) -> Iterator[Found]:
    for inner in ast.walk(node):
        for name in named_by(inner):
            if name in taken:
                yield inner.lineno, f"shares a private name with {taken[name]}: {name}"  # type: ignore[attr-defined]  # all have one


def named_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(value=value, attr=name) if is_own(value, set()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def private_parts(cls: type) -> dict[str, str]:
    """The private names of the libraries' classes among the ancestors of ``cls``, and whose they are."""
    bases = [base for base in cls.__mro__[1:] if is_of_library(base.__module__)]
    return {name: f"{base.__module__}.{base.__qualname__}" for base in bases for name in names_of(base)}


def names_of(base: type) -> set[str]:
    """Private names that instances of ``base`` have: of the class, its slots, annotations, and what methods set."""
    slots = base.__dict__.get("__slots__", ())
    names = {*vars(base), *([slots] if isinstance(slots, str) else slots), *inspect.get_annotations(base)}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
    except (OSError, TypeError):  # it is written in C
        tree = ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value, set()):
            names.add(node.attr)
    return {name for name in names if is_private(name)}


def imported(path: Path) -> ModuleType:
    parts = path.with_suffix("").parts
    if parts[-1] == "__main__":
        return ModuleType("main")  # importing it would run it, and it has no classes
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_nothing_private_is_used(path: Path) -> None:
    found = problems((ROOT / path).read_text(encoding="utf-8"), imported(path))
    assert [f"{path}:{line}: {what}" for line, what in found] == []


# -- that it would notice -------------------------------------------------------------------------

NOTICED = {
    "a private module": ("import aiohttp._websocket", "imports"),
    "a part of a private module": ("from aiohttp._websocket.helpers import ws_ext_parse", "imports"),
    "a private module of a package": ("from aiohttp import _websocket", "imports"),
    "a private name": ("from aiohttp.web_protocol import _ErrInfo", "imports"),
    "a private name of another": ("from multidict import _abc", "imports"),
    "a private attribute": ("def f(request): return request._message", "reaches"),
    "a private attribute of an attribute": ("class A:\n  def f(self): self.parser._tail = b''", "reaches"),
    "a private attribute of a call's": ("def f(get): return get()._a", "reaches"),
    "a mangled attribute": ("def f(other): return other.__a", "reaches"),
    "a private attribute by its name": ("def f(request): return getattr(request, '_message', None)", "reaches"),
    "one that is set by its name": ("def f(request): setattr(request, '_message', 1)", "reaches"),
    "a private module by its name": (
        "from importlib.util import find_spec\nfind_spec('aiohttp._http_parser')",
        "names",
    ),
    "an attribute of a base": (
        "from aiohttp import web\nclass A(web.BaseRequest):\n  def f(self): return self._message",
        "shares",
    ),
    "one of a base's base": (
        "from aiohttp import web\nclass A(web.BaseRequest): pass\nclass B(A):\n  def f(self): return self._payload",
        "shares",
    ),
    "one in a base's slots": (
        "from aiohttp.base_protocol import BaseProtocol\nclass A(BaseProtocol):\n  def f(self): return self._paused",
        "shares",
    ),
    "a method of a base": (
        "from aiohttp import web\nclass A(web.RequestHandler):\n  async def _handle_request(self): pass",
        "shares",
    ),
    "a method of a base, by super": (
        "from aiohttp.http import StreamWriter\nclass A(StreamWriter):\n  def f(self): super()._write(b'')",
        "shares",
    ),
    "a name of a base, written over": (
        "from aiohttp import web\nclass A(web.BaseRequest):\n  _read_bytes = None",
        "shares",
    ),
    "in a class of a class": (
        "from aiohttp import web\nclass A:\n  class B(web.BaseRequest):\n    def f(self): return self._message",
        "shares",
    ),
}


def made(source: str) -> list[Found]:
    module = ModuleType("made")
    exec(source, vars(module))  # noqa: S102 - it is this file's own
    return problems(source, module)


@pytest.mark.parametrize(("source", "verb"), NOTICED.values(), ids=NOTICED)
def test_what_is_private_is_noticed(source: str, verb: str) -> None:
    ((_, what),) = made(source)
    assert what.startswith(verb)


FINE = {
    "what is one's own": "class A:\n  _b = 1\n  def f(self): return self._b, type(self)._b, A._b",
    "what a class of one's own says": "class A:\n  @classmethod\n  def f(cls): return cls._b\n  _b = 1",
    "a method of the language": "def f(a): return a.__class__.__name__, getattr(a, '__dict__')",
    "a private name of one's own": "_a = 1\ndef f(): return _a",
    "what a named tuple has": "def f(a): return a._replace(b=1), a._asdict()",
    "a public name": "from aiohttp.web_protocol import RequestPayloadError",
    "a public attribute of a base": (
        "from aiohttp import web\nclass A(web.BaseRequest):\n  def f(self): return self.content, self._mine_only"
    ),
    "a module that is named in words": "'''What aiohttp._http_parser makes of it.'''",
    "how to see whether the parser is compiled": (
        "from aiohttp import http_parser\nhttp_parser.HttpRequestParser is not http_parser.HttpRequestParserPy"
    ),
}


@pytest.mark.parametrize("source", FINE.values(), ids=FINE)
def test_what_is_nobody_elses_is_fine(source: str) -> None:
    assert made(source) == []
