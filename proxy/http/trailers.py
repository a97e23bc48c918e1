"""Which fields may stand behind a body, and go on as such (RFC 9110 §6.5). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.http.headers import FORWARDED, HOP_BY_HOP, tokens
from proxy.http.identity import says_who

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.headers import RawHeaders

_NEVER: Final = (
    HOP_BY_HOP
    | FORWARDED
    | {
        *(b"content-encoding", b"content-length", b"content-range", b"content-type", b"host", b"trailer"),
        *(b"cache-control", b"expect", b"if", b"max-forwards", b"pragma", b"range", b"te"),
        *(b"authorization", b"cookie", b"proxy-authenticate", b"proxy-authorization", b"set-cookie"),
        *(b"www-authenticate", b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning"),
    }
)
"""Fields that frame, route, log in or control: a recipient that merged them with the head would act on them
(RFC 9110 §6.5.1)."""


_FAMILIES: Final = (b"if-", b"x-forwarded-", b"x-real-")
"""How the names of others begin."""


def passed_trailers(
    trailers: RawHeaders, head: RawHeaders, is_identity: Callable[[bytes], bool] = says_who
) -> RawHeaders:
    """What goes on of a trailer section.

    Args:
        trailers: As received.
        head: The fields of its message's head: what ``Connection`` names there is about that connection.
        is_identity: Whether a field of that name, in lower case, says who somebody is; none of them goes on, whoever
            sent it.
    """
    ended = _NEVER.union(tokens(head, b"connection")) if trailers else _NEVER
    return tuple(field for field in trailers if not _ends_here(field[0].rstrip().lower(), ended, is_identity))


def _ends_here(name: bytes, ended: frozenset[bytes], is_identity: Callable[[bytes], bool]) -> bool:
    return name in ended or name.startswith(_FAMILIES) or is_identity(name)
