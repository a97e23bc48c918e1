"""Nobody is sent a turn that Hermes would not have given to them, in whichever way they ask (P9)."""

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from proxy.config import ClientSettings, RelaySettings
from proxy.http.errors import BackendUnreachableError
from tests.support.lab import FAST, Lab, MakeLab, Tab

WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "from now on": ("", {}),
    "by a cursor": ("&after_seq=2", {}),
    "by an event": ("&after_event_id={stream}:2", {}),
    "from the beginning": ("&after_seq=0", {}),
    "by a replay": ("&replay=1", {}),
    "by the header": ("", {"Last-Event-ID": "{stream}:2"}),
}
SLOWLY = replace(FAST, token=0.02)
KEEPING = RelaySettings(reattach=30)


async def logged_in(lab: Lab) -> dict[str, str]:
    """The cookie of somebody who has just logged in."""
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    return {"Cookie": next(value.partition(";")[0] for name, value in login.headers if name == "Set-Cookie")}


async def turn_of(lab: Lab, known: dict[str, str], message: str = "n=200 tag=A") -> tuple[str, Tab]:
    """A turn that somebody follows whom Hermes knows."""
    session = await lab.browser.call("POST", "/api/session/new", json={}, headers=known)
    session_id = session.json["session"]["session_id"]
    started = await lab.browser.start(session_id, message, headers=known)
    stream_id = started.json["stream_id"]
    tab = await lab.browser.open(stream_id, headers=known).until(lambda tab: tab.names.count("token") > 2)
    return stream_id, tab


def asking(way: str, stream_id: str, who: dict[str, str]) -> tuple[str, dict[str, str]]:
    query, headers = WAYS[way]
    said = {name: value.format(stream=stream_id) for name, value in headers.items()}
    return query.format(stream=stream_id), {**who, **said}


async def is_refused(lab: Lab, stream_id: str, way: str, who: dict[str, str]) -> None:
    """They are told through the proxy what Hermes tells them itself, and not a word of the turn."""
    query, headers = asking(way, stream_id, who)
    path = f"/api/chat/stream?stream_id={stream_id}{query}"
    through = await lab.browser.call("GET", path, headers=headers)
    direct = await lab.direct.call("GET", path, headers=headers)

    assert (through.status, through.json) == (direct.status, direct.json)
    assert through.status in {401, 403, 404}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cookie", [{}, {"Cookie": "hermes_session=forged"}], ids=["no login", "a forged one"])
async def test_a_stranger_gets_what_hermes_says(make_lab: MakeLab, way: str, cookie: dict[str, str]) -> None:
    lab = await make_lab(password="secret", pace=SLOWLY)
    stream_id, _ = await turn_of(lab, await logged_in(lab))

    await is_refused(lab, stream_id, way, cookie)


@pytest.mark.parametrize("way", WAYS)
async def test_after_a_logout_they_are_a_stranger(make_lab: MakeLab, way: str) -> None:
    """Though Hermes has given them this very stream before."""
    lab = await make_lab(password="secret", pace=SLOWLY, relay=KEEPING)
    known = await logged_in(lab)
    stream_id, tab = await turn_of(lab, known)
    await lab.browser.call("POST", "/api/auth/logout", headers=known)
    await tab.leave()

    await is_refused(lab, stream_id, way, known)


@pytest.mark.parametrize("way", WAYS)
async def test_a_login_that_has_expired_is_none(make_lab: MakeLab, way: str) -> None:
    now = [1_000_000.0]
    lab = await make_lab(password="secret", pace=SLOWLY, clock=lambda: now[0])
    known = await logged_in(lab)
    stream_id, _ = await turn_of(lab, known)
    now[0] += 365 * 24 * 3600

    await is_refused(lab, stream_id, way, known)


@pytest.mark.parametrize("way", WAYS)
async def test_an_identity_header_is_a_credential(make_lab: MakeLab, way: str) -> None:
    """F9: as a proxy in front says who somebody is."""
    trusting = ClientSettings(trusted_proxies=("127.0.0.0/8",))  # type: ignore[arg-type]  # parsed from text
    lab = await make_lab(identity_header="X-User", client=trusting, pace=SLOWLY)
    stream_id, _ = await turn_of(lab, {"X-User": "alice"})

    await is_refused(lab, stream_id, way, {})


@pytest.mark.parametrize("way", WAYS)
async def test_after_the_turn_a_stranger_gets_what_hermes_says(make_lab: MakeLab, way: str) -> None:
    lab = await make_lab(password="secret", pace=SLOWLY)
    stream_id, tab = await turn_of(lab, await logged_in(lab), "n=5 tag=A")
    await tab.ended()

    await is_refused(lab, stream_id, way, {})


@pytest.mark.parametrize("way", ["from now on", "by a cursor", "by the header"])
async def test_other_credentials_are_asked_for_and_join_if_hermes_gives_them_the_stream(
    make_lab: MakeLab, way: str
) -> None:
    """Another login, or another profile: Hermes judges by all of them."""
    lab = await make_lab(password="secret", pace=SLOWLY)
    stream_id, _ = await turn_of(lab, await logged_in(lab))
    query, headers = asking(way, stream_id, await logged_in(lab))
    before = lab.backend.ledger.requests_for("/api/chat/stream")

    tab = lab.browser.open(stream_id, query, headers=headers)
    await tab.until(lambda tab: "token" in tab.names)

    asked = lab.backend.ledger.requests_for("/api/chat/stream")[len(before) :]
    assert [dict(request.headers)["Cookie"] for request in asked] == [headers["Cookie"]]
    await lab.backend.ledger.until(lambda: len(lab.backend.ledger.open_streams) == 1)


async def test_a_head_for_somebody_else_names_no_cookie_of_the_first(make_lab: MakeLab) -> None:
    lab = await make_lab(pace=SLOWLY)
    _, stream_id, _ = await lab.browser.turn("n=200 tag=A")

    async with lab.session.get(f"{lab.browser.base}/api/chat/stream?stream_id={stream_id}") as joined:
        fields: dict[str, Any] = dict(joined.headers)

    assert fields["Content-Type"].startswith("text/event-stream")
    assert "Set-Cookie" not in fields


async def test_where_hermes_does_not_answer_it_is_asked_for_the_stream(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: the status of the stream is not to be had, and nothing is taken from that."""
    lab = await make_lab(pace=SLOWLY)
    _, stream_id, _ = await lab.browser.turn("n=200 tag=A")
    silent = AsyncMock(side_effect=BackendUnreachableError("refused"))
    monkeypatch.setattr("proxy.backend.backend.Backend.ask_status", silent)

    await lab.browser.open(stream_id).until(lambda tab: "token" in tab.names)

    assert len(lab.backend.ledger.requests_for("/api/chat/stream")) == 2
    await lab.backend.ledger.until(lambda: len(lab.backend.ledger.open_streams) == 1)
