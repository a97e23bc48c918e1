"""On which terms browsers are served; what is in force can change while the server runs."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from proxy.http.identity import says_who

if TYPE_CHECKING:
    from proxy.http.clients import Network

LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom the server believes, and how long and how much it bears (P7).

    Attributes:
        trusted_proxies: Networks whose ``X-Forwarded-*`` is believed.
        identity_headers: Names, in lower case, of fields that say who is logged in, besides those that
            are known to; only a trusted proxy may send them.
        patience: Seconds to wait for a browser that neither sends nor takes anything.
        head_timeout: Seconds that the head of a request may take.
        body_rate: Bytes a second that a request's body has to come to. A browser that is slower
            has ``patience`` seconds to make up for it.
        connections: Most that one client may have open.
        uncounted: Networks whose connections are not counted, besides trusted proxies: everybody
            behind a proxy on this host that nobody has named would be taken for one client.
    """

    trusted_proxies: tuple[Network, ...] = ()
    identity_headers: frozenset[bytes] = frozenset()
    patience: float = 30.0
    head_timeout: float = 10.0
    body_rate: int = 1024
    connections: int = 128
    uncounted: tuple[Network, ...] = LOOPBACK

    def is_identity(self, name: bytes) -> bool:
        """Whether a field of that name, in lower case, says who somebody is."""
        return name in self.identity_headers or says_who(name)
