"""What the settings say about browsers, as the listener and the gate go by it."""

from proxy.config import Settings
from proxy.gate.gate import GateRules
from proxy.http.downstream.rules import Rules


def listener_rules(settings: Settings) -> Rules:
    """On which terms the listener serves browsers."""
    client = settings.client
    return Rules(
        trusted_proxies=client.trusted_proxies,
        identity_headers=frozenset(name.lower().encode() for name in client.identity_headers),
        patience=settings.relay.stall_timeout,
        body_rate=client.body_rate,
        connections=client.connections,
    )


def gate_rules(settings: Settings) -> GateRules:
    """What the gate goes by."""
    return GateRules(local_networks=settings.client.local_networks)
