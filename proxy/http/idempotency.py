"""The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header-07). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.http.errors import BadRequestError
from proxy.http.headers import values

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders

LONGEST: Final = 256
"""Bytes of a key; a UUID has 36."""

_ITEM: Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])+)" *(?:;.*)?')
"""A String, and parameters, of which none means anything (RFC 9651 sections 3.3.3 and 3.1.2)."""

_BARE: Final = re.compile(rb"[!#-+\--:<-~]+")
"""Visible ASCII but for a quote, a comma and a semicolon: what many clients send, such as a UUID without quotes."""

_ESCAPED: Final = re.compile(rb'\\(["\\])')


def idempotency_key(headers: RawHeaders) -> bytes | None:
    """The key that a request brings, without its quotes; None if it brings none.

    Raises:
        BadRequestError: it cannot be read, or is too long. To go on without it would break what the client relies on.
    """
    fields = values(headers, b"idempotency-key")
    if not fields:
        return None
    key = _read(fields[0]) if len(fields) == 1 else None
    if key is None or len(key) > LONGEST:
        raise BadRequestError(
            f'The Idempotency-Key header should be one key of 1 to {LONGEST} ASCII characters, such as "8e03978e-40d5".'
        )
    return key


def _read(field: bytes) -> bytes | None:
    if item := _ITEM.fullmatch(field.strip(b" ")):
        return _ESCAPED.sub(rb"\1", item[1])
    return field if _BARE.fullmatch(field) else None
