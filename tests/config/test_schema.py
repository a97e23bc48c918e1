"""The shipped schema, example and table say what the code does."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from proxy.config import Settings, load
from proxy.config.schema import render, schema

_CONFIG = Path(__file__).parents[2] / "config"
_EXAMPLE = _CONFIG / "stream-guard.yaml"
_SCHEMA = _CONFIG / "stream-guard.schema.json"


def _leaves(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


_DEFAULTS = Settings().model_dump(mode="json")


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_shipped_schema_is_up_to_date() -> None:
    """If not: ``python -m proxy.config.schema > config/stream-guard.schema.json``."""
    assert _SCHEMA.read_text() == render()


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(render.__code__.co_filename)), run_name="__main__")
    assert capsys.readouterr().out == render()


def test_the_example_satisfies_the_schema_it_names() -> None:
    assert _EXAMPLE.read_text().startswith("# yaml-language-server: $schema=./stream-guard.schema.json\n")
    Draft202012Validator(json.loads(_SCHEMA.read_text())).validate(yaml.safe_load(_EXAMPLE.read_text()))


def test_the_example_is_every_default() -> None:
    assert load(_EXAMPLE, environ={}) == Settings()
    assert yaml.safe_load(_EXAMPLE.read_text()) == _DEFAULTS


@pytest.mark.parametrize("name", [name for name, _ in _leaves(_DEFAULTS)])
def test_the_example_says_why_for_every_setting(name: str) -> None:
    key = name.rpartition(".")[2]
    lines = [line for line in _EXAMPLE.read_text().splitlines() if line.startswith(" ")]
    assert any(line.strip().startswith(f"{key}: ") and " # " in line for line in lines)


@pytest.mark.parametrize(("name", "default"), list(_leaves(_DEFAULTS)))
def test_the_table_lists_every_setting_with_its_default(name: str, default: object) -> None:
    rows = (_CONFIG / "README.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == f"`{default if isinstance(default, str) else json.dumps(default)}`"
    assert all(cells)


@pytest.mark.parametrize(
    "document",
    [
        {"upstreem": {}},
        {"listen": {"port": "8788"}},
        {"listen": {"tls": {"cert": "a"}}},
        {"relay": {"idle_timeout": 90}},
        {"relay": {"idle_timeout": "0s"}},
        {"relay": {"buffer": "1MB"}},
        {"upstream": {"url": "hermes"}},
        {"client": {"trusted_proxies": "10.0.0.0/8"}},
        {"log": {"level": "loud"}},
    ],
)
def test_the_schema_refuses_what_the_proxy_refuses(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(document)
