"""F9: whoever is not as near to Hermes as it believes is refused what it keeps from strangers."""

from ipaddress import ip_network

import pytest

from proxy.config import ClientSettings
from proxy.gate import gate as module
from proxy.gate.authentication import Authentication
from proxy.gate.gate import GateRules
from tests.support.clients import FRONT, HOST, LAN, STRANGER, coming_from
from tests.support.lab import Lab, MakeLab, Reply

INJECTIONS = ["/api/approval/inject_test?session_id=s", "/api/clarify/inject_test?session_id=s"]
SIMULATION = "/api/updates/check?simulate=1"
PASSWORD = "secret"


async def ask(lab: Lab, target: str, *chain: str, method: str = "GET", **headers: str) -> Reply:
    return await lab.browser.call(method, target, headers={**coming_from(*chain), **headers} if chain else headers)


def reached(lab: Lab, target: str) -> int:
    return len(lab.backend.ledger.requests_for(target.partition("?")[0]))


async def cookie(lab: Lab) -> str:
    reply = await lab.direct.call("POST", "/api/auth/login", json={"password": PASSWORD})
    return next(value for name, value in reply.headers if name == "Set-Cookie").partition(";")[0]


@pytest.mark.parametrize("target", INJECTIONS)
async def test_injection_tests_are_refused_to_everybody_but_the_host(
    make_lab: MakeLab, release: str, target: str
) -> None:
    lab = await make_lab(release, client=FRONT)

    for client in (STRANGER, LAN):
        refused = await ask(lab, target, client)
        assert (refused.status, refused.json["code"]) == (403, "local_only")
        assert f"you are at {client}" in refused.json["error"]
    assert reached(lab, target) == 0

    assert (await ask(lab, target, HOST)).status == 200
    assert (await ask(lab, target)).status == 200


async def test_a_simulated_update_is_the_hosts_and_a_real_one_everybodys(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT)

    assert (await ask(lab, SIMULATION, LAN)).status == 403
    assert (await ask(lab, "/api/updates/check", STRANGER)).json["webui"]["behind"] == 0
    assert (await ask(lab, SIMULATION, HOST)).json["webui"]["behind"] == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"},
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": "127.0.0.1, 127.0.0.1,"},
        {"X-Forwarded-For": ""},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
    ],
)
async def test_a_client_that_is_not_certain_is_nowhere_near(make_lab: MakeLab, headers: dict[str, str]) -> None:
    """The nearest readable address is the trusted proxy's, and that is loopback."""
    lab = await make_lab(client=FRONT)
    for target in (INJECTIONS[0], SIMULATION):
        assert (await ask(lab, target, **headers)).json["code"] == "local_only"
    refused = await ask(lab, "/api/terminal/start", method="POST", **headers)
    assert refused.json["code"] == "local_only"


async def test_a_proxy_that_nobody_has_named_makes_nobody_local(make_lab: MakeLab) -> None:
    """Every browser behind it has the address of this host; the refusal says what to do."""
    lab = await make_lab()
    refused = await ask(lab, INJECTIONS[0], HOST)
    assert (refused.status, refused.json["code"]) == (403, "local_only")
    assert "missing from client.trusted_proxies?" in refused.json["error"]
    assert (await ask(lab, INJECTIONS[0])).status == 200


COMMANDS = [
    ("POST", "/api/terminal/start"),
    ("GET", "/api/terminal/output"),
    ("POST", "/api/onboarding/setup"),
    ("POST", "/api/settings"),
    ("POST", "/api/crons/create"),
    ("PUT", "/api/mcp/servers/x"),
]


@pytest.mark.parametrize(("method", "path"), COMMANDS)
async def test_setup_and_commands_are_the_networks_while_there_is_no_login(
    make_lab: MakeLab, method: str, path: str
) -> None:
    lab = await make_lab(client=FRONT)

    refused = await ask(lab, path, STRANGER, method=method)
    assert (refused.status, refused.json["code"]) == (403, "local_only")
    assert "set a password in Hermes, or connect from its own network" in refused.json["error"]
    assert reached(lab, path) == 0

    if method == "GET":
        tab = lab.browser.watch(path)
        await tab.until(lambda tab: tab.status == 200)
        return
    for client in (LAN, HOST, "fd00::7", "::1"):
        await ask(lab, path, client, method=method)
    assert reached(lab, path) == 4


async def test_with_a_login_hermes_decides(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT, password=PASSWORD)
    entered = await cookie(lab)

    assert (await ask(lab, "/api/onboarding/setup", STRANGER, method="POST")).status == 401
    assert (await ask(lab, "/api/onboarding/setup", STRANGER, method="POST", Cookie=entered)).status == 404
    assert (await ask(lab, INJECTIONS[0], STRANGER, Cookie=entered)).json["code"] == "local_only"


async def test_strangers_may_read_and_chat_without_a_login(make_lab: MakeLab) -> None:
    """It is what the page is for; that anybody may is warned of at the start."""
    lab = await make_lab(client=FRONT)
    for target in ("/", "/api/onboarding/status", "/api/auth/status"):
        assert (await ask(lab, target, STRANGER)).status != 403
    session_id = (await ask(lab, "/api/session/new", STRANGER, method="POST")).json["session"]["session_id"]
    started = await lab.browser.start(session_id, "n=1", headers=coming_from(STRANGER))
    assert started.status == 200


async def test_it_is_refused_while_hermes_does_not_say_whether_there_is_a_login(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await make_lab(client=FRONT, password=PASSWORD)

    async def unknown(_: Authentication) -> None:
        """As of a Hermes that does not answer."""

    with monkeypatch.context() as patched:
        patched.setattr(Authentication, "enabled", unknown)
        assert (await ask(lab, "/api/terminal/start", STRANGER, method="POST")).json["code"] == "local_only"
    assert (await ask(lab, "/api/terminal/start", STRANGER, method="POST")).status == 401


async def test_which_networks_are_local_can_be_set(make_lab: MakeLab) -> None:
    vpn = FRONT.model_copy(update={"local_networks": (ip_network("100.64.0.0/10"),)})
    lab = await make_lab(client=vpn)
    statuses = [
        (await ask(lab, "/api/onboarding/setup", client, method="POST")).status for client in ("100.100.1.2", LAN, HOST)
    ]
    assert statuses == [404, 403, 403]


async def test_what_is_refused_is_reported_without_its_query(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT)
    await ask(lab, INJECTIONS[0], STRANGER)
    said = {"code": "local_only", "path": "/api/approval/inject_test", "client": STRANGER}
    assert lab.notices.of("request_refused") == [said]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Referer": "https://evil.example/"},
        {"Origin": "null"},
    ],
)
async def test_a_page_elsewhere_cannot_stop_a_turn(make_lab: MakeLab, release: str, headers: dict[str, str]) -> None:
    lab = await make_lab(release)
    _, stream_id, tab = await lab.browser.turn("n=20 tag=A")

    refused = await lab.browser.cancel(stream_id, headers=headers)

    assert (refused.status, refused.json["code"]) == (403, "cross_site")
    await tab.ended()
    assert "done" in tab.names
    assert not lab.backend.ledger.cancels
    assert lab.notices.of("request_refused")[0]["code"] == "cross_site"


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Referer": "{base}/session/x"}]
)
async def test_hermes_own_page_people_and_programs_stop_a_turn(
    make_lab: MakeLab, release: str, headers: dict[str, str]
) -> None:
    lab = await make_lab(release)
    _, stream_id, _ = await lab.browser.turn()
    named = {name: value.format(base=lab.browser.base) for name, value in headers.items()}
    assert (await lab.browser.cancel(stream_id, headers=named)).json["cancelled"] is True


@pytest.mark.parametrize("target", [*INJECTIONS, "/api/background/status?session_id=s"])
async def test_other_gets_that_change_something_are_not_for_a_page_elsewhere(make_lab: MakeLab, target: str) -> None:
    lab = await make_lab()
    assert (await ask(lab, target, **{"Sec-Fetch-Site": "cross-site"})).json["code"] == "cross_site"


async def test_no_browser_says_who_is_logged_in(make_lab: MakeLab) -> None:
    own = ClientSettings(identity_headers=("My-User",))
    lab = await make_lab(client=own)
    said = {"Remote-User": "admin", "X-FORWARDED-USER": "admin", "my-user": "admin", "X-Mine": "x"}
    await ask(lab, "/health", **said)
    names = {name.lower() for name, _ in lab.backend.ledger.requests_for("/health")[-1].headers}
    assert names & {name.lower() for name in said} == {"x-mine"}


async def test_a_trusted_proxy_says_who_is_logged_in(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT)
    await ask(lab, "/health", STRANGER, **{"Remote-User": "me"})
    assert ("Remote-User", "me") in lab.backend.ledger.requests_for("/health")[-1].headers


@pytest.mark.parametrize("step", ["precautions", "provenance", "_is_in"])
async def test_a_mistake_of_the_gates_lets_nobody_through(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """P8 is not for what keeps strangers out: it fails closed."""
    lab = await make_lab(client=FRONT)

    def mistaken(*_: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(module, step, mistaken)
    target = "/api/terminal/start" if step == "_is_in" else INJECTIONS[0]
    method = "POST" if step == "_is_in" else "GET"
    assert (await ask(lab, target, STRANGER, method=method)).json["code"] == "internal_error"
    assert reached(lab, target) == 0


async def test_rules_can_change_while_it_runs(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT)
    lab.gate.rules = GateRules(local_networks=(ip_network("203.0.113.0/24"),))
    assert (await ask(lab, "/api/onboarding/setup", STRANGER, method="POST")).status == 404
