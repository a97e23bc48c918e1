"""Who asks: the address of a browser, as far as it can be known, and what the backend is told of it. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from proxy.http.headers import FORWARDED, RawHeaders, about_one_hop, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SAID_ANEW = frozenset({b"expect", b"x-forwarded-for"})
"""What the proxy says itself, in place of what came."""


def forwarded(
    headers: RawHeaders,
    *,
    peer: str,
    secure: bool,
    trusted: Sequence[Network] = (),
    identity: Callable[[bytes], bool] = lambda _name: False,
) -> RawHeaders:
    """The end-to-end fields of a request, with who asked for it at their end.

    ``X-Forwarded-For`` and ``-Host`` are set, and ``-Proto`` if it is certain: over plain HTTP the
    browser may still speak TLS with a proxy in front that says nothing of it. What a browser says
    there itself is dropped, and ``Forwarded`` (RFC 7239) with it; from a proxy in ``trusted`` the
    first is appended to and the others are kept. So is what says who is logged in: the backend may believe
    it of this proxy, which nobody but a trusted proxy may use for that. ``Host`` stays as it is
    (F10: the backend compares ``Origin`` with it). ``Expect`` ends here: this proxy answers it.

    Args:
        headers: The request's fields as received.
        peer: The IP address at the other end of the connection; empty for a Unix socket.
        secure: Whether that connection is TLS.
        trusted: The networks whose word is taken.
        identity: Whether a field of that name, in lower case, says who somebody is.
    """
    is_believed = is_within(peer, trusted)
    dropped = about_one_hop(headers).union(_SAID_ANEW if is_believed else _SAID_ANEW | FORWARDED)
    kept = [
        field
        for field in headers
        if not ((name := field[0].lower()) in dropped or (identity(name) and not is_believed))
    ]
    chain = [hops for hops in values(headers, b"x-forwarded-for") if hops and is_believed]
    kept.append((b"X-Forwarded-For", b", ".join([*chain, _spelled(peer).encode()])))
    if not (is_believed and values(kept, b"x-forwarded-host")):
        kept += [(b"X-Forwarded-Host", host) for host in values(headers, b"host")[:1]]
    if secure and not (is_believed and values(kept, b"x-forwarded-proto")):
        kept.append((b"X-Forwarded-Proto", b"https"))
    return tuple(kept)


def client_address(headers: RawHeaders, *, peer: str, trusted: Sequence[Network] = ()) -> str:
    """The address of the browser, for the record: the nearest one that is not a trusted proxy.

    Read from the right, since only what trusted proxies appended can be believed. A chain that
    is trusted throughout ends at its first member; one that holds something that is no address
    ends at the proxy that wrote it.
    """
    nearest = _spelled(peer)
    for hop in _hops(headers):
        if not is_within(nearest, trusted) or (address := _address(hop)) is None:
            break
        nearest = str(address)
    return nearest


def certain_address(headers: RawHeaders, *, peer: str, trusted: Sequence[Network] = ()) -> Address | None:
    """The address of the browser, for deciding what it may: None wherever there is a doubt.

    Everybody who asks for somebody else has to be a trusted proxy, and has to say so in
    ``X-Forwarded-For``, which is all that is read here. A chain that holds something that is no
    address, or passed through a proxy that nobody has vouched for, leaves a doubt.
    """
    hops = [_address(hop) for hop in _hops(headers)]
    if not hops and any(key.lower() in FORWARDED for key, _ in headers):
        return None
    asking = _address(_spelled(peer))
    for hop in hops:
        if asking is None or not _belongs(asking, trusted):
            return None
        asking = hop
    return asking


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address, as ``peer`` has it, belongs to one of the networks."""
    parsed = _address(_spelled(address))
    return parsed is not None and _belongs(parsed, networks)


def neighbourhood(address: str) -> str:
    """Whom an address is counted with: itself, or its /64 if it is IPv6, which one client has whole."""
    parsed = _address(_spelled(address))
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed or address)


def _hops(headers: RawHeaders) -> Iterator[str]:
    """What ``X-Forwarded-For`` names, nearest first."""
    for value in reversed(values(headers, b"x-forwarded-for")):
        for hop in reversed(value.decode("latin-1").split(",")):
            yield hop.strip().strip('"')


def _spelled(peer: str) -> str:
    """An address as it is written: a peer on a Unix socket is this host, and one by IPv4 is not dressed as IPv6."""
    return peer.removeprefix("::ffff:") if "." in peer else peer or "127.0.0.1"


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    """The address in ``text``, which may carry a port; an IPv4 one is never dressed as IPv6."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _belongs(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
