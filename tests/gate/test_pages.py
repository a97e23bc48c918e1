"""F10: a GET that changes something is for the pages whose POSTs Hermes takes, whatever they call it."""

from itertools import count
from typing import TYPE_CHECKING, cast

import pytest

from proxy.gate.pages import KEPT, REMEMBERED, Pages
from proxy.http.headers import RawHeaders
from proxy.http.message import Answer
from tests.support.lab import Lab, MakeLab, Reply

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

PORT = "http://hermes.lan:8080"
FRONT = {"Host": "hermes.lan", "Referer": f"{PORT}/session/x"}
"""What arrives by a front that sends Host without its port, from a page that plain HTTP was used for."""
ALLOWED = frozenset({PORT})
NEIGHBOUR = {"Sec-Fetch-Site": "same-site", "Origin": PORT}
PASSWORD = "secret"
OTHER_GETS = ["/api/approval/inject_test?session_id=s", "/api/background/status?session_id=s"]


async def stop(lab: Lab, stream_id: str, headers: dict[str, str]) -> Reply:
    return await lab.browser.cancel(stream_id, headers=headers)


@pytest.mark.parametrize("headers", [FRONT, NEIGHBOUR, {"Referer": f"{PORT}/x"}])
async def test_a_page_that_hermes_allows_stops_a_turn(make_lab: MakeLab, release: str, headers: dict[str, str]) -> None:
    lab = await make_lab(release, allowed_origins=ALLOWED)
    _, stream_id, _ = await lab.browser.turn()
    assert (await stop(lab, stream_id, headers)).json["cancelled"] is True


@pytest.mark.parametrize(
    "headers",
    [
        FRONT,
        NEIGHBOUR,
        {**NEIGHBOUR, "Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://hermes.lan"},
    ],
)
async def test_a_page_that_hermes_does_not_allow_stops_none(
    make_lab: MakeLab, release: str, headers: dict[str, str]
) -> None:
    lab = await make_lab(release)
    _, stream_id, tab = await lab.browser.turn("n=20 tag=A")

    refused = await stop(lab, stream_id, headers)

    assert (refused.status, refused.json["code"]) == (403, "cross_site")
    await tab.ended()
    assert "done" in tab.names
    assert not lab.backend.ledger.cancels


async def test_another_site_stops_none_even_if_hermes_allows_it(make_lab: MakeLab) -> None:
    lab = await make_lab(allowed_origins=ALLOWED)
    _, stream_id, _ = await lab.browser.turn("n=400")
    refused = await stop(lab, stream_id, {"Sec-Fetch-Site": "cross-site", "Origin": PORT})
    assert refused.json["code"] == "cross_site"


@pytest.mark.parametrize("target", OTHER_GETS)
async def test_other_gets_that_change_something_are_for_allowed_pages_too(make_lab: MakeLab, target: str) -> None:
    for allowed, status in ((ALLOWED, 200), (frozenset[str](), 403)):
        lab = await make_lab(allowed_origins=allowed)
        assert (await lab.browser.call("GET", target, headers=FRONT)).status == status


async def test_the_refusal_says_what_to_do(make_lab: MakeLab) -> None:
    refused = await (await make_lab()).browser.cancel("s", headers=FRONT)
    assert "pass Host on with its port" in refused.json["error"]
    assert "HERMES_WEBUI_ALLOWED_ORIGINS" in refused.json["error"]


async def test_behind_a_login_hermes_says_it_of_the_page_though_a_get_has_no_token(
    make_lab: MakeLab, release: str
) -> None:
    lab = await make_lab(release, password=PASSWORD, allowed_origins=ALLOWED)
    reply = await lab.direct.call("POST", "/api/auth/login", json={"password": PASSWORD})
    cookie = next(value for name, value in reply.headers if name == "Set-Cookie").partition(";")[0]
    taken = await lab.browser.cancel("nothing", headers={**FRONT, "Cookie": cookie})
    assert (taken.status, taken.json["cancelled"]) == (200, False)
    foreign = {"Cookie": cookie, "Referer": "http://evil.example/"}
    assert (await lab.browser.cancel("nothing", headers=foreign)).json["code"] == "cross_site"


async def test_who_is_not_logged_in_is_told_so_by_hermes_and_opens_the_door_to_nobody(make_lab: MakeLab) -> None:
    lab = await make_lab(password=PASSWORD)
    reply = await lab.direct.call("POST", "/api/auth/login", json={"password": PASSWORD})
    cookie = next(value for name, value in reply.headers if name == "Set-Cookie").partition(";")[0]
    assert (await lab.browser.cancel("nothing", headers=FRONT)).status == 401
    assert (await lab.browser.cancel("nothing", headers={**FRONT, "Cookie": cookie})).json["code"] == "cross_site"


async def test_a_page_whose_post_hermes_took_is_not_asked_about(make_lab: MakeLab) -> None:
    lab = await make_lab(allowed_origins=ALLOWED)
    session_id = await lab.browser.new_session()
    started = await lab.browser.start(session_id, "n=400", headers={"Host": "hermes.lan", "Origin": PORT})
    assert started.status == 200
    assert (await stop(lab, started.json["stream_id"], FRONT)).json["cancelled"] is True
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == 1


async def test_a_page_whose_post_hermes_refused_is(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    post = {"Host": "hermes.lan", "Origin": PORT}
    assert (await lab.browser.start(session_id, "n=1", headers=post)).status == 403
    assert (await stop(lab, "s", FRONT)).status == 403
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == 2


async def test_a_post_that_hermes_takes_from_any_page_says_nothing(make_lab: MakeLab) -> None:
    lab = await make_lab(password=PASSWORD)
    post = {"Host": "hermes.lan", "Origin": PORT}
    reply = await lab.browser.call("POST", "/api/auth/login", json={"password": PASSWORD}, headers=post)
    assert reply.status == 200
    cookie = next(value for name, value in reply.headers if name == "Set-Cookie").partition(";")[0]
    assert (await stop(lab, "s", {**FRONT, "Cookie": cookie})).json["code"] == "cross_site"


# -- what is remembered -----------------------------------------------------------------------------


class Asked:
    """Stands in for Hermes: allows whatever page it is asked about, and counts."""

    def __init__(self, status: int = 400) -> None:
        self.status = status
        self.times = 0

    async def ask_like_page(self, _: RawHeaders) -> Answer:
        self.times += 1
        return Answer(self.status, b"", (), b"{}")


def of(number: int) -> RawHeaders:
    return ((b"Host", b"h"), (b"Origin", b"http://page-%d" % number))


async def test_an_answer_is_remembered_for_a_while() -> None:
    now, asked = [0.0], Asked()
    pages = Pages(cast("Backend", asked), lambda: now[0])
    for now[0] in (0.0, KEPT - 1, KEPT, KEPT + 1):
        assert await pages.takes(of(1))
    assert asked.times == 2


@pytest.mark.parametrize(("status", "taken"), [(401, True), (403, False), (404, False), (429, False), (503, False)])
async def test_nothing_else_is_remembered(status: int, *, taken: bool) -> None:
    asked = Asked(status)
    pages = Pages(cast("Backend", asked), lambda: 0.0)
    assert [await pages.takes(of(1)) for _ in range(2)] == [taken, taken]
    assert asked.times == 2


async def test_only_so_many_pages_are_remembered() -> None:
    asked, numbers = Asked(), count()
    pages = Pages(cast("Backend", asked), lambda: 0.0)
    for _ in range(REMEMBERED + 1):
        pages.took(of(next(numbers)))
    assert await pages.takes(of(REMEMBERED))
    assert asked.times == 0
    assert await pages.takes(of(0))
    assert asked.times == 1


async def test_what_is_no_page_is_asked_about_every_time() -> None:
    asked = Asked()
    pages = Pages(cast("Backend", asked), lambda: 0.0)
    pages.took(((b"Origin", b"null"),))
    assert [await pages.takes(((b"Origin", b"null"),)) for _ in range(2)] == [True, True]
    assert asked.times == 2
