"""Header fields as the bytes they came in: which go on, which stay here. Pure.

Names keep their case, fields their order, repeated fields stay apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Pairs of name and value, exactly as received."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
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


class Fields(tuple[tuple[bytes, bytes], ...]):  # noqa: SLOT001 - a tuple has no room for slots
    """Fields exactly as received, in which a name is looked up and not searched for: a proxy asks for many.

    Attributes:
        by_name: The values of each name, in lower case, in order.
    """

    by_name: dict[bytes, list[bytes]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
        """The fields of a head, without the space that may stand behind a name or a value (RFC 9112 §5.1)."""
        by_name: dict[bytes, list[bytes]] = {}
        kept = []
        for name, value in pairs:
            key, stripped = name.rstrip(), value.rstrip(b" \t")
            by_name.setdefault(key.lower(), []).append(stripped)
            kept.append((key, stripped))
        fields = cls(kept)
        fields.by_name = by_name
        return fields


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The values of every field called ``name`` (given in lower case), in order."""
    if isinstance(headers, Fields):
        return headers.by_name.get(name, [])
    return [value for key, value in headers if key.lower() == name]


def tokens(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a comma-separated field, stripped and in lower case (RFC 9110 §5.6.1)."""
    members = (part.strip().lower() for value in values(headers, name) for part in value.split(b","))
    return [member for member in members if member]


def without(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> RawHeaders:
    """The fields whose name, in lower case, is none of ``names``."""
    dropped = frozenset(names)
    if isinstance(headers, Fields) and dropped.isdisjoint(headers.by_name):
        return headers
    return tuple([field for field in headers if field[0].lower() not in dropped])


def only(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> RawHeaders:
    """``headers`` with nothing but these lower-case ``names``."""
    kept = frozenset(names)
    return tuple((name, value) for name, value in headers if name.lower() in kept)


def end_to_end(headers: RawHeaders) -> RawHeaders:
    """The fields that go on to the next hop (RFC 9110 §7.6.1)."""
    return without(headers, about_one_hop(headers))


def about_one_hop(headers: RawHeaders) -> frozenset[bytes]:
    """The names, in lower case, of the fields that do not go on."""
    named = tokens(headers, b"connection")
    return HOP_BY_HOP.union(frozenset(named) - UNLISTABLE) if named else HOP_BY_HOP


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
    return _joined([start_line, *[name + b": " + value for name, value in headers]])


def serialize_fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A trailer section, ready for the wire.

    Raises:
        ValueError: as `serialize`.
    """
    lines = [name + b": " + value for name, value in headers]
    return _joined(lines) if lines else b"\r\n"


def _joined(lines: list[bytes]) -> bytes:
    head = b"\r\n".join(lines)
    ends = len(lines) - 1
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\x00" in head:
        raise ValueError("a header holds a CR, LF or NUL byte")
    return head + b"\r\n\r\n"
