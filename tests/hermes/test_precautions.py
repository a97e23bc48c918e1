"""Calls that need care are found however they are spelled; nothing else is held up."""

import pytest

from proxy.hermes.contract import EVENT_STREAM_PATHS, SIDE_PATHS, TURN_PATHS
from proxy.hermes.precautions import Precaution, precautions, shows_page

INJECTIONS = ["/api/approval/inject_test", "/api/clarify/inject_test"]


@pytest.mark.parametrize("path", INJECTIONS)
@pytest.mark.parametrize("spelled", ["{}", "/{}", "///{}", "{}?session_id=s", "{};x?y", "{}#x", "http://h{}"])
def test_injection_tests_are_the_hosts_own(path: str, spelled: str) -> None:
    """F9: Hermes answers them to 127.0.0.1 only."""
    assert precautions("GET", spelled.format(path)) == Precaution.HOST | Precaution.OWN_PAGE


@pytest.mark.parametrize(
    "query",
    ["simulate=1", "a=b&simulate=1", "simulate=%31", "simulate=&simulate=1", "simulate=1&simulate=0", "%73imulate=1"],
)
def test_simulated_updates_are_the_hosts_own(query: str) -> None:
    assert precautions("GET", f"/api/updates/check?{query}") == Precaution.HOST


@pytest.mark.parametrize(
    "query", ["", "?simulate=0", "?simulate=0&simulate=1", "?simulate", "?Simulate=1", "?simulate=11"]
)
def test_real_updates_are_anybodys(query: str) -> None:
    assert precautions("GET", f"/api/updates/check{query}") == Precaution.NONE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/onboarding/setup"),
        ("POST", "/api/onboarding/complete"),
        ("POST", "/api/onboarding/probe"),
        ("POST", "/api/onboarding/oauth/start"),
        ("GET", "/api/onboarding/oauth/poll?flow_id=f"),
        ("POST", "/api/auth/passkey/register"),
        ("POST", "/api/auth/passkey/register/options"),
        ("POST", "/api/settings"),
    ],
)
def test_setting_hermes_up_is_for_its_network(method: str, path: str) -> None:
    assert precautions(method, path) == Precaution.NETWORK


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/terminal/start"),
        ("POST", "/api/terminal/input"),
        ("POST", "/api/terminal/resize"),
        ("POST", "/api/terminal/close"),
        ("GET", "/api/terminal/output?session_id=s"),
        ("POST", "/api/crons/create"),
        ("POST", "/api/crons/run"),
        ("POST", "/api/git/commit"),
        ("POST", "/api/commands/exec"),
        ("PUT", "/api/mcp/servers/name"),
        ("DELETE", "/api/mcp/servers/name"),
        ("POST", "/api/extensions/install"),
        ("POST", "/api/gateway/restart"),
        ("POST", "/api/updates/apply"),
        ("POST", "//api/shutdown;x?y"),
    ],
)
def test_running_commands_is_for_its_network(method: str, path: str) -> None:
    assert precautions(method, path) == Precaution.NETWORK


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/passkey/login", "//api/auth/login?x"])
def test_logins_are_counted(path: str) -> None:
    assert precautions("POST", path) == Precaution.LOGIN


@pytest.mark.parametrize(
    "path", ["/api/chat/cancel?stream_id=x", "//api/chat/cancel", "/api/background/status?session_id=s"]
)
def test_gets_that_change_something_are_for_hermes_own_page(path: str) -> None:
    assert precautions("GET", path) == Precaution.OWN_PAGE


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "*"),
        ("GET", "http://["),
        ("GET", "/api/onboarding/status"),
        ("GET", "/api/settings"),
        ("GET", "/api/crons"),
        ("GET", "/api/auth/status"),
        ("GET", "/api/auth/login"),
        ("GET", "/api/%61pproval/inject_test"),
        ("GET", "/api/approval/inject_test/"),
        ("POST", "/api/approval/respond"),
        ("POST", "/api/updates/check"),
        ("POST", "/api/session/new"),
        ("POST", "/API/terminal/start"),
        *(("POST", path) for path in sorted(TURN_PATHS | SIDE_PATHS)),
        ("GET", "/api/sessions/events"),
        *(("GET", path) for path in sorted(EVENT_STREAM_PATHS - {"/api/terminal/output"})),
    ],
)
def test_everything_else_is_none_of_its_business(method: str, target: str) -> None:
    """What Hermes reads as another call is another call here; talking to the agent is what the page is for."""
    assert precautions(method, target) == Precaution.NONE


@pytest.mark.parametrize(
    ("method", "target", "shown"),
    [
        ("POST", "/api/chat/start", True),
        ("POST", "//api/chat/start?x", True),
        ("GET", "/api/chat/start", False),
        ("post", "/api/chat/start", False),
        ("POST", "/api/auth/login", False),
        ("POST", "/api/auth/passkey/options", False),
        ("POST", "/api/csp-report?x", False),
        ("POST", "http://[", False),
    ],
)
def test_a_post_shows_which_pages_hermes_takes_but_for_those_that_are_anybodys(
    method: str, target: str, *, shown: bool
) -> None:
    """F10."""
    assert shows_page(method, target) is shown
