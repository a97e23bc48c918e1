"""Who may ask: nobody by way of another site's page, and with a token set, nobody without it.

The listener is on loopback by default, where every browser of the machine can reach it. Two things keep the pages in
those browsers out: a `Host` that is not the listener's own is a name that somebody has pointed at it (DNS rebinding),
and browsers say which requests another site has caused (`Sec-Fetch-Site`, `Origin`).
"""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from proxy.ops.admin.errors import Handler, RefusalError

PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by whatever supervises the proxy, under any name and without a token; they say one word."""

_PAGE = "/page/"
_FROM_HERE = frozenset({"same-origin", "none"})
_SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may ask.

    Attributes:
        host: Where the listener is, a name or an address.
        token: What a caller has to show (RFC 6750); None asks for nothing, and then `Host` has to be the listener's.
    """

    host: str
    token: str | None

    def check(self, request: web.Request) -> None:
        """Lets the request through.

        Raises:
            RefusalError: it may not be answered.
        """
        if request.path in PROBES:
            return
        self._check_site(request)
        if self.token is None:
            self._check_host(request)
        elif not _is_page(request.path):
            self._check_token(request, self.token)

    def _check_site(self, request: web.Request) -> None:
        """A link to the page may stand anywhere; nothing else is another site's business."""
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None:
            foreign = site not in _FROM_HERE  # it knows, where a proxy in front may send another Host
        else:
            foreign = request.method not in _SAFE and origin is not None and _authority(origin) != _host(request)
        if foreign and not (request.path == "/" and request.method in _SAFE):
            raise RefusalError(HTTPStatus.FORBIDDEN, "cross_site", "Another site's page may not ask this.")

    def _check_host(self, request: web.Request) -> None:
        name = _hostname(_host(request))
        if name != self.host and not _is_loopback(name):
            raise RefusalError(
                HTTPStatus.FORBIDDEN,
                "unknown_host",
                f"This is not {name}: use localhost or the listener's own address, or set admin.token.",
            )

    def _check_token(self, request: web.Request, token: str) -> None:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(_bytes(shown.strip()), _bytes(token)):
            return
        raise RefusalError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "Send admin.token as Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": 'Bearer realm="Hermes Stream Guard"'},
        )


def admitted(admission: Admission) -> Middleware:
    """The middleware that lets through whom `admission` does."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        admission.check(request)
        return await handler(request)

    return check


def _is_page(path: str) -> bool:
    """The page itself holds nothing; what it shows it has to ask for."""
    return path == "/" or path.startswith(_PAGE)


def _bytes(text: str) -> bytes:
    """As it came, whatever it is: a field's value need not be UTF-8."""
    return text.encode(errors="surrogateescape")


def _host(request: web.Request) -> str:
    """What the request says; where it says nothing, aiohttp would ask the resolver for this machine's name."""
    return request.headers.get("Host", "")


def _authority(origin: str) -> str:
    return origin.partition("://")[2]


def _hostname(host: str) -> str:
    try:
        return URL(f"http://{host}").host or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
