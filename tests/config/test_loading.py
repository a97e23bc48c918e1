from ipaddress import IPv4Network
from pathlib import Path

import pytest

from proxy.config import Settings, SettingsError, load

_PORT = "STREAM_GUARD__LISTEN__PORT"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "guard.yaml"
    path.write_text("listen: {host: a.example, port: 1}\nupstream: {url: 'http://file'}\n")
    return path


def test_nothing_set_is_the_defaults() -> None:
    assert load(environ={}) == Settings()


def test_the_environment_is_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_PORT, "4")
    assert load().listen.port == 4


def test_a_file_beats_the_defaults(file: Path) -> None:
    assert load(file, environ={}).listen.port == 1


def test_the_environment_beats_the_file_and_leaves_the_rest(file: Path) -> None:
    listen = load(file, environ={_PORT: "2"}).listen
    assert (listen.host, listen.port) == ("a.example", 2)


def test_flags_beat_the_environment(file: Path) -> None:
    settings = load(file, upstream="http://flag", listen="b.example:3", admin="[::1]:4", environ={_PORT: "2"})
    assert settings.upstream.url == "http://flag"
    assert settings.listen.url == "http://b.example:3"
    assert settings.admin.url == "http://[::1]:4"


def test_listen_on_a_port_beats_a_socket_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("listen: {unix: /run/guard.sock}\n")
    assert load(path, listen="127.0.0.1:1", environ={}).listen.url == "http://127.0.0.1:1"
    assert load(path, listen="unix:///b", environ={}).listen.url == "unix:///b"


def test_values_take_the_types_of_their_settings(
    tmp_path: Path, certificate_pair: tuple[Path, Path], authority_certificate: Path
) -> None:
    cert, key = certificate_pair
    path = tmp_path / "guard.yaml"
    path.write_text(
        f"listen: {{tls: {{cert: {cert}, key: {key}}}}}\n"
        f"upstream: {{url: 'https://hermes', ca: {authority_certificate}}}\n"
        "relay: {idle_timeout: 2m, buffer: 2MiB}\n"
        "client: {trusted_proxies: [10.0.0.0/8]}\n"
    )
    settings = load(path, environ={})
    assert settings.listen.tls is not None
    assert settings.listen.tls.cert == cert
    assert settings.upstream.ca == authority_certificate
    assert (settings.relay.idle_timeout, settings.relay.buffer) == (120.0, 2 << 20)
    assert settings.client.trusted_proxies == (IPv4Network("10.0.0.0/8"),)


def test_what_is_written_out_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    settings = load(environ={"STREAM_GUARD__RELAY__BUFFER": "3MiB", _PORT: "5"})
    path.write_text(settings.model_dump_json())
    assert load(path, environ={}) == settings


def test_a_bad_value_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"^STREAM_GUARD__LISTEN__PORT: listen\.port should"):
        load(environ={_PORT: "x"})
