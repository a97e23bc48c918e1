"""Header fields: which go on, who asked, and that none of them ends its line."""

from ipaddress import ip_address, ip_network

from proxy.http.clients import certain_address, client_address, forwarded
from proxy.http.headers import (
    FORWARDED,
    HOP_BY_HOP,
    UNLISTABLE,
    RawHeaders,
    content_length,
    end_to_end,
    serialize,
    values,
    with_content_length,
)
from proxy.http.provenance import place, provenance

PEERS = ("8.8.8.8", "127.0.0.1", "::1", "", "fe80::1%eth0", "somewhere")
TRUSTED = (ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("10.0.0.0/8"))
STRANGERS = frozenset({"8.8.8.8", "somewhere"})
FORBIDDEN = frozenset(b"\r\n\0")


def check_fields(data: bytes) -> None:
    """The first byte is who asks, and each line after it one field."""
    peer = PEERS[(data[:1] or b"\0")[0] % len(PEERS)]
    pairs = [line.partition(b":") for line in data[1:].split(b"\n")]
    headers = tuple((name, value) for name, _, value in pairs)
    _check_end_to_end(headers)
    _check_forwarded(headers, peer)
    _check_client(headers, peer)
    _check_serialized(headers)
    assert content_length(with_content_length(headers, 7)) == 7


def _check_end_to_end(headers: RawHeaders) -> None:
    kept = end_to_end(headers)
    remaining = iter(headers)
    assert all(pair in remaining for pair in kept)  # in order
    names = {name.lower() for name, _ in kept}
    assert not names & HOP_BY_HOP
    assert names >= {name.lower() for name, _ in headers} & UNLISTABLE


def _check_forwarded(headers: RawHeaders, peer: str) -> None:
    sent = forwarded(headers, peer=peer, secure=True, trusted=TRUSTED)
    [chain] = values(sent, b"x-forwarded-for")
    assert chain.endswith((peer or "127.0.0.1").encode())
    assert not values(sent, b"expect")
    assert len(values(sent, b"host")) == len(values(headers, b"host"))
    if peer in STRANGERS:
        own = [name.lower() for name, _ in sent if name.lower() in FORWARDED]
        assert len(own) == len(set(own)) <= 3
        assert chain == peer.encode()
        assert values(sent, b"x-forwarded-proto") == [b"https"]


def _check_client(headers: RawHeaders, peer: str) -> None:
    client = client_address(headers, peer=peer, trusted=TRUSTED)
    assert client_address(headers, peer=peer) == (peer or "127.0.0.1")
    assert client == peer or ip_address(client)
    certain = certain_address(headers, peer=peer, trusted=TRUSTED)
    assert certain is None or not values(headers, b"x-forwarded-for") or peer not in STRANGERS
    assert certain in {None, ip_address(client)} if client != "somewhere" else certain is None
    provenance(headers)
    place(headers)


def _check_serialized(headers: RawHeaders) -> None:
    expected = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    if any(FORBIDDEN.intersection(part) for pair in headers for part in pair):
        try:
            serialize(b"line", headers)
        except ValueError:
            return
        raise AssertionError("a field would end its line")
    assert serialize(b"line", headers) == b"line\r\n" + expected + b"\r\n"
