"""What is unsafe about a deployment: who may do what, and who can listen in. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from proxy.check.evidence import Evidence
from proxy.check.facts import HAS_THREADS
from proxy.check.findings import ERROR, NOTE, WARNING, Finding
from proxy.config import Settings
from proxy.hermes.probe import LOGIN, Forwarded, Identity
from proxy.http.upstream.upstream import IDLE_CONNECTIONS

_WIDE: Final = 1 << 16
"""Addresses of the internet that are one's own proxies, at most."""

_THREADS: Final = 128


def of_access(settings: Settings, seen: Evidence) -> Iterator[Finding]:
    """Who may do what."""
    exposed = settings.listen.is_exposed
    if seen.login is None:
        yield Finding(
            "login_unknown",
            WARNING,
            f"Hermes does not say whether it wants a login ({LOGIN.method} {LOGIN.target}).",
            "If it wants none, whoever reaches the proxy can have the agent run commands.",
            "Look whether it asks for one, in a browser that is not logged in.",
        )
    elif not seen.login.needed:
        yield Finding(
            "exposed_without_login" if exposed else "no_login",
            ERROR if exposed else NOTE,
            f"Hermes wants no login{f', and {settings.listen.url} can be reached from elsewhere' if exposed else ''}.",
            "Whoever reaches the proxy can read every conversation and have the agent run commands.",
            "Set HERMES_WEBUI_PASSWORD where Hermes runs" + (", or listen on 127.0.0.1." if exposed else "."),
        )
    if seen.forwarded is Forwarded.IGNORED:
        yield Finding(
            "forwarded_for_ignored",
            NOTE,
            "Hermes takes everybody who comes through the proxy for local (F9).",
            "The proxy refuses its set-up and its terminal to whoever is not; Hermes by itself would not.",
            "Nothing; on v0.52, HERMES_WEBUI_TRUST_FORWARDED_FOR=1 where Hermes runs makes it look as well.",
        )
    if seen.forwarded is Forwarded.REFUSED:
        yield Finding(
            "forwarded_for_refused",
            NOTE,
            "Hermes takes nobody who comes through the proxy for local (F9).",
            "Its set-up and its terminal are closed to everybody while it wants no login.",
            "Set HERMES_WEBUI_TRUST_FORWARDED_FOR=1 and HERMES_WEBUI_TRUSTED_PROXY_CIDRS to the proxy's address.",
        )


def of_identity(settings: Settings, seen: Evidence) -> Iterator[Finding]:
    """Who may say who is logged in."""
    trusted, own = settings.client.trusted_proxies, settings.client.identity_headers
    if seen.identity is Identity.BELIEVED:
        yield Finding(
            "identity_header_believed",
            NOTE,
            "Hermes lets in whoever a header names (HERMES_WEBUI_TRUSTED_AUTH_HEADER), if the proxy passes it on.",
            "The proxy takes such headers from client.trusted_proxies only"
            + (": whoever has an address in there can be anyone." if trusted else ", and there are none."),
            "Have what is in there replace such headers of its own clients'."
            if trusted
            else "Name the proxy that logs people in in client.trusted_proxies, or have Hermes believe no header.",
        )
    if seen.identity is Identity.ANOTHER:
        yield Finding(
            "identity_header_unknown",
            NOTE if own else WARNING,
            "Hermes believes a header that says who is logged in, and none of those that were tried.",
            "Where the proxy does not know a name for one, any browser may send it, and be anyone.",
            "Put HERMES_WEBUI_TRUSTED_AUTH_HEADER and HERMES_WEBUI_TRUSTED_GROUPS_HEADER into client.identity_headers.",
        )


def of_place(settings: Settings, seen: Evidence) -> Iterator[Finding]:
    """Where Hermes is, as seen from the proxy, and how much of it there is."""
    peer = ip_address(seen.peer) if seen.peer else None
    if peer is not None and not peer.is_loopback and settings.upstream.url.startswith("http:"):
        yield Finding(
            "upstream_in_the_clear",
            NOTE if peer.is_private else WARNING,
            f"The proxy speaks plain HTTP with {peer}.",
            "Whoever is on the way can read passwords, cookies and conversations.",
            "Run the proxy where Hermes runs, or have Hermes speak TLS and write https:// in upstream.url.",
        )
    if peer is not None:
        yield Finding(
            "reachable_directly",
            NOTE,
            "Whether Hermes can be reached past the proxy cannot be seen from here.",
            "What does not go through the proxy is not guarded, and takes threads from what does.",
            "Have Hermes listen on 127.0.0.1, or publish no port of its container.",
        )
    lanes = settings.upstream.lanes
    total = lanes.control + lanes.calls + lanes.relays
    if total + IDLE_CONNECTIONS > _THREADS and HAS_THREADS.holds_for(seen.release) is not False:
        yield Finding(
            "lanes_tight",
            WARNING,
            f"upstream.lanes come to {total}, of Hermes' {_THREADS} threads.",
            f"The proxy keeps {IDLE_CONNECTIONS} idle connections besides, each with a thread (F7): calls may get 503.",
            f"Make them {_THREADS - IDLE_CONNECTIONS} or fewer together.",
        )


def of_settings(settings: Settings) -> Iterator[Finding]:
    """What is unsafe whatever Hermes is."""
    trusted = settings.client.trusted_proxies
    for network in trusted:
        if _is_wide(network):
            yield Finding(
                "trusted_proxies_wide",
                WARNING,
                f"client.trusted_proxies has {network}, which takes in addresses of the internet.",
                "Whoever comes from one of them can claim to be anybody, and local (F9).",
                "Name the addresses of your own proxies only.",
            )
    for network in settings.client.local_networks:
        if _is_wide(network):
            yield Finding(
                "local_networks_wide",
                WARNING,
                f"client.local_networks has {network}, which takes in addresses of the internet.",
                "Whoever comes from one of them may set Hermes up and run commands while it wants no login (F9).",
                "Name your own networks only, and set a password in Hermes.",
            )
    if settings.admin.enabled and settings.admin.is_exposed:
        yield Finding(
            "admin_in_the_clear",
            NOTE,
            f"Operators speak plain HTTP with {settings.admin.url}.",
            "Whoever is on the way can read the token, and what runs.",
            "Leave admin.host at 127.0.0.1 and use a tunnel, or put a proxy with TLS in front of it.",
        )
    if settings.listen.is_exposed and settings.listen.tls is None and not trusted:
        yield Finding(
            "listening_in_the_clear",
            WARNING,
            f"Browsers speak plain HTTP with {settings.listen.url}.",
            "Whoever is on the way can read passwords, cookies and conversations.",
            "Set listen.tls, or put a proxy with TLS in front and name it in client.trusted_proxies.",
        )


def _is_wide(network: IPv4Network | IPv6Network) -> bool:
    return not network.is_private and network.num_addresses > _WIDE
