"""Following what happens, as Server-Sent Events."""

import asyncio
import json
from http import HTTPStatus

from aiohttp import web

from proxy.ops.admin.errors import RefusalError
from proxy.ops.feed import Feed, Happening, TooManyWatchersError, Watcher
from proxy.ops.times import iso8601

HEARTBEAT = 10.0
"""Seconds of silence after which a comment is sent, so that a lost connection is noticed."""

_PATIENCE = 10.0
"""Seconds that a watcher may read nothing of what waits for it."""

_RETRY_AFTER = 10


async def follow(request: web.Request, feed: Feed) -> web.StreamResponse:
    """Tells whoever asked what happens from now on, until they leave or the proxy ends.

    Raises:
        RefusalError: as many follow it already as may.
    """
    try:
        with feed.watched() as watcher:
            return await _tell(request, watcher)
    except TooManyWatchersError:
        raise RefusalError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too_many_watchers",
            "As many follow the events already as may; close another page.",
            headers={"Retry-After": str(_RETRY_AFTER)},
        ) from None


async def _tell(request: web.Request, watcher: Watcher) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    text = ": following\n\n"
    try:
        while not watcher.over:
            async with asyncio.timeout(_PATIENCE):
                await response.write(text.encode())
            lost, happenings = await watcher.take(HEARTBEAT)
            text = _frames(lost, happenings) or ": heartbeat\n\n"
    except (ConnectionError, TimeoutError):
        _hang_up(request)
    return response


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _frames(lost: int, happenings: list[Happening]) -> str:
    gap = [_frame("lost", {"lost": lost})] if lost else []
    return "".join([*gap, *(_frame(one.event, {"at": iso8601(one.at), **one.fields}) for one in happenings)])


def _frame(event: str, data: dict[str, object]) -> str:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'), default=str)}\n\n"
