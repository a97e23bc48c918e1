import grp
import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from proxy.config import (
    AdminSettings,
    ClientSettings,
    LaneSettings,
    ListenSettings,
    RelaySettings,
    Settings,
    TlsSettings,
    TraceSettings,
)


def test_every_setting_has_a_default() -> None:
    settings = Settings()
    assert settings.listen.url == "http://127.0.0.1:8788"
    assert settings.upstream.url == "http://127.0.0.1:8787"
    assert settings.upstream.response_timeout == 600
    assert settings.ownership.answer_gap == 0.015
    assert settings.ownership.start_body_limit == 8 * 1024 * 1024
    assert settings.log.format is None
    assert (settings.trace.path, settings.trace.max_size, settings.trace.keep) == (None, 16 << 20, 3)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().relay.buffer = 1  # type: ignore[misc]  # what is tested


def test_defaults_do_not_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_GUARD__LISTEN__PORT", "1")
    assert Settings().listen.port == 8788


def test_python_sets_seconds_and_bytes() -> None:
    relay = RelaySettings(idle_timeout=0.5, buffer=1024)
    assert (relay.idle_timeout, relay.buffer) == (0.5, 1024)


def test_a_trace_has_a_path_and_keeps_at_least_one_older_file() -> None:
    assert TraceSettings.model_validate_json('{"path": "run/trace.jsonl"}').path == Path("run/trace.jsonl")
    with pytest.raises(ValidationError):
        TraceSettings(keep=0)


def test_lanes_leave_hermes_one_thread() -> None:
    """F7: the 128th connection would starve whatever does not come through the proxy."""
    assert LaneSettings(control=16, calls=31, relays=80).calls == 31
    with pytest.raises(ValidationError, match=r"at most 127 together.*16 \+ calls 32 .* = 128"):
        LaneSettings(control=16, calls=32, relays=80)


def test_a_lane_has_at_least_one_connection() -> None:
    with pytest.raises(ValidationError):
        LaneSettings(control=0)


def test_a_tls_listener_is_https(certificate_pair: tuple[Path, Path]) -> None:
    cert, key = certificate_pair
    listen = ListenSettings(host="::1", tls=TlsSettings(cert=cert, key=key))
    assert listen.url == "https://[::1]:8788"


def test_who_may_connect_to_a_unix_socket() -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    assert (ListenSettings().socket_mode, ListenSettings().socket_group) == (0o600, None)
    grouped = ListenSettings(unix_group=group)
    assert (grouped.socket_mode, grouped.socket_group) == (0o660, os.getgid())
    assert ListenSettings(unix_mode="0666", unix_group=group).socket_mode == 0o666
    assert ListenSettings(unix_mode="640").socket_mode == 0o640


@pytest.mark.parametrize("mode", ["", "0888", "66", "06600", "rw-rw----"])
def test_a_mode_is_octal(mode: str) -> None:
    with pytest.raises(ValidationError, match='in quotes and octal, such as "0660"'):
        ListenSettings(unix_mode=mode)


def test_a_group_is_one_of_this_machine() -> None:
    with pytest.raises(ValidationError, match='a group of this machine, not "no-such-group"'):
        ListenSettings(unix_group="no-such-group")


def test_a_unix_listener_has_a_path() -> None:
    assert ListenSettings(unix=Path("/run/guard.sock")).url == "unix:///run/guard.sock"


def test_a_certificate_needs_its_own_key(certificate_pair: tuple[Path, Path]) -> None:
    cert, _ = certificate_pair
    with pytest.raises(ValidationError, match="the key that belongs to it"):
        TlsSettings(cert=cert, key=cert)


def test_a_header_is_named_by_a_token() -> None:
    assert ClientSettings(identity_headers=("X-My_User.1",)).identity_headers == ("X-My_User.1",)
    with pytest.raises(ValidationError, match="should be the name of a header such as Remote-User"):
        ClientSettings(identity_headers=("Remote-User:",))


TOKEN = "correct-horse-battery-staple"


def test_operators_connect_on_loopback_without_a_token() -> None:
    admin = AdminSettings(host="::1")
    assert (admin.url, admin.bearer) == ("http://[::1]:8789", None)


def test_off_loopback_they_need_one() -> None:
    with pytest.raises(ValidationError, match=r"should have a token, as others can reach 0\.0\.0\.0.*openssl"):
        AdminSettings(host="0.0.0.0")
    assert AdminSettings(host="0.0.0.0", enabled=False).bearer is None
    assert AdminSettings(host="0.0.0.0", token=SecretStr(TOKEN)).bearer == TOKEN


def test_a_token_may_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert AdminSettings(host="0.0.0.0", token_file=path).bearer == TOKEN
    with pytest.raises(ValidationError, match="one of token and token_file, not both"):
        AdminSettings(token=SecretStr(TOKEN), token_file=path)


def test_a_token_is_never_shown() -> None:
    settings = Settings(admin=AdminSettings(token=SecretStr(TOKEN)))
    assert TOKEN not in repr(settings)
    assert TOKEN not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("listen", "exposed"),
    [
        (ListenSettings(), False),
        (ListenSettings(host="::1"), False),
        (ListenSettings(host="127.0.0.2"), False),
        (ListenSettings(host="localhost"), False),
        (ListenSettings(host="0.0.0.0"), True),
        (ListenSettings(host="::"), True),
        (ListenSettings(host="192.168.1.2"), True),
        (ListenSettings(host="guard.lan"), True),
        (ListenSettings(host="0.0.0.0", unix=Path("/run/guard.sock")), False),
    ],
)
def test_a_listener_can_be_reached_from_elsewhere_or_not(
    listen: ListenSettings,
    exposed: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    assert listen.is_exposed == exposed
