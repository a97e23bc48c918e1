"""What is refused before anything is passed on, so that Hermes is not less safe behind a proxy than without it (F9).

Where the guard is not sure it steps aside (P8). The gate does not: a check that fails, by a mistake of the proxy's or
because Hermes does not answer, ends the request. Letting it through would give strangers what Hermes keeps from them.
"""

from dataclasses import dataclass
from http import HTTPStatus

from proxy.events.requests import RequestRefused
from proxy.gate.authentication import Authentication
from proxy.gate.login import LoginGuard
from proxy.gate.pages import Pages
from proxy.hermes.precautions import Precaution, precautions, shows_page
from proxy.http.clients import Network
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response, reply
from proxy.http.downstream.rules import LOOPBACK
from proxy.http.downstream.serving import Handler
from proxy.http.errors import CrossSiteError, LocalOnlyError, TooManyLoginsError
from proxy.http.provenance import Provenance, provenance
from proxy.reporting import Report

_REFUSALS = (CrossSiteError, LocalOnlyError, TooManyLoginsError)


@dataclass(frozen=True, slots=True)
class GateRules:
    """What the gate goes by.

    Attributes:
        local_networks: Where a client has to be for what is kept to Hermes' own network.
    """

    local_networks: tuple[Network, ...]


class Gate:
    """Stands in front of the handler, and raises a refusal where there is one.

    Args:
        handler: Answers what is let through.
        authentication: Says whether Hermes asks for a login.
        logins: Answers logins.
        pages: Knows which pages Hermes takes requests from.
        rules: What to go by; assign others to ``rules`` at any time.
        report: Told what was refused.
    """

    def __init__(  # noqa: PLR0913 - what it is put together from
        self,
        handler: Handler,
        authentication: Authentication,
        logins: LoginGuard,
        pages: Pages,
        rules: GateRules,
        *,
        report: Report,
    ) -> None:
        self.rules = rules
        self.authentication = authentication
        self._handler = handler
        self._logins = logins
        self._pages = pages
        self._report = report

    async def __call__(self, request: Request) -> Response:
        """The answer to `request`.

        Raises:
            ProxyError: there is none, or it is refused; the server tells the browser.
        """
        asked = precautions(request.method, request.target.decode("latin-1"))
        try:
            await self._check(request, asked)
            if Precaution.LOGIN in asked:
                return reply(request, await self._logins.answer(request))
        except _REFUSALS as refusal:
            path = request.target.partition(b"?")[0].decode("latin-1")
            self._report(RequestRefused(refusal.code, path, request.client))
            raise
        response = await self._handler(request)
        self._learn_page(request, response.status)
        return response

    async def _check(self, request: Request, asked: Precaution) -> None:
        if Precaution.OWN_PAGE in asked:
            await self._check_provenance(request)
        if Precaution.HOST in asked:
            _check_host(request)
        if Precaution.NETWORK in asked:
            await self._check_network(request)

    async def _check_provenance(self, request: Request) -> None:
        where = provenance(request.fields)
        if where is Provenance.OWN:
            return
        if where is Provenance.FOREIGN:
            raise CrossSiteError("A page of another site asked for this, which only Hermes' own page may.")
        if not await self._pages.takes(request.head().headers):
            raise CrossSiteError(
                "Hermes does not take requests from the page that asked for this. If it is Hermes' own, have the proxy "
                "in front pass Host on with its port, or set HERMES_WEBUI_ALLOWED_ORIGINS to the page's address."
            )

    def _learn_page(self, request: Request, status: int) -> None:
        """A POST that Hermes took says that it takes the page's GETs as well."""
        if status >= HTTPStatus.MULTIPLE_CHOICES or not shows_page(request.method, request.target.decode("latin-1")):
            return
        if provenance(request.fields) is Provenance.UNCLEAR:
            self._pages.took(request.head().headers)

    async def _check_network(self, request: Request) -> None:
        if _is_in(request, self.rules.local_networks) or await self.authentication.enabled():
            return
        raise LocalOnlyError(
            "Unless Hermes asks for a login, this is for clients in client.local_networks, and "
            f"{_whereabouts(request)}: set a password in Hermes, or connect from its own network."
        )


def _check_host(request: Request) -> None:
    if not _is_in(request, LOOPBACK):
        raise LocalOnlyError(
            f"Hermes answers this to its own host only, and {_whereabouts(request)}: connect from there."
        )


def _is_in(request: Request, networks: tuple[Network, ...]) -> bool:
    client = request.certain_client
    return client is not None and any(client in network for network in networks)


def _whereabouts(request: Request) -> str:
    if request.certain_client is None:
        return "where you are cannot be told (is a proxy in front missing from client.trusted_proxies?)"
    return f"you are at {request.client}"
