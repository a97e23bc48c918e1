"""Pages that are not clearly Hermes' own: whether Hermes takes requests from them is Hermes' to say (F10).

It compares a POST's `Origin` with `Host`, and with what it was told to allow; a GET that changes something it takes
from anybody. A proxy in front may send another `Host` than the browser did, so the same comparison made here would
refuse Hermes' own page.
"""

from collections import OrderedDict
from collections.abc import Callable

from proxy.backend.backend import Backend
from proxy.hermes.answers import is_stranger, takes_page
from proxy.http.headers import RawHeaders
from proxy.http.provenance import place

REMEMBERED = 256
"""Most pages remembered, each with what it calls the server."""

KEPT = 3600.0
"""Seconds for which a page is taken for granted; Hermes may be restarted with other settings."""


class Pages:
    """Knows it of pages whose POSTs Hermes took, and asks about others.

    Args:
        backend: Whom to ask.
        clock: Monotonic seconds.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._clock = clock
        self._taken: OrderedDict[tuple[bytes, ...], float] = OrderedDict()

    async def takes(self, headers: RawHeaders) -> bool:
        """Whether Hermes takes requests from the page that sent these fields, as they go on to it.

        Raises:
            ProxyError: it does not answer.
        """
        where = place(headers)
        if where is not None and self._clock() - self._taken.get(where, -KEPT) < KEPT:
            return True
        answer = await self._backend.ask_like_page(headers)
        if is_stranger(answer.status):
            return True  # for this once: what it asks for, it is refused by Hermes
        taken = takes_page(answer.status, answer.body)
        if taken:
            self.took(headers)
        return taken

    def took(self, headers: RawHeaders) -> None:
        """Hermes took a POST from the page that sent these fields."""
        if (where := place(headers)) is None:
            return
        self._taken[where] = self._clock()
        self._taken.move_to_end(where)
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
