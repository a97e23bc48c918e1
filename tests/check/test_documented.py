"""The findings that config/README.md lists are the code's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def codes(tree: ast.AST) -> Iterator[str]:
    """What is given for the code of a ``Finding``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            yield from (str(part.value) for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant))


def test_every_code_is_listed_and_no_other() -> None:
    found = {code for path in (ROOT / "proxy/check").glob("*.py") for code in codes(ast.parse(path.read_text()))}
    section = (ROOT / "config/README.md").read_text().partition("## What `check` finds")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (?:error|warning|note)", section, re.MULTILINE)
    assert set(listed) == found
    assert len(listed) == len(found)
