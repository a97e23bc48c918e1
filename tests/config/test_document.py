from typing import Any

import pytest

from proxy.config.document import KeyPath, dotted, read_document
from proxy.config.errors import SettingsError


def _read(text: str, path: KeyPath = ()) -> tuple[Any, dict[KeyPath, str]]:
    return read_document(text, path, lambda line: f"f:{line}")


def test_values_and_the_lines_of_their_keys_are_kept() -> None:
    value, origins = _read("listen:\n  port: 1\n\nclient:\n  trusted_proxies:\n  - a\n  - b\n")
    assert value == {"listen": {"port": 1}, "client": {"trusted_proxies": ["a", "b"]}}
    assert origins == {
        (): "f:1",
        ("listen",): "f:1",
        ("listen", "port"): "f:2",
        ("client",): "f:4",
        ("client", "trusted_proxies"): "f:5",
        ("client", "trusted_proxies", 0): "f:6",
        ("client", "trusted_proxies", 1): "f:7",
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_document_is_none(text: str) -> None:
    assert _read(text)[0] is None


def test_a_value_of_a_deeper_setting_has_its_path() -> None:
    assert _read("[5]", ("a", "b"))[1] == {("a", "b"): "f:1", ("a", "b", 0): "f:1"}


def test_a_key_is_text_whatever_it_looks_like() -> None:
    assert _read("on: 1\n1: 2\n<<: 3\n")[0] == {"on": 1, "1": 2, "<<": 3}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a:\n  b: 1\n  b: 2\n", r"^f:3: a\.b was set before \(f:2\); remove one$"),
        ("a: 1\n? [x]\n: 1\n", "^f:2: a key should be a word"),
        ("a: 1\nb: [1\n", "^f:3: not valid YAML: expected ',' or ']'"),
        ("a: 1\nb: !thing x\n", "^f:2: not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 1\n", "^f:2: not valid YAML: but found another document"),
        ("a: &x [1]\nb: *x\n", "^f:2: not valid YAML: aliases are not supported"),
        ("a: 1\nb: \0\n", "^f:2: not valid YAML: special characters"),
        ("a: " + "[" * 3000, "^f:1: lists and mappings are nested too deeply"),
        ("a: 1\nb: 2024-99-99\n", "^f:2: b: month must be in"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        _read(text)


def test_a_path_is_written_with_dots() -> None:
    assert dotted(("client", "trusted_proxies", 0)) == "client.trusted_proxies.0"
    assert dotted(()) == "the configuration"
