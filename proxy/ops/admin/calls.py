"""The admin listener's calls, each a few lines: read what was asked, answer from the views."""

import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

from proxy.ops.admin.errors import RefusalError
from proxy.ops.admin.events import follow
from proxy.ops.feed import Feed
from proxy.ops.metrics import Metrics
from proxy.ops.stops import KEPT
from proxy.ops.views import Drain, Views

VIEWS: web.AppKey[Views] = web.AppKey("views", Views)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)
DRAIN: web.AppKey[Drain] = web.AppKey("drain", Drain)

EVENTS = "/api/events"

_SHOWN = 50
"""Cancels listed unless told otherwise."""

_ACTIONS = '{"action": "begin"}, {"action": "begin", "hold": true} or {"action": "resume"}'


async def healthz(_request: web.Request) -> web.Response:
    """That the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Whether traffic may be sent here: 503 while it drains, and while the backend is away."""
    why = await request.app[VIEWS].unready()
    if why is None:
        return web.json_response({"status": "ready"})
    sentence = "New starts are turned away." if why == "draining" else "The backend does not answer."
    raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, why, sentence)


async def metrics(request: web.Request) -> web.Response:
    """For Prometheus."""
    levels = await request.app[VIEWS].levels()
    body, content_type = request.app[METRICS].exposition(levels, request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


async def status(request: web.Request) -> web.Response:
    """The proxy as a whole."""
    _query(request)
    return web.json_response(await request.app[VIEWS].status())


async def streams(request: web.Request) -> web.Response:
    """What runs."""
    _query(request)
    return web.json_response(await request.app[VIEWS].streams())


async def cancels(request: web.Request) -> web.Response:
    """The latest cancels and their receipts; `limit` says how many."""
    limit = _limit(_query(request, "limit").get("limit"))
    return web.json_response(await request.app[VIEWS].cancels(limit))


async def cancel(request: web.Request) -> web.Response:
    """One cancel and its receipt."""
    _query(request)
    found = await request.app[VIEWS].cancel(request.match_info["id"])
    if found is None:
        raise RefusalError(
            HTTPStatus.NOT_FOUND, "unknown_cancel", "No such cancel is known; the last thousand are, until a restart."
        )
    return web.json_response(found)


async def history(request: web.Request) -> web.Response:
    """The last minutes."""
    _query(request)
    return web.json_response(request.app[VIEWS].history())


async def events(request: web.Request) -> web.StreamResponse:
    """What happens from now on."""
    _query(request)
    return await follow(request, request.app[FEED])


async def drained(request: web.Request) -> web.Response:
    """What becomes of new turns, and which still run."""
    _query(request)
    return web.json_response(await request.app[VIEWS].drain())


async def drain(request: web.Request) -> web.Response:
    """Begins to drain, or resumes; what `drained` says from then on."""
    _query(request)
    steered = request.app[DRAIN]
    match await _action(request):
        case "begin", hold:
            steered.begin(hold=hold)
        case _ if not steered.resume():
            raise RefusalError(HTTPStatus.CONFLICT, "ending", "The proxy is about to end, and cannot resume.")
    return web.json_response(await request.app[VIEWS].drain())


async def _action(request: web.Request) -> tuple[str, bool]:
    """What is asked for, and whether new turns are to be held."""
    if request.content_type != "application/json":
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"Send {_ACTIONS} with Content-Type: application/json.",
        )
    match _parsed(await request.read()):
        case {"action": "begin", "hold": bool(hold), **rest} if not rest:
            return "begin", hold
        case {"action": "begin" | "resume" as action, **rest} if not rest:
            return str(action), False
    raise RefusalError(HTTPStatus.BAD_REQUEST, "bad_request", f"The body should be {_ACTIONS}.")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """The query's parameters, each known and given once.

    Raises:
        RefusalError: one is not.
    """
    for name in request.query:
        if name not in known:
            expected = f"takes {', '.join(known)} only" if known else "takes no query"
            raise RefusalError(HTTPStatus.BAD_REQUEST, "bad_request", f"{request.path} {expected}.")
        if len(request.query.getall(name)) > 1:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "bad_request", f"{name} is given more than once.")
    return dict(request.query)


def _limit(text: str | None) -> int:
    if text is None:
        return _SHOWN
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(KEPT)) and 1 <= int(text) <= KEPT):
        raise RefusalError(HTTPStatus.BAD_REQUEST, "bad_request", f"limit should be a whole number from 1 to {KEPT}.")
    return int(text)
