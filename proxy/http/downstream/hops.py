"""How many proxies an ``OPTIONS`` or ``TRACE`` may still pass (``Max-Forwards``, RFC 9110 §7.6.2). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.http.errors import BadRequestError, UnsupportedRequestError
from proxy.http.headers import values
from proxy.http.message import Answer

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders

COUNTED: Final = frozenset({"OPTIONS", "TRACE"})
"""The methods for which the field means anything."""

FIELD: Final = b"max-forwards"

MOST: Final = 18
"""Most digits that are counted: a chain is never as long."""

LAST_HOP: Final = Answer(
    200, b"OK", ((b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), (b"Content-Length", b"0")), b""
)
"""What an ``OPTIONS`` that may go no further is told (RFC 9110 §9.3.7)."""


def hops_left(method: str, headers: RawHeaders) -> int | None:
    """How many more proxies a request may pass; None if nothing limits it.

    Raises:
        BadRequestError: it says so twice, or not by a number.
    """
    stated = values(headers, FIELD) if method in COUNTED else []
    if not stated:
        return None
    if len(stated) > 1 or not stated[0].isdigit() or len(stated[0]) > MOST:
        raise BadRequestError("The request's Max-Forwards is not a number.")
    return int(stated[0])


def answer_here(method: str) -> Answer:
    """What a request is told that may go no further.

    Raises:
        UnsupportedRequestError: a ``TRACE``: who asks would be shown every credential of whoever was made to ask.
    """
    if method == "OPTIONS":
        return LAST_HOP
    raise UnsupportedRequestError("By its Max-Forwards this TRACE ends here, and TRACE is not implemented.")


def passed_on(method: str, headers: RawHeaders) -> RawHeaders:
    """The fields as they go on: with one hop less to go."""
    left = hops_left(method, headers)
    if left is None:
        return headers
    return tuple((key, b"%d" % (left - 1) if key.lower() == FIELD else value) for key, value in headers)
