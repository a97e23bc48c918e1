"""Browsers elsewhere: the lab's come from 127.0.0.1, and behind a proxy that is trusted, from wherever it says."""

from ipaddress import ip_network

from proxy.config import ClientSettings

FRONT = ClientSettings(trusted_proxies=(ip_network("127.0.0.1/32"),))
STRANGER, LAN, HOST = "203.0.113.9", "192.168.1.20", "127.0.0.1"


def coming_from(*chain: str) -> dict[str, str]:
    """What that proxy says of a request."""
    return {"X-Forwarded-For": ", ".join(chain)}
