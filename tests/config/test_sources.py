from pathlib import Path

import pytest

from proxy.config.errors import SettingsError
from proxy.config.sources import from_environment, from_file, from_flags, merge


def test_a_file_is_read_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("relay:\n  buffer: 2MiB\n")
    source = from_file(path)
    assert source.tree == {"relay": {"buffer": "2MiB"}}
    assert source.origins["relay", "buffer"] == f"{path}:2"


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("# all defaults\n")
    assert from_file(path).tree == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_bytes(b"\xef\xbb\xbfrelay: {}\n")
    assert from_file(path).tree == {"relay": {}}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"- a\n", r":1: the file should hold"),
        (b"false\n", r":1: the file should hold"),
        (b"a: 1\nb: \xff\n", r":2: save the file as UTF-8"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "guard.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        from_file(path)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: No such file or directory"):
        from_file(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="Is a directory"):
        from_file(tmp_path)


def test_a_variable_is_named_for_its_path_and_written_as_in_the_file() -> None:
    source = from_environment(
        {
            "STREAM_GUARD__LISTEN__PORT": "80",
            "STREAM_GUARD__UPSTREAM__CA": "null",
            "STREAM_GUARD__CLIENT__TRUSTED_PROXIES": '[10.0.0.0/8, "::1/128"]',
            "STREAM_GUARD": "not ours",
            "HOME": "/root",
        }
    )
    assert source.tree == {
        "listen": {"port": 80},
        "upstream": {"ca": None},
        "client": {"trusted_proxies": ["10.0.0.0/8", "::1/128"]},
    }
    assert source.origins["listen", "port"] == "STREAM_GUARD__LISTEN__PORT"


def test_the_more_specific_variable_wins() -> None:
    source = from_environment({"STREAM_GUARD__LISTEN__PORT": "2", "STREAM_GUARD__LISTEN": "{host: a, port: 1}"})
    assert source.tree == {"listen": {"host": "a", "port": 2}}
    assert source.origins["listen", "port"] == "STREAM_GUARD__LISTEN__PORT"


def test_a_variable_that_is_not_yaml_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^STREAM_GUARD__LISTEN: not valid YAML"):
        from_environment({"STREAM_GUARD__LISTEN": "{"})


def test_flags_set_only_what_they_say() -> None:
    assert from_flags(upstream=None, listen=None, admin=None) == []
    upstream, listen, admin = from_flags(upstream="http://a", listen="b:1", admin="[::1]:2")
    assert upstream.tree == {"upstream": {"url": "http://a"}}
    assert upstream.origins == {("upstream", "url"): "--upstream"}
    assert listen.tree == {"listen": {"host": "b", "port": 1, "unix": None}}
    assert listen.origins["listen", "port"] == "--listen"
    assert admin.tree == {"admin": {"host": "::1", "port": 2}}
    assert admin.origins["admin", "host"] == "--admin"


def test_a_bad_address_flag_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^--listen should be HOST:PORT"):
        from_flags(upstream=None, listen="8788", admin=None)
    with pytest.raises(SettingsError, match=r"^--admin should be HOST:PORT"):
        from_flags(upstream=None, listen=None, admin="8789")


def test_sections_are_merged_and_lists_replaced() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge(base, {"a": {"y": [3]}, "c": 2}) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 2}
    assert merge({"a": None}, {"a": {"x": 1}}) == {"a": {"x": 1}}
