"""Header fields as the bytes they came in: which go on, which stay here. Pure.

Names keep their case, fields their order, repeated fields stay apart.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Pairs of name and value, exactly as received."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1: about one connection, so never passed on to the next one.

``Proxy-Authorization`` and its like are none of them: they are for whoever asked for them (§11.7.2), which is not this
proxy, and pass.
"""

FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-host", b"x-real-ip"}
)
"""What a browser could say about itself, and only a trusted proxy may."""

UNLISTABLE = frozenset({b"content-length", b"host"}) | FORWARDED
"""Kept though ``Connection`` names them: the next hop would read another message, or believe another sender."""

FORBIDDEN = (b"\r", b"\n", b"\x00")


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The values of every field called ``name`` (given in lower case), in order."""
    return [value for key, value in headers if key.lower() == name]


def tokens(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a comma-separated field, stripped and in lower case (RFC 9110 §5.6.1)."""
    members = (part.strip().lower() for value in values(headers, name) for part in value.split(b","))
    return [member for member in members if member]


def without(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> RawHeaders:
    """The fields whose name, in lower case, is none of ``names``."""
    dropped = frozenset(names)
    return tuple((key, value) for key, value in headers if key.lower() not in dropped)


def only(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> RawHeaders:
    """``headers`` with nothing but these lower-case ``names``."""
    kept = frozenset(names)
    return tuple((name, value) for name, value in headers if name.lower() in kept)


def end_to_end(headers: RawHeaders) -> RawHeaders:
    """The fields that go on to the next hop (RFC 9110 §7.6.1)."""
    named = frozenset(tokens(headers, b"connection")) - UNLISTABLE
    return without(headers, HOP_BY_HOP | named)


def content_length(headers: RawHeaders) -> int | None:
    """The length the first ``Content-Length`` states, in bytes."""
    stated = values(headers, b"content-length")
    return int(stated[0]) if stated and stated[0].isdigit() else None


def with_content_length(headers: RawHeaders, length: int) -> RawHeaders:
    """The fields with one ``Content-Length`` of ``length``, where the old one stood."""
    field = (b"Content-Length", b"%d" % length)
    if content_length(headers) is None:
        return (*without(headers, [b"content-length"]), field)
    return tuple(field if key.lower() == b"content-length" else (key, v) for key, v in headers)


def with_host(headers: RawHeaders, host: bytes) -> RawHeaders:
    """The fields with one ``Host`` that says ``host``, where the old one stood."""
    if not values(headers, b"host"):
        return (*headers, (b"Host", host))
    return tuple((key, host if key.lower() == b"host" else value) for key, value in headers)


def serialize(start_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A message head, ready for the wire.

    Raises:
        ValueError: a part holds CR, LF or NUL and would end its line early (RFC 9110 §5.5).
    """
    lines = [start_line, *(name + b": " + value for name, value in headers)]
    head = b"\r\n".join(lines)
    ends = len(lines) - 1
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\x00" in head:
        raise ValueError("a header holds a CR, LF or NUL byte")
    return head + b"\r\n\r\n"


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
    sent = end_to_end(headers)
    believed = sent if is_within(peer, trusted) else _unbelieved(sent, identity)
    chain = [*(v for v in values(believed, b"x-forwarded-for") if v), _spelled(peer).encode()]
    kept = without(believed, [b"x-forwarded-for", b"expect"])
    added = [(b"X-Forwarded-For", b", ".join(chain))]
    if not values(kept, b"x-forwarded-host"):
        added += [(b"X-Forwarded-Host", host) for host in values(headers, b"host")[:1]]
    if secure and not values(kept, b"x-forwarded-proto"):
        added.append((b"X-Forwarded-Proto", b"https"))
    return (*kept, *added)


def _unbelieved(headers: RawHeaders, identity: Callable[[bytes], bool]) -> RawHeaders:
    """What remains of a stranger's fields."""
    return tuple(field for field in headers if not ((name := field[0].lower()) in FORWARDED or identity(name)))


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
