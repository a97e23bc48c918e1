"""Asking the admin listener of the proxy that runs, which the settings say the place and the token of."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

from proxy.config import AdminSettings, UserError
from proxy.http.errors import ProxyError
from proxy.http.forward import exchange
from proxy.http.message import Answer, RequestHead
from proxy.http.upstream.lanes import Lane, Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream

_PATIENCE: Final = 5.0
"""Seconds for each call, which is answered at once."""

_LARGEST: Final = 4 << 20
"""Most bytes of an answer."""


class AdminClient:
    """Asks one proxy.

    Args:
        url: Where its admin listener is, for people.
        listener: Connections to it.
        token: What it may want to be shown.
    """

    def __init__(self, url: str, listener: Upstream, token: str | None) -> None:
        self._url = url
        self._listener = listener
        self._token = token

    async def ask(self, path: str, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that a call is answered with.

        Args:
            path: Its path, and its query.
            said: Sent as JSON, by POST; None is a GET.

        Raises:
            UserError: nobody answers there, what does is no such listener, or it refuses.
        """
        headers = () if self._token is None else ((b"Authorization", f"Bearer {self._token}".encode()),)
        body = None
        if said is not None:
            headers, body = (*headers, (b"Content-Type", b"application/json")), json.dumps(said).encode()
        head = RequestHead("GET" if body is None else "POST", path.encode(), headers)
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await exchange(
                    self._listener, head, Lane.CONTROL, body=body, limit=_LARGEST, repeatable=body is None
                )
        except (ProxyError, TimeoutError) as error:
            why = "is it running, and is --admin where it listens?"
            raise UserError(f"The running proxy could not be asked at {self._url}: {why}") from error
        return self._read(answer)

    def _read(self, answer: Answer) -> dict[str, Any]:
        try:
            told = json.loads(answer.body)
        except ValueError:
            told = None
        if not isinstance(told, dict) or (answer.status != HTTPStatus.OK and not isinstance(told.get("code"), str)):
            raise UserError(f"What answers at {self._url} is no admin listener of a Stream Guard; correct --admin")
        if answer.status != HTTPStatus.OK:
            raise UserError(self._refusal(told["code"], str(told.get("error"))))
        return told

    def _refusal(self, code: str, sentence: str) -> str:
        if code == "unauthorized":
            has = "asks for a token" if self._token is None else "has another token"
            return f"admin.token: the running proxy {has} at {self._url}; set it or admin.token_file to that one"
        if code in ("not_found", "method_not_allowed"):
            return f"The proxy that runs at {self._url} is older than this command; restart it"
        return f"The running proxy refused at {self._url}: {sentence}"


@contextmanager
def asking(admin: AdminSettings) -> Iterator[AdminClient]:
    """A client for as long as the context lasts.

    Raises:
        UserError: the proxy has no such listener, by the settings, or the token cannot be read.
    """
    if not admin.enabled:
        raise UserError("admin.enabled is false, so the running proxy could not be asked: set it to true, and restart")
    url, token = _reachable(admin).url, admin.bearer
    with closing(Upstream(Origin.parse(url), Lanes())) as listener:
        yield AdminClient(url, listener, token)


def _reachable(admin: AdminSettings) -> AdminSettings:
    """Where a listener on every address is asked: on this host."""
    try:
        address = ip_address(admin.host)
    except ValueError:
        return admin
    here = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - of the Internet Protocol
    return admin.model_copy(update={"host": here}) if address.is_unspecified else admin
