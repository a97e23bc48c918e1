"""What the settings say about browsers is what the listener and the gate go by."""

from ipaddress import ip_network

from proxy.app.gate import gate_rules, listener_rules
from proxy.config import ClientSettings, RelaySettings, Settings
from proxy.gate.gate import GateRules
from proxy.http.downstream.rules import LOOPBACK, Rules

NETWORKS = (ip_network("10.0.0.0/8"),)
SETTINGS = Settings(
    client=ClientSettings(
        trusted_proxies=NETWORKS,
        local_networks=NETWORKS,
        identity_headers=("My-User",),
        connections=2,
        body_rate=4,
    ),
    relay=RelaySettings(stall_timeout=5.0),
)


def test_the_listener_goes_by_the_settings() -> None:
    assert listener_rules(SETTINGS) == Rules(
        trusted_proxies=NETWORKS,
        identity_headers=frozenset({b"my-user"}),
        patience=5.0,
        body_rate=4,
        connections=2,
        uncounted=LOOPBACK,
    )


def test_the_gate_goes_by_the_settings() -> None:
    assert gate_rules(SETTINGS) == GateRules(local_networks=NETWORKS)


def test_both_have_the_settings_defaults() -> None:
    assert listener_rules(Settings()) == Rules()
    assert ip_network("192.168.0.0/16") in gate_rules(Settings()).local_networks
