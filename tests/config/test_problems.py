"""What a person reads when a setting is wrong: where, which, what, and what to write."""

import re
from pathlib import Path

import pytest

from proxy.config import SettingsError, load


def _complaint(tmp_path: Path, text: str, **environ: str) -> str:
    path = tmp_path / "guard.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path, environ=environ)
    return str(caught.value).replace(str(path), "guard.yaml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "upstream:\n  uri: http://a\n",
            "guard.yaml:2: there is no setting upstream.uri; did you mean upstream.url?",
        ),
        ("lissten: {}\n", "guard.yaml:1: there is no setting lissten; did you mean listen?"),
        ("port: 1\n", "guard.yaml:1: there is no setting port; did you mean listen.port?"),
        (
            "log:\n  colour: true\n",
            "guard.yaml:2: there is no setting log.colour; known here: format, level, slow_after",
        ),
        (
            "listen:\n  tls: {cert: /dev/null}\n",
            "guard.yaml:2: listen.tls also needs the key key",
        ),
        (
            "listen:\n  tls: {cert: /dev/null, keyy: /dev/null}\n",
            "guard.yaml:2: there is no setting listen.tls.keyy; did you mean listen.tls.key?",
        ),
        (
            "listen:\n  port: '8788'\n",
            'guard.yaml:2: listen.port should be a valid integer, not "8788"',
        ),
        (
            "listen:\n  port: 70000\n",
            "guard.yaml:2: listen.port should be less than or equal to 65535, not 70000",
        ),
        (
            "listen:\n  unix_mode: 0660\n",
            'guard.yaml:2: listen.unix_mode should be in quotes and octal, such as "0660"',
        ),
        ("listen: 8788\n", "guard.yaml:1: listen should be a section of keys, not 8788"),
        ("client:\n", "guard.yaml:1: client should be a section of keys, not null"),
        (
            "client:\n  trusted_proxies: 10.0.0.0/8\n",
            'guard.yaml:2: client.trusted_proxies should be a list, not "10.0.0.0/8"',
        ),
        (
            "client:\n  trusted_proxies:\n  - 10.0.0.0/8\n  - 10.0.0.1/8\n",
            (
                "guard.yaml:4: client.trusted_proxies.1 should be a network such as 10.0.0.0/8"
                " (10.0.0.1/8 has host bits set)"
            ),
        ),
        (
            "relay:\n  idle_timeout: 90\n",
            "guard.yaml:2: relay.idle_timeout should be a duration such as 500ms, 5s or 2m, not 90",
        ),
        (
            "relay:\n  buffer: 1MB\n",
            'guard.yaml:2: relay.buffer should be a size such as 64KiB or 8MiB, not "1MB"',
        ),
        (
            "log:\n  level: loud\n",
            "guard.yaml:2: log.level should be 'debug', 'info', 'warning' or 'error', not \"loud\"",
        ),
        (
            "upstream:\n  url: hermes\n",
            "guard.yaml:2: upstream.url should be http://HOST[:PORT], https://HOST[:PORT] or unix:///path",
        ),
        (
            "upstream:\n  ca: /none.pem\n",
            'guard.yaml:2: upstream.ca should name a readable file; "/none.pem": No such file or directory',
        ),
        (
            "admin:\n  host: 0.0.0.0\n",
            (
                "guard.yaml:1: admin should have a token, as others can reach 0.0.0.0: set admin.token or"
                " admin.token_file to what openssl rand -hex 32 prints, or listen on 127.0.0.1"
            ),
        ),
        (
            "upstream:\n  lanes:\n    relays: 100\n",
            (
                "guard.yaml:2: upstream.lanes should come to at most 127 together, as Hermes serves 128"
                " requests at once: control 16 + calls 24 + relays 100 = 140"
            ),
        ),
        (
            'log:\n  level: "\\ud800"\n',
            "guard.yaml:1: the settings hold text that is not Unicode",
        ),
    ],
)
def test_a_mistake_in_the_file_is_explained(tmp_path: Path, text: str, complaint: str) -> None:
    assert _complaint(tmp_path, text) == complaint


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    text = _complaint(tmp_path, f"log: {{level: {'x' * 500}}}\n")
    assert text.endswith("…")
    assert len(text) < 200


def test_a_variable_is_blamed_for_its_own_setting_only(tmp_path: Path) -> None:
    lanes = "upstream:\n  lanes: {control: 20}\n"
    variable = "STREAM_GUARD__UPSTREAM__LANES__RELAYS"
    assert _complaint(tmp_path, lanes, **{variable: "100"}).startswith(f"{variable}: upstream.lanes")
    assert _complaint(tmp_path, "log: {level: 1}\n", **{variable: "9"}).startswith("guard.yaml:1: ")


def test_a_misspelt_variable_is_named(tmp_path: Path) -> None:
    assert _complaint(tmp_path, "", STREAM_GUARD__UPSTREEM__URL="a") == (
        "STREAM_GUARD__UPSTREEM__URL: there is no setting upstreem; did you mean upstream?"
    )


def test_a_flag_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^--upstream: upstream\.url should be http://"):
        load(upstream="hermes", environ={"STREAM_GUARD__UPSTREAM__URL": "http://a"})
    with pytest.raises(SettingsError, match=r"^--listen: listen\.port should be less"):
        load(listen="localhost:99999", environ={})
    with pytest.raises(SettingsError, match=r"^--admin: admin should have a token"):
        load(admin="0.0.0.0:8789", environ={})


@pytest.mark.parametrize("token", ["12345678901234567890", "[secret]", "{secret: 1}", "secret", "0x5ec4e7"])
def test_a_token_that_cannot_be_used_is_not_repeated(tmp_path: Path, token: str) -> None:
    text = _complaint(tmp_path, "", STREAM_GUARD__ADMIN__TOKEN=token)
    assert text.startswith("STREAM_GUARD__ADMIN__TOKEN: admin.token should be ")
    assert token.strip("[]{}: 1") not in text


@pytest.mark.parametrize(
    "setting", ["trace: {path: ", "listen: {tls: {key: /dev/null, cert: ", "upstream: {ca: ", "admin: {token_file: "]
)
def test_no_file_is_named_by_nul(tmp_path: Path, setting: str) -> None:
    """The system would refuse it later, with a ValueError of its own."""
    complaint = _complaint(tmp_path, setting + r'"a\0b"' + "}" * setting.count("{"))
    assert re.fullmatch(r"guard\.yaml:1: [a-z_.]+ should be a path without NUL", complaint)
