"""What a request is for: the forms of its target (RFC 9112 §3.2). Pure."""

from __future__ import annotations

import re
from typing import Final

from proxy.http.errors import BadRequestError, UnsupportedRequestError
from proxy.http.strictness import HOST

_ABSOLUTE: Final = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)((?:[/?].*)?)", re.IGNORECASE | re.DOTALL)
"""A scheme, an authority, and what is asked for there (RFC 3986 §3)."""

_LAST_PORT: Final = 65_535


def split_target(method: str, target: bytes) -> tuple[bytes | None, bytes]:
    """The authority that a target names, if any, and the target in origin-form, or ``*``.

    It is kept byte for byte, but that absolute-form loses its scheme and authority (RFC 9112 §3.2.2): everybody behind
    here sees one path for one resource.

    Raises:
        UnsupportedRequestError: a ``CONNECT`` (RFC 9110 §9.3.6): this is a gateway of one server, and opens no tunnels.
        BadRequestError: it is in no form, or in one that is for other methods.
    """
    if method == "CONNECT":
        raise UnsupportedRequestError("This is no tunnelling proxy: CONNECT is not implemented.")
    if target.startswith(b"/") or (target == b"*" and method == "OPTIONS"):
        return None, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not _is_authority(match[1]):
        raise BadRequestError("The request target is malformed.")
    return match[1], match[2] if match[2].startswith(b"/") else b"/" + match[2]


def _is_authority(authority: bytes) -> bool:
    """Whether it is a host and no user (RFC 9110 §4.2.4), with a port that somebody can listen on."""
    if not authority or authority.startswith(b":") or not HOST.fullmatch(authority):
        return False
    port = authority.rpartition(b"]")[2].rpartition(b":")[2] if b":" in authority.rpartition(b"]")[2] else b""
    return len(port) <= len(str(_LAST_PORT)) and int(port or 0) <= _LAST_PORT
