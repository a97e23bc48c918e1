"""Who may: password, session cookie, the login limit, and where a browser's POST came from."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlparse

from proxy.demo.habits import Release
from proxy.demo.responses import Answer, Headers, error_answer, json_answer, terse_answer
from proxy.demo.wire import Request

COOKIE = "hermes_session"
COOKIE_AGE = 30 * 24 * 3600
CSRF_HEADER = "X-Hermes-CSRF-Token"
LOGIN_FAILURES = 5
LOGIN_WINDOW = 60.0
LOGINS_LIMIT = 1024
PUBLIC_PATHS = frozenset({"/login", "/health", "/favicon.ico", "/api/auth/login", "/api/auth/status"})
CSRF_EXEMPT = frozenset({"/api/auth/login", "/api/csp-report"})
LOOPBACK = "127.0.0.1"


class Access:
    """The password's keeper; without a password everybody may do everything.

    Args:
        password: ``None`` switches authentication off.
        habits: The release's habits.
        clock: Seconds since the epoch.
        identity_header: The header whose bearer is logged in, as a proxy in front says.
        allowed_origins: Origins of pages elsewhere that may do what its own may.
    """

    def __init__(
        self,
        password: str | None,
        habits: Release,
        clock: Callable[[], float],
        *,
        identity_header: str | None = None,
        allowed_origins: frozenset[str] = frozenset(),
    ) -> None:
        self._password = password
        self._identity_header = identity_header
        self._allowed_origins = allowed_origins
        self._habits = habits
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._logins: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def refusal(self, request: Request) -> Answer | None:
        """The 401 (or, for a page, 302) that an unknown caller gets, its body unread (F8)."""
        if self._may_enter(request):
            return None
        if request.path.startswith("/api/"):
            body = b'{"error":"Authentication required"}'
            return Answer(401, body, (("Content-Type", "application/json"),))
        query = urlparse(request.target).query
        wanted = quote(request.path + (f"?{query}" if query else ""), safe="/")
        return Answer(302, b"", (("Location", f"login?next={wanted}"),))

    def _may_enter(self, request: Request) -> bool:
        public = request.path in PUBLIC_PATHS or request.path.startswith("/static/")
        return not self._asks or public or self.logged_in(request)

    @property
    def _asks(self) -> bool:
        """Whether there is a login."""
        return self._password is not None or self._identity_header is not None

    def logged_in(self, request: Request) -> bool:
        """Whether the request carries a cookie that this process has signed, or the header that is believed."""
        named = self._identity_header is not None and request.header(self._identity_header).strip()
        expiry = self._logins.get(self._token(request))
        return bool(named) or (expiry is not None and self._clock() < expiry)

    def _token(self, request: Request) -> str:
        try:
            cookies = SimpleCookie(request.header("Cookie"))
        except CookieError:
            return ""
        token, _, signature = cookies[COOKIE].value.partition(".") if COOKIE in cookies else ("",) * 3
        return token if _same(signature, self._sign(token)) else ""

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def csrf_token(self, request: Request) -> str:
        """The token that the page must send back with every POST; empty without a login."""
        return self._sign(f"csrf:{self._token(request)}") if self.logged_in(request) else ""

    def status(self, request: Request) -> Answer:
        """``GET /api/auth/status``."""
        enabled = self._asks
        oidc = {"oidc_enabled": False, "auth_disabled_acknowledged": False}
        return json_answer(
            {
                "auth_enabled": enabled,
                "logged_in": enabled and self.logged_in(request),
                "password_auth_enabled": self._password is not None,
                "passwordless_enabled": False,
                "passkeys_enabled": False,
                "passkeys_count": 0,
                "passkey_feature_flag": False,
                **(oidc if self._habits.knows_oidc else {}),
                **({"trusted_auth_enabled": True} if self._identity_header is not None else {}),
            }
        )

    def login(self, password: object, peer: str) -> Answer:
        """``POST /api/auth/login``; the failures of one TCP peer are counted together (F9)."""
        if self._password is None:
            return json_answer({"ok": True, "message": "Auth not enabled"})
        if len(self._recent_failures(peer)) >= LOGIN_FAILURES:
            return error_answer("Too many attempts. Try again in a minute.", 429)
        if not _same(str(password), self._password):
            self._recent_failures(peer).append(self._clock())
            return error_answer("Invalid password", 401)
        self._failures.pop(peer, None)
        return terse_answer({"ok": True}, 200, self._new_cookie())

    def logout(self, request: Request) -> Answer:
        """``POST /api/auth/logout``: the caller's cookie is good for nothing from now on."""
        self._logins.pop(self._token(request), None)
        return terse_answer({"ok": True}, 200)

    def _recent_failures(self, peer: str) -> list[float]:
        since = self._clock() - LOGIN_WINDOW
        self._failures[peer] = [at for at in self._failures.get(peer, []) if at > since]
        _bound(self._failures)
        return self._failures[peer]

    def _new_cookie(self) -> Headers:
        token = secrets.token_hex(32)
        self._logins[token] = self._clock() + COOKIE_AGE
        _bound(self._logins)
        marks = f"HttpOnly; Max-Age={COOKIE_AGE}; Path=/; SameSite=Lax"
        return (("Set-Cookie", f"{COOKIE}={token}.{self._sign(token)}; {marks}"),)

    def not_local_refusal(self, request: Request, peer: str) -> Answer | None:
        """The 403 for a stranger from elsewhere who would set Hermes up while there is no login (F9)."""
        claimed = request.header("X-Forwarded-For").split(",")[0].strip() if self._habits.trusts_forwarded_for else ""
        if self._password is not None or ipaddress.ip_address(claimed or peer).is_private:
            return None
        return error_answer("Only available from local networks when auth is not enabled.", 403)

    def cross_site_refusal(self, request: Request) -> Answer | None:
        """The 403 for a browser's unsafe request from elsewhere, its body unread (F10)."""
        source = request.header("Origin") or request.header("Referer")
        if not source or request.path in CSRF_EXEMPT:
            return None
        if not self.same_origin(request):
            return error_answer("Cross-origin mismatch - check reverse proxy headers", 403)
        token = request.header(CSRF_HEADER) or request.header("X-CSRF-Token")
        if self._password is None or (token and _same(token, self.csrf_token(request))):
            return None
        return error_answer("Session expired - reload the page", 403)

    def same_origin(self, request: Request) -> bool:
        """Whether ``Origin`` (or ``Referer``) names the host that was asked, or a page that is allowed."""
        source = request.header("Origin") or request.header("Referer")
        found = re.match(r"(https?)://([^/]+)", source)
        if not found:
            return False
        names = ["Host"]
        if self._habits.trusts_forwarded_host:
            names += ["X-Forwarded-Host", "X-Real-Host"]
        if found[0].lower() in self._allowed_origins:
            return True
        scheme, host = found.groups()
        own = (_host_and_port(request.header(name), scheme) for name in names)
        return _host_and_port(host, scheme) in own


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _host_and_port(text: str, scheme: str) -> tuple[str, str]:
    host, _, port = text.strip().lower().rpartition(":") if ":" in text else (text, "", "")
    return host.strip().lower(), port or {"http": "80", "https": "443"}[scheme]


def _bound(table: OrderedDict[str, Any]) -> None:
    while len(table) > LOGINS_LIMIT:
        table.popitem(last=False)
