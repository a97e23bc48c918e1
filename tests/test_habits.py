"""What surrounds the code on its way in: issue forms, updates, and the checks before a commit."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from proxy import cli

ROOT = Path(__file__).parents[1]
FORMS = [ROOT / ".github/ISSUE_TEMPLATE" / name for name in ("bug.yml", "idea.yml")]
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
"""Of fields, as https://docs.github.com/en/communities lists them."""
UPDATED = {"pip": "*.txt", "docker": "Dockerfile*", "github-actions": ".github/workflows/*.yml"}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.stem))
def test_a_form_has_fields_that_people_can_fill_in(form: Path) -> None:
    asked = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= asked.keys()
    fields = [field for field in asked["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in asked["body"]} <= KINDS
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_bug_form_asks_for_what_helps() -> None:
    text = FORMS[0].read_text()
    for wanted in ("hermes-stream-guard report", "hermes-stream-guard check --json", "http://127.0.0.1:8789"):
        assert wanted in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.stem))
def test_a_form_names_commands_and_options_that_there_are(form: Path) -> None:
    for name, options in re.findall(r"hermes-stream-guard (\w+)((?: --\w+)*)", form.read_text()):
        command = cli.main.commands[name]
        known = {option for part in command.params if isinstance(part, click.Option) for option in part.opts}
        assert set(options.split()) <= known


def test_what_is_updated_is_there() -> None:
    updates = read(".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == UPDATED.keys()
    for update in updates:
        folder = ROOT / update["directory"].lstrip("/")
        assert list(folder.glob(UPDATED[update["package-ecosystem"]])), update


def test_what_runs_before_a_commit_is_a_part_of_the_check() -> None:
    (repo,) = read(".pre-commit-config.yaml")["repos"]
    makefile = (ROOT / "Makefile").read_text()
    (parts,) = re.findall(r"^check: ([\w ]+?) *##", makefile, re.MULTILINE)
    assert repo["repo"] == "local"
    assert [hook["entry"] for hook in repo["hooks"]] == ["make lint", "make types"]
    assert {hook["entry"].removeprefix("make ") for hook in repo["hooks"]} <= set(parts.split())
    assert not any(hook["pass_filenames"] for hook in repo["hooks"])
