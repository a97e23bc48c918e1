"""The documentation: what it links to is there, and the states and the way of a Stop that it shows are the code's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.diagram import diagram

ROOT = Path(__file__).parents[1]
FOLDERS = (".", ".github", "config", "deploy", "docs", "tests")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))]
LONGEST_README = 150
MOST_FILES_OF_A_STOP = 15


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#{1,6} (.+)$", _prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Those that lead to files of the project."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", _prose(text)) if not re.match(r"[a-z]+:", link)]


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_a_broken_link_would_be_noticed() -> None:
    text = "[a](x.md#y) [b](https://h/z)\n```\n[c](no)\n# no\n```\n## What `check` finds, and why\n"
    assert links(text) == ["x.md#y"]
    assert anchors(text) == {"what-check-finds-and-why"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < LONGEST_README


def test_the_code_that_the_pages_name_exists() -> None:
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("architecture.md", "how-it-decides.md"))
    named = set(re.findall(r"`(proxy/[\w/.]+)`", pages))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_diagram_of_states_is_the_codes() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    drawn = re.findall(r"^```mermaid\n(stateDiagram.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert drawn == [diagram()], "docs/architecture.md is out of date: put there what `make diagram` prints"


def imports(path: Path) -> Iterator[str]:
    """The modules that it imports, annotations' included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_way_of_a_stop_is_the_codes() -> None:
    """Its files hang together by their imports: nobody gets lost between two of them."""
    section = (ROOT / "docs/architecture.md").read_text().partition("## The way of a Stop")[2].partition("\n## ")[0]
    way = re.findall(r"^\d+\. `(proxy/[\w/]+\.py)`", section, re.MULTILINE)
    assert len(way) <= MOST_FILES_OF_A_STOP
    modules = [name.removesuffix(".py").replace("/", ".") for name in way]
    known = {module: set(imports(ROOT / name)) for module, name in zip(modules, way, strict=True)}
    reached, lost = {modules[0]}, set(modules[1:])
    while near := {one for one in lost if any(one in known[other] or other in known[one] for other in reached)}:
        reached |= near
        lost -= near
    assert lost == set()
