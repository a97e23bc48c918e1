"""Warning, where it cannot be missed, that anybody may use a Hermes that asks for no login."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from proxy.config import ListenSettings
from proxy.gate.authentication import Authentication
from proxy.tasks import Tasks

AGAIN = 5.0
"""Seconds after which a Hermes that did not say whether it asks for a login is asked again."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def warning_if_exposed(
    places: Sequence[ListenSettings], authentication: Authentication, announce: Callable[[str], None]
) -> AsyncIterator[None]:
    """Warns as soon as Hermes says that it asks for no login, and at once if it says nothing yet.

    Args:
        places: Where browsers connect.
        authentication: Asks Hermes.
        announce: Prints a line; the log gets the warning too.
    """
    async with Tasks() as tasks:
        exposed = [place.url for place in places if place.is_exposed]
        if exposed:
            tasks.spawn(_warn(" and ".join(exposed), authentication, announce), "warning about the missing login")
        yield


async def _warn(url: str, authentication: Authentication, announce: Callable[[str], None]) -> None:
    def warn(what: str) -> None:
        log.warning("%s can be reached from elsewhere, and Hermes %s", url, what)
        announce(f"WARNING: {url} can be reached from elsewhere, and Hermes {what}.")

    if (enabled := await authentication.enabled()) is None:
        warn("does not say whether it asks for a login")
    while enabled is None:
        await asyncio.sleep(AGAIN)
        enabled = await authentication.enabled()
    if not enabled:
        warn("asks for no login")
        announce("WARNING: Whoever reaches it can read, chat and have the agent run commands as you.")
        announce("WARNING: Set HERMES_WEBUI_PASSWORD where Hermes runs, or listen on 127.0.0.1.")
