"""``status``: what the status page shows, once or again and again."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from proxy.config import AdminSettings, UserError
from proxy.console.client import AdminClient, asking
from proxy.console.diagnosis import concerns, is_ready
from proxy.console.tables import Paint, as_text

INTERVAL: Final = 1.0
"""Seconds between two looks."""

_STOPS: Final = 10
"""Stops that are shown; the page has all of them."""

_CLEAR: Final = "\x1b[H\x1b[2J"
"""To the upper left corner, and erase the screen (ECMA-48)."""

Say = Callable[[str], None]
"""Prints one or several lines."""


async def status(admin: AdminSettings, say: Say, paint: Paint, *, as_json: bool = False) -> int:
    """Shows it once.

    Returns:
        The exit code: 1 if something is wrong, or no new turns begin now.

    Raises:
        UserError: the proxy cannot be asked.
    """
    with asking(admin) as client:
        seen = await _look(client)
    say(json.dumps(seen, indent=2) if as_json else _text(seen, paint))
    wrong = any(concern.mood == "bad" for concern in concerns(seen["status"], seen["cancels"]))
    return 1 if wrong or not is_ready(seen["status"]) else 0


async def watch(admin: AdminSettings, say: Say, paint: Paint) -> None:
    """Shows it until this is cancelled; when the proxy cannot be asked, that.

    Raises:
        UserError: it could not be asked from the beginning.
    """
    with asking(admin) as client:
        shown = _text(await _look(client), paint)
        while True:
            say(f"{_CLEAR}{shown}")
            await asyncio.sleep(INTERVAL)
            try:
                shown = _text(await _look(client), paint)
            except UserError as error:
                shown = paint(str(error), "bad")


async def _look(client: AdminClient) -> dict[str, Any]:
    return {
        "status": await client.ask("/api/status"),
        "streams": (await client.ask("/api/streams"))["streams"],
        "cancels": (await client.ask(f"/api/cancels?limit={_STOPS}"))["cancels"],
        "drain": await client.ask("/api/drain"),
    }


def _text(seen: dict[str, Any], paint: Paint) -> str:
    return as_text(seen["status"], seen["streams"], seen["cancels"], paint)
