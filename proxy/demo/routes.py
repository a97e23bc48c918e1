"""Which call answers what, in one table; and what Hermes asks of a request before any of them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from proxy.demo.access import LOOPBACK, Access
from proxy.demo.asides import Asides
from proxy.demo.channels import Channels
from proxy.demo.chat import Chat
from proxy.demo.exchange import Exchange
from proxy.demo.files import Files, config_answer
from proxy.demo.goals import Goals
from proxy.demo.health import health_answer
from proxy.demo.history import History
from proxy.demo.ledger import Ledger
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sse import SseWriter
from proxy.demo.stopping import Stopping
from proxy.demo.wire import BadLengthError, Request
from proxy.demo.world import World

MAX_BODY = 20 * 1024 * 1024
"""Bytes of a JSON body above which Hermes answers 413 and closes."""

Route = Callable[[Exchange], Awaitable[Answer | None]]


class Owner(Protocol):
    """What the routes ask of the backend that they belong to."""

    ledger: Ledger
    world: World
    guarded: str | None

    @property
    def url(self) -> str:
        """Its own base URL."""


class Routes:
    """Answers one exchange."""

    def __init__(  # noqa: PLR0913  one for each group of calls
        self,
        owner: Owner,
        *,
        access: Access,
        chat: Chat,
        asides: Asides,
        goals: Goals,
        history: History,
        stopping: Stopping,
        files: Files,
        sse: SseWriter,
    ) -> None:
        self._owner = owner
        self._world = owner.world
        self._access = access
        self._chat = chat
        self._asides = asides
        self._goals = goals
        self._history = history
        self._stopping = stopping
        self._files = files
        self._sse = sse
        self._channels = Channels(owner.world, sse)
        self._table = self._build_table()

    def _build_table(self) -> Mapping[tuple[str, str], Route]:
        chat, asides, files, channels = self._chat, self._asides, self._files, self._channels
        table: dict[tuple[str, str], Route] = {
            ("GET", "/"): files.static,
            ("GET", "/demo/config.json"): self._config,
            ("GET", "/health"): self._health,
            ("GET", "/api/auth/status"): self._auth_status,
            ("POST", "/api/auth/login"): self._login,
            ("POST", "/api/auth/logout"): self._logout,
            ("POST", "/api/onboarding/probe"): self._try_provider,
            ("POST", "/api/session/new"): chat.new_session,
            ("GET", "/api/session"): chat.show_session,
            ("POST", "/api/chat/start"): chat.start,
            ("POST", "/api/chat/steer"): chat.steer,
            ("GET", "/api/chat/stream"): self._sse.chat,
            ("GET", "/api/chat/stream/status"): chat.status,
            ("GET", "/api/chat/cancel"): self._stopping.cancel,
            ("POST", "/api/btw"): asides.by_the_way,
            ("POST", "/api/background"): asides.background,
            ("GET", "/api/background/status"): asides.background_status,
            ("POST", "/api/goal"): self._goals.goal,
            ("POST", "/api/upload"): files.upload,
            ("GET", "/api/file/raw"): files.download,
            ("GET", "/api/sessions/events"): channels.session_list,
            ("GET", "/api/approval/stream"): channels.approvals,
            ("GET", "/api/clarify/stream"): channels.clarifications,
            ("GET", "/api/approval/inject_test"): channels.inject_approval,
            ("GET", "/api/clarify/inject_test"): channels.inject_clarification,
            ("GET", "/api/updates/check"): self._updates,
        }
        silent = ("/api/sessions/gateway/stream", "/api/kanban/events/stream", "/api/terminal/output")
        table |= {("POST", path): route for path, route in self._history.routes().items()}
        table |= {("GET", path): channels.silence for path in silent}
        if self._world.habits.session_channel:
            table["GET", "/api/session/stream"] = channels.session
        return table

    async def answer(self, exchange: Exchange) -> None:
        """Answers the exchange, or lets it stream until either side ends it."""
        try:
            exchange.request.path  # noqa: B018  a target that cannot be split is found out here
        except ValueError:
            await exchange.answer(error_answer("Internal server error", 500))
            return
        if exchange.request.method == "OPTIONS":
            await self._preflight(exchange)
            return
        answer = self._refusal(exchange) or await self._call(exchange)
        if answer is not None:
            await exchange.answer(answer)

    def _refusal(self, exchange: Exchange) -> Answer | None:
        """What is refused with the body left where it is, in the way of the next request (F8)."""
        request = exchange.request
        refusal = self._access.refusal(request)
        if refusal or request.method == "GET":
            return refusal
        return self._access.cross_site_refusal(request)

    async def _call(self, exchange: Exchange) -> Answer | None:
        try:
            return await self._route(exchange)
        except BadLengthError as error:
            exchange.keep_alive = False
            return error_answer(str(error))
        except ValueError as error:
            return error_answer(str(error))

    async def _route(self, exchange: Exchange) -> Answer | None:
        request = exchange.request
        if request.method != "GET" and request.path != "/api/upload" and request.length > MAX_BODY:
            exchange.keep_alive = False
            return error_answer(f"Request body too large ({request.length} bytes, max {MAX_BODY})", 413)
        route = self._table.get((request.method, request.path)) or self._route_by_pattern(request)
        if route:
            return await route(exchange)
        if request.method == "GET" and request.path.startswith("/static/"):
            return await self._files.static(exchange)
        if request.method != "GET":
            await exchange.body()
        return error_answer("not found", 404)

    def _route_by_pattern(self, request: Request) -> Route | None:
        named = re.fullmatch(r"/api/sessions/[^/]+/events", request.path)
        known = self._world.habits.session_channel and request.method == "GET"
        return self._channels.session_turns if named and known else None

    async def _preflight(self, exchange: Exchange) -> None:
        habits, request = self._world.habits, exchange.request
        headers: tuple[tuple[str, str], ...] = ()
        if habits.any_origin:
            headers = (("Access-Control-Allow-Origin", "*"),)
        elif self._access.same_origin(request):
            origin = request.header("Origin")
            headers = (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
        if headers:
            methods = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
            headers += (("Access-Control-Allow-Methods", methods),)
            headers += (("Access-Control-Allow-Headers", "Content-Type, Authorization"),)
        if habits.frames_options:
            headers += (("Content-Length", "0"),)
        await exchange.answer_unframed(200, headers)

    async def _health(self, _exchange: Exchange) -> Answer:
        return health_answer(self._world, self._owner.ledger)

    async def _config(self, exchange: Exchange) -> Answer:
        return config_answer(
            release=self._world.habits.name,
            direct=self._owner.url,
            guarded=self._owner.guarded,
            csrf_token=self._access.csrf_token(exchange.request) or None,
        )

    async def _auth_status(self, exchange: Exchange) -> Answer:
        return self._access.status(exchange.request)

    async def _login(self, exchange: Exchange) -> Answer:
        body = await exchange.json_body()
        return self._access.login(body.get("password", ""), exchange.peer)

    async def _logout(self, exchange: Exchange) -> Answer:
        await exchange.body()
        return self._access.logout(exchange.request)

    async def _try_provider(self, exchange: Exchange) -> Answer:
        await exchange.body()
        nothing_named = json_answer({"ok": False, "error": "invalid_url", "detail": "base_url is required"})
        return self._access.not_local_refusal(exchange.request, exchange.peer) or nothing_named

    async def _updates(self, exchange: Exchange) -> Answer:
        simulated = exchange.request.query("simulate") == "1" and exchange.peer == LOOPBACK
        webui = {"name": "webui", "behind": 3 if simulated else 0}
        return json_answer({"webui": webui, "checked_at": 0})
