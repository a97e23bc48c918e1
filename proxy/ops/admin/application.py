"""The admin listener's application, put together."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from proxy.ops.admin import calls
from proxy.ops.admin.admission import Admission, admitted
from proxy.ops.admin.errors import errors_as_json
from proxy.ops.admin.headers import harden
from proxy.ops.feed import Feed
from proxy.ops.metrics import Metrics
from proxy.ops.views import Drain, Views

_PAGE: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def application(views: Views, metrics: Metrics, feed: Feed, drain: Drain, admission: Admission) -> web.Application:
    """The application; whoever serves it has it shut down, which ends those who follow the events."""
    app = web.Application(middlewares=[errors_as_json, admitted(admission)])
    app[calls.VIEWS], app[calls.METRICS], app[calls.FEED], app[calls.DRAIN] = views, metrics, feed, drain
    app.on_response_prepare.append(harden)
    app.on_shutdown.append(_end_feed)
    app.add_routes(
        [
            web.get("/healthz", calls.healthz),
            web.get("/readyz", calls.readyz),
            web.get("/metrics", calls.metrics),
            web.get("/api/status", calls.status),
            web.get("/api/streams", calls.streams),
            web.get("/api/cancels", calls.cancels),
            web.get("/api/cancels/{id}", calls.cancel),
            web.get("/api/history", calls.history),
            web.get(calls.EVENTS, calls.events, allow_head=False),
            web.get("/api/drain", calls.drained),
            web.post("/api/drain", calls.drain),
            *_page(),
        ]
    )
    return app


def _page() -> list[web.RouteDef]:
    """A route for each file of the page, read once."""
    files = {f"/page/{path.name}": path for path in sorted(_PAGE.iterdir()) if path.suffix in _TYPES}
    return [web.get(route, _file(path)) for route, path in {"/": _PAGE / "index.html", **files}.items()]


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.Response]]:
    content, content_type = path.read_bytes(), _TYPES[path.suffix]

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=content_type, charset="utf-8")

    return answer


async def _end_feed(app: web.Application) -> None:
    app[calls.FEED].close()
