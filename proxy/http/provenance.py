"""Whether a page of another site had the browser send a request. Pure.

Browsers say so in ``Sec-Fetch-Site`` (W3C Fetch Metadata), to every server that they reach by HTTPS or on their own
host. To others they send ``Origin`` or ``Referer`` at most, which such a page can have them leave out of a GET.
Programs that are no browsers send none of the three.
"""

from __future__ import annotations

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


def is_cross_site(headers: RawHeaders) -> bool:
    """Whether anything in a request says that a page of another origin caused it."""
    sites = values(headers, b"sec-fetch-site")
    if sites:
        return not OWN.issuperset(site.strip().lower() for site in sites)
    sources = values(headers, b"origin") or values(headers, b"referer")
    return not all(_is_own(source.decode("latin-1"), headers) for source in sources if source)


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
