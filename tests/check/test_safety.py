"""Who may do what, and who can listen in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from proxy.check.evidence import Evidence
from proxy.check.findings import ERROR, NOTE, WARNING, Severity
from proxy.check.safety import of_access, of_identity, of_place, of_settings
from proxy.config import (
    AdminSettings,
    ClientSettings,
    LaneSettings,
    ListenSettings,
    Settings,
    TlsSettings,
    UpstreamSettings,
)
from proxy.hermes.answers import Login
from proxy.hermes.probe import Forwarded, Identity
from proxy.hermes.releases import Span

OPEN = Login(needed=False, done=False, knows_oidc=True)
CLOSED = Login(needed=True, done=False, knows_oidc=True)
HOME = ListenSettings()
WORLD = ListenSettings(host="0.0.0.0")


def settings(listen: ListenSettings = HOME, **others: Any) -> Settings:
    return Settings(listen=listen, **others)


@pytest.mark.parametrize(
    ("listen", "login", "forwarded", "expected"),
    [
        (HOME, CLOSED, None, {}),
        (WORLD, CLOSED, None, {}),
        (HOME, OPEN, Forwarded.BELIEVED, {"no_login": NOTE}),
        (WORLD, OPEN, Forwarded.BELIEVED, {"exposed_without_login": ERROR}),
        (HOME, OPEN, Forwarded.IGNORED, {"no_login": NOTE, "forwarded_for_ignored": NOTE}),
        (WORLD, OPEN, Forwarded.IGNORED, {"exposed_without_login": ERROR, "forwarded_for_ignored": NOTE}),
        (HOME, OPEN, Forwarded.REFUSED, {"no_login": NOTE, "forwarded_for_refused": NOTE}),
        (HOME, OPEN, None, {"no_login": NOTE}),
        (HOME, None, None, {"login_unknown": WARNING}),
    ],
)
def test_who_may_do_what(
    listen: ListenSettings, login: Login | None, forwarded: Forwarded | None, expected: dict[str, Severity]
) -> None:
    """F9."""
    found = of_access(settings(listen), Evidence(login=login, forwarded=forwarded))
    assert {finding.code: finding.severity for finding in found} == expected


@pytest.mark.parametrize(
    ("url", "peer", "expected"),
    [
        ("http://127.0.0.1:8787", "127.0.0.1", {"reachable_directly": NOTE}),
        ("http://hermes:8787", "172.18.0.2", {"upstream_in_the_clear": NOTE, "reachable_directly": NOTE}),
        ("http://hermes.example", "8.8.8.8", {"upstream_in_the_clear": WARNING, "reachable_directly": NOTE}),
        ("https://hermes.example", "8.8.8.8", {"reachable_directly": NOTE}),
        ("unix:///run/hermes.sock", "", {}),
    ],
)
def test_who_can_listen_in_on_the_way_to_hermes(url: str, peer: str, expected: dict[str, Severity]) -> None:
    found = of_place(settings(upstream=UpstreamSettings(url=url)), Evidence(peer=peer))
    assert {finding.code: finding.severity for finding in found} == expected


@pytest.mark.parametrize(
    ("relays", "release", "tight"),
    [
        (84, Span(first=(0, 51, 789)), False),
        (85, Span(first=(0, 51, 789)), True),
        (85, Span(), True),
        (85, Span(until=(0, 51, 285)), False),
    ],
)
def test_lanes_leave_room_for_idle_connections(
    relays: int,
    release: Span,
    tight: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    """F7: 16 + 24 + 84 + 4 = 128."""
    lanes = UpstreamSettings(lanes=LaneSettings(relays=relays))
    found = of_place(settings(upstream=lanes), Evidence(release=release))
    assert [finding.code for finding in found] == (["lanes_tight"] if tight else [])


@pytest.mark.parametrize(
    ("identity", "client", "code", "severity", "todo"),
    [
        (Identity.BELIEVED, {}, "identity_header_believed", NOTE, "Name the proxy that logs people in"),
        (
            Identity.BELIEVED,
            {"trusted_proxies": ["10.0.0.5/32"]},
            "identity_header_believed",
            NOTE,
            "Have what is in there replace such headers",
        ),
        (Identity.ANOTHER, {}, "identity_header_unknown", WARNING, "client.identity_headers"),
        (
            Identity.ANOTHER,
            {"identity_headers": ["X-Mine"]},
            "identity_header_unknown",
            NOTE,
            "client.identity_headers",
        ),
    ],
)
def test_a_hermes_that_believes_who_is_logged_in_is_told_of(
    identity: Identity, client: dict[str, Any], code: str, severity: Severity, todo: str
) -> None:
    [found] = of_identity(settings(client=ClientSettings.model_validate(client)), Evidence(identity=identity))
    assert (found.code, found.severity) == (code, severity)
    assert todo in found.todo


@pytest.mark.parametrize("identity", [None, Identity.NOT_BELIEVED])
def test_of_a_hermes_that_believes_no_header_nothing_is_said(identity: Identity | None) -> None:
    assert not list(of_identity(settings(), Evidence(identity=identity)))


@pytest.mark.parametrize(
    ("network", "wide"),
    [
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("8.0.0.0/8", True),
        ("10.0.0.0/8", False),
        ("fc00::/7", False),
        ("203.0.113.0/24", False),
        ("173.245.48.0/20", False),
    ],
)
def test_trusting_the_internet_is_trusting_everybody(
    network: str,
    wide: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    client = ClientSettings.model_validate({"trusted_proxies": [network]})
    found = of_settings(settings(client=client))
    assert [finding.code for finding in found] == (["trusted_proxies_wide"] if wide else [])


def test_listening_in_the_clear_is_for_loopback_or_behind_a_front() -> None:
    front = ClientSettings.model_validate({"trusted_proxies": ["10.0.0.5/32"]})
    certified = TlsSettings.model_construct(cert=Path("c"), key=Path("k"))
    tls = ListenSettings.model_construct(host="0.0.0.0", port=1, tls=certified, unix=None)
    codes = [
        [finding.code for finding in of_settings(each)]
        for each in (settings(), settings(WORLD), settings(WORLD, client=front), settings(tls))
    ]
    assert codes == [[], ["listening_in_the_clear"], [], []]


def test_what_is_said_of_an_exposed_one_names_where_it_listens() -> None:
    (finding,) = of_access(settings(WORLD), replace(Evidence(login=OPEN)))
    assert "http://0.0.0.0:8788" in finding.what
    assert "or listen on 127.0.0.1" in finding.todo


@pytest.mark.parametrize(("networks", "wide"), [(["10.0.0.0/8", "203.0.113.0/24"], False), (["0.0.0.0/0"], True)])
def test_a_wide_local_network_lets_strangers_set_hermes_up(networks: list[str], *, wide: bool) -> None:
    settings = Settings(client=ClientSettings.model_validate({"local_networks": networks}))
    found = list(of_settings(settings))
    assert [finding.code for finding in found] == (["local_networks_wide"] if wide else [])


def test_operators_off_loopback_are_told_that_their_token_can_be_read() -> None:
    admin = AdminSettings(host="0.0.0.0", token=SecretStr("correct-horse-battery-staple"))
    assert [finding.code for finding in of_settings(Settings(admin=admin))] == ["admin_in_the_clear"]
    assert not list(of_settings(Settings(admin=admin.model_copy(update={"enabled": False}))))
