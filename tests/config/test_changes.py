"""What differs between two sets of settings."""

from ipaddress import ip_network
from pathlib import Path

from proxy.config import ClientSettings, ListenSettings, RelaySettings, Settings, TlsSettings, changed


def test_equal_settings_differ_in_nothing() -> None:
    assert changed(Settings(), Settings()) == {}


def test_what_differs_is_named_by_its_path_and_written_as_in_the_file() -> None:
    after = Settings(
        relay=RelaySettings(buffer=2 << 20),
        client=ClientSettings(trusted_proxies=(ip_network("10.0.0.0/8"),)),
    )
    assert changed(Settings(), after) == {"relay.buffer": "2MiB", "client.trusted_proxies": ["10.0.0.0/8"]}
    assert changed(after, Settings()) == {"relay.buffer": "1MiB", "client.trusted_proxies": []}


def test_a_section_that_comes_or_goes_is_a_difference() -> None:
    tls = TlsSettings.model_construct(cert=Path("cert.pem"), key=Path("key.pem"))
    listen = ListenSettings().model_copy(update={"tls": tls})
    after = Settings().model_copy(update={"listen": listen})
    assert set(changed(Settings(), after)) == {"listen.tls.cert", "listen.tls.key"}
    assert changed(after, Settings()) == {"listen.tls": None}
