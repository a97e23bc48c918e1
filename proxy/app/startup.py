"""The line with which a log begins: what is guarded, and how."""

import asyncio
from contextlib import suppress
from typing import Final

from proxy import __version__
from proxy.check import Evidence, look_briefly
from proxy.config import Settings
from proxy.events.process import Started

_PATIENCE: Final = 1.0
"""Seconds that a start waits for the backend to say what it is; it may come later than the proxy."""


async def glance(settings: Settings) -> Evidence | None:
    """The backend as it is when the proxy starts; None if that cannot be said in a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return await look_briefly(settings.upstream)
    return None


def started(settings: Settings, url: str, seen: Evidence | None, admin: str | None) -> Started:
    """That the proxy listens.

    Args:
        settings: How the proxy is set.
        url: Where it listens.
        seen: The backend, at a glance.
        admin: Where the status page is, if there is one.
    """
    return Started(
        version=__version__,
        loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
        listen=url,
        upstream=settings.upstream.url,
        reachable=seen is not None and seen.unreachable is None,
        release=seen.said if seen is not None else None,
        trusted_proxies=tuple(str(network) for network in settings.client.trusted_proxies),
        lanes=settings.upstream.lanes.model_dump(),
        trace=str(settings.trace.path) if settings.trace.path else None,
        admin=admin,
    )
