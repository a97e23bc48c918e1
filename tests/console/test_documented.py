"""The recipes of the pages: what they call is what there is."""

import re
import shlex
from pathlib import Path

import click
import pytest

from proxy.console.commands import drain, status

ROOT = Path(__file__).parents[2]
PAGES = "\n".join(
    (ROOT / page).read_text() for page in ("README.md", "docs/operating.md", "deploy/prometheus/rules.yml")
)
COMMANDS = {"drain": drain, "status": status}
CALLS = sorted(set(re.findall(r"hermes-stream-guard (drain|status)((?: --[\w-]+(?: [\dms]+)?)*)", PAGES)))


def test_both_commands_are_in_the_pages() -> None:
    assert {name for name, _ in CALLS} == {"drain", "status"}
    assert ("drain", " --hold --wait --timeout 60s") in CALLS


@pytest.mark.parametrize(("name", "options"), CALLS)
def test_a_call_in_the_pages_can_be_made(name: str, options: str) -> None:
    assert COMMANDS[name].make_context(name, shlex.split(options))


def test_every_option_is_explained() -> None:
    guide = (ROOT / "docs/operating.md").read_text()
    for command in COMMANDS.values():
        options = [option for each in command.params if isinstance(each, click.Option) for option in each.opts]
        assert [option for option in options if option not in guide] == []
