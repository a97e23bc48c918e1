"""Whether a page of another site had the browser send a request. Pure.

Browsers say so in ``Sec-Fetch-Site`` (W3C Fetch Metadata), to every server that they reach by HTTPS or on their own
host. To others they send ``Origin`` or ``Referer`` at most, which such a page can have them leave out of a GET.
Programs that are no browsers send none of the three.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from proxy.http.headers import tokens, values

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders

OWN: Final = frozenset({b"same-origin", b"none"})
"""The server's own page, and a person at the address bar. ``same-site`` is another origin: a neighbouring name, or a
program on another port of the same host."""

NAMES: Final = (b"host", b"x-forwarded-host", b"x-real-host")
"""What the server is called here, and by proxies in front. Another site's page can set none of them without asking
first (a CORS preflight), so they are believed of anybody."""

PORTS: Final = {"http": 80, "https": 443}

_ORIGIN: Final = re.compile(rb"https?://[^/]+", re.IGNORECASE)


class Provenance(Enum):
    """Where a request comes from, as far as it says."""

    OWN = auto()
    """The server's own page, a person, or a program."""
    UNCLEAR = auto()
    """A page that may be the server's own under a name that is not known here, as a proxy in front may send another
    ``Host``; or one elsewhere that the backend was told to allow."""
    FOREIGN = auto()
    """Certainly a page of another site, or of another origin that keeps itself secret."""


def provenance(headers: RawHeaders) -> Provenance:
    """Where a request with these fields comes from."""
    sites = {site.strip().lower() for site in values(headers, b"sec-fetch-site")}
    if b"cross-site" in sites:
        return Provenance.FOREIGN
    sources = _sources(headers)
    if sites:
        other = Provenance.UNCLEAR if sources else Provenance.FOREIGN
        return Provenance.OWN if sites <= OWN else other
    is_own = all(_is_own(source.decode("latin-1"), headers) for source in sources)
    return Provenance.OWN if is_own else Provenance.UNCLEAR


def place(headers: RawHeaders) -> tuple[bytes, ...] | None:
    """The page's origin, and what the server is called there, by which a backend decides; None if it is no one page."""
    found = [_ORIGIN.match(source) for source in _sources(headers)]
    if len(found) != 1 or found[0] is None:
        return None
    return (found[0][0].lower(), *(b",".join(tokens(headers, name)) for name in NAMES))


def _sources(headers: RawHeaders) -> list[bytes]:
    """Which page it was, if that is said at all."""
    return [source for source in values(headers, b"origin") or values(headers, b"referer") if source]


def _is_own(source: str, headers: RawHeaders) -> bool:
    try:
        scheme = urlsplit(source).scheme
        names = [f"//{host.decode('latin-1')}" for name in NAMES for host in tokens(headers, name)]
        return _host_and_port(source, scheme) in [_host_and_port(name, scheme) for name in names]
    except ValueError:
        return False


def _host_and_port(url: str, scheme: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or PORTS.get(scheme)
