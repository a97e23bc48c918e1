from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config.addresses import Host, Network, Port, UpstreamUrl, authority, is_loopback, parse_admin, parse_listen


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("127.0.0.1:8788", {"host": "127.0.0.1", "port": 8788, "unix": None}),
        ("guard.home:80", {"host": "guard.home", "port": 80, "unix": None}),
        ("[::1]:8788", {"host": "::1", "port": 8788, "unix": None}),
        ("unix:///run/guard.sock", {"unix": "/run/guard.sock"}),
    ],
)
def test_listen_takes_a_host_and_port_or_a_socket(text: str, keys: dict[str, Any]) -> None:
    assert parse_listen(text) == keys


@pytest.mark.parametrize("text", ["", "8788", ":8788", "::1:8788", "host:", "host:x", "host:1:2"])
def test_listen_refuses_other_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT, \[::1\]:PORT or unix:///path"):
        parse_listen(text)


def test_operators_connect_by_host_and_port_only() -> None:
    assert parse_admin("[::1]:8789") == {"host": "::1", "port": 8789}
    with pytest.raises(ValueError, match=r'should be HOST:PORT or \[::1\]:PORT, not "unix:///run/guard.sock"'):
        parse_admin("unix:///run/guard.sock")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_this_machines_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "guard.home", "localhost.example"])
def test_anything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("127.0.0.1", 80, "127.0.0.1:80"), ("::1", 80, "[::1]:80"), ("a.example", None, "a.example")],
)
def test_an_authority_brackets_ipv6(host: str, port: int | None, text: str) -> None:
    assert authority(host, port) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "fe80::1%eth0", "hermes_webui"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert TypeAdapter(Host).validate_python(host) == host


@pytest.mark.parametrize("host", ["", "[::1]", "127.0.0.1:80", "a b", "http://a"])
def test_a_host_has_neither_port_nor_brackets(host: str) -> None:
    with pytest.raises(ValidationError, match="without port or brackets"):
        TypeAdapter(Host).validate_python(host)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_has_sixteen_bits(port: int) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Port).validate_python(port)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
        ("HTTPS://Hermes.Home", "https://hermes.home"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://hermes_webui:8787", "http://hermes_webui:8787"),
        ("unix:///run/hermes.sock", "unix:///run/hermes.sock"),
    ],
)
def test_an_upstream_url_is_an_origin_or_a_socket(url: str, kept: str) -> None:
    assert TypeAdapter(UpstreamUrl).validate_python(url) == kept


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "should be http://HOST"),
        ("127.0.0.1:8787", "should be http://HOST"),
        ("ftp://host", "should be http://HOST"),
        ("http://", "should be http://HOST"),
        ("http://:8787", "should be http://HOST"),
        ("http://host:0", "should be http://HOST"),
        ("http://host:99999", "should be http://HOST"),
        ("http://host:port", "should be http://HOST"),
        ("http://[::1", "should be http://HOST"),
        ("http://ho st", "without spaces"),
        ("http://host\n", "without spaces"),
        ("http://ho|st", "host name or an address"),
        ("http://host/hermes", "should end after the host and port"),
        ("http://host?a=b", "should end after the host and port"),
        ("http://host#a", "should end after the host and port"),
        ("http://user@host", "no user name or password"),
        ("unix://run/hermes.sock", "absolute path"),
        ("unix:///" + "x" * 107, "at most 107 bytes"),
        ("unix:///a\0b", "absolute path"),
    ],
)
def test_an_upstream_url_has_nothing_else(url: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TypeAdapter(UpstreamUrl).validate_python(url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(UpstreamUrl).validate_python("http://user:hunter2@host")
    assert "hunter2" not in str(caught.value.errors()[0]["ctx"]["error"])


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", IPv4Network("10.0.0.0/8")),
        ("10.1.2.3", IPv4Network("10.1.2.3/32")),
        ("fd00::/8", IPv6Network("fd00::/8")),
    ],
)
def test_a_network_is_a_cidr_or_an_address(text: str, network: object) -> None:
    assert TypeAdapter(Network).validate_python(text) == network
    assert TypeAdapter(Network).validate_python(network) == network


@pytest.mark.parametrize("value", ["10.0.0.1/8", "10.0.0.0/33", "home", 10, None])
def test_a_bad_network_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="should be a network such as"):
        TypeAdapter(Network).validate_python(value)
