"""The lock files: what is tested is what runs, and what a checkout is made of can be installed."""

import re
import tomllib
from importlib.metadata import distributions

import pytest

from tests.deploy.conftest import DEPLOY

REQUIREMENTS = DEPLOY.parent / "requirements"
NAME = re.compile(r"[\w.-]+")
EXTRAS = re.compile(r"(?P<name>[\w.-]+)\[[\w,-]+\](?=[^;]*$)")  # asked for whatever the environment


def pinned(file: str) -> dict[str, str]:
    """The packages of a lock file, each with its version and hashes."""
    text = (REQUIREMENTS / file).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return dict(line.split("==", 1) for line in lines)


@pytest.mark.parametrize("file", ["run.txt", "build.txt"])
def test_image_is_made_of_what_was_tested(file: str) -> None:
    tested, shipped = pinned("dev.txt"), pinned(file)
    assert shipped
    assert all("--hash=sha256:" in pin for pin in shipped.values())
    assert {name: tested.get(name) for name in shipped} == shipped


def test_image_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    run = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["uvloop"]]
    for file, wanted in (("run.txt", run), ("build.txt", project["build-system"]["requires"])):
        names = {NAME.match(requirement).group().lower() for requirement in wanted}  # type: ignore[union-attr]
        assert names <= {name.lower() for name in pinned(file)}


def test_extras_are_pinned_as_they_are_asked_for() -> None:
    """Otherwise pip takes the newest release for them, and refuses it since it has no hash here."""
    pins = pinned("dev.txt")
    names = {NAME.match(pin).group() for pin in pins}  # type: ignore[union-attr]
    asked = [EXTRAS.match(text) for found in distributions() for text in found.requires or ()]
    wanted = {each.group() for each in asked if each and each["name"] in names}
    assert wanted <= pins.keys()
