"""The admin listener uses of aiohttp what is public, so that every release of it will do."""

import ast
from pathlib import Path

import pytest

import proxy.ops.admin

MODULES = sorted(Path(proxy.ops.admin.__file__).parent.glob("*.py"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def offences(source: str) -> list[str]:
    """Private names of others: imported, asked for, or within reach since a class derives from one of aiohttp's."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(names=names):
                found += [name.name for name in names if is_private(name.name)]
            case ast.Attribute(value=value, attr=name) if is_private(name):
                found += [] if isinstance(value, ast.Name) and value.id == "self" else [ast.unparse(node)]
            case ast.ClassDef(bases=bases):
                found += [text for text in map(ast.unparse, bases) if text.startswith(("web.", "aiohttp.", "Base"))]
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_private_name_of_another_is_used(module: Path) -> None:
    assert offences(module.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["from aiohttp.web_protocol import _ErrInfo", "request._match_info", "class Ours(web.RequestHandler): ..."],
)
def test_one_would_be_found(source: str) -> None:
    assert offences(source)
