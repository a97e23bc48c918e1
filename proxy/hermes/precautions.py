"""Which of Hermes' calls need care, since a proxy in front of it hides who asks (F9). Read as Hermes reads them.

Hermes keeps three things from strangers by looking at the address at the other end of its connection, which is the
proxy's for everybody. And some GETs change something, though it looks only at where a POST came from.
"""

from enum import Flag, auto

from proxy.hermes.contract import split

LOGIN_WINDOW = 60.0
"""Seconds in which Hermes counts failures to log in, by address."""

LOGIN_FAILURES = 5
"""Failures within the window after which it answers 429 to whoever has that address."""


class Precaution(Flag):
    """What to see to before a call is passed on."""

    NONE = 0
    HOST = auto()
    """Hermes answers it to 127.0.0.1 only: tests that put words into its mouth."""
    NETWORK = auto()
    """Without a login, it is for loopback and private networks only: setting Hermes up, and running commands."""
    OWN_PAGE = auto()
    """A GET that changes something: not for a page of another site."""
    LOGIN = auto()
    """Its failures are counted by address, and shut out everybody of that address."""


_INJECTION = Precaution.HOST | Precaution.OWN_PAGE

_GETS = {
    "/api/approval/inject_test": _INJECTION,
    "/api/clarify/inject_test": _INJECTION,
    "/api/chat/cancel": Precaution.OWN_PAGE,
    "/api/background/status": Precaution.OWN_PAGE,  # forgets the results that it tells
    "/api/onboarding/oauth/poll": Precaution.NETWORK,
    "/api/terminal/output": Precaution.NETWORK,
}

_LOGINS = frozenset({"/api/auth/login", "/api/auth/passkey/login"})

_ANYBODYS = frozenset(
    {*_LOGINS, "/api/auth/passkey/options", "/api/csp-report", "/api/process-complete-ack"},
)
"""POSTs of which Hermes does not ask which page they came from."""

_SETUP = (
    "/api/auth/passkey/register",
    "/api/onboarding/",
    "/api/settings",  # among them the first password
)

_COMMANDS = (
    "/api/admin/reload",
    "/api/commands/exec",
    "/api/crons/",
    "/api/extensions/",
    "/api/file/open-vscode",
    "/api/file/reveal",
    "/api/gateway/",
    "/api/git/",
    "/api/health/restart",
    "/api/kanban/dispatch",
    "/api/mcp/servers/",
    "/api/session/worktree/",
    "/api/shutdown",
    "/api/terminal/",
    "/api/updates/apply",
    "/api/updates/clear_lock",
    "/api/updates/force",
)
"""What starts a program, writes down one to be started, or restarts Hermes. Talking to the agent is not among them:
it is what the page is for."""


def precautions(method: str, target: str) -> Precaution:
    """What to see to before this call is passed on.

    Args:
        method: As sent; Hermes compares it with its case.
        target: The request target as sent.
    """
    try:
        path, query = split(target)
    except ValueError:
        return Precaution.NONE  # nor can Hermes take it apart
    if method != "GET":
        return _of_write(path)
    if path == "/api/updates/check" and query.get("simulate", ["0"])[0] == "1":
        return Precaution.HOST
    return _GETS.get(path, Precaution.NONE)


def shows_page(method: str, target: str) -> bool:
    """Whether Hermes takes such a call from its own page only, and from those that it was told to allow (F10)."""
    try:
        return method == "POST" and split(target)[0] not in _ANYBODYS
    except ValueError:
        return False


def _of_write(path: str) -> Precaution:
    if path in _LOGINS:
        return Precaution.LOGIN
    return Precaution.NETWORK if path.startswith((*_SETUP, *_COMMANDS)) else Precaution.NONE
