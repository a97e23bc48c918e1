"""The way of a request: what the stories of cancels, starts and relays leave untold."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.demo import Faults
from proxy.relay.pump import Pump
from tests.support.lab import MakeLab
from tests.support.raw import RawBrowser

BODILESS_START = b"POST /api/chat/start HTTP/1.1\r\nHost: hermes\r\nConnection: close\r\n\r\n"


async def answer_to(request: bytes, base: str) -> tuple[bytes, bytes]:
    """Status line and body."""
    browser = RawBrowser(int(base.rpartition(":")[2]))
    try:
        await browser.connect()
        await browser.send(request)
        head, _, body = (await browser.rest()).partition(b"\r\n\r\n")
        return head.partition(b"\r\n")[0], body
    finally:
        browser.close()


async def test_a_start_without_a_body_is_the_backends_to_refuse(make_lab: MakeLab, release: str) -> None:
    """P8: there is nothing to judge it by."""
    lab = await make_lab(release)

    direct = await answer_to(BODILESS_START, lab.direct.base)
    guarded = await answer_to(BODILESS_START, lab.browser.base)

    assert guarded == direct
    assert guarded[0].startswith(b"HTTP/1.1 400 ")


async def test_a_start_of_unknown_length_is_held_all_the_same(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"session_id": "%b", ' % session_id.encode()
        yield b'"message": "n=2 tag=A"}'

    started = await lab.browser.call("POST", "/api/chat/start", data=body())

    assert (started.status, started.guard["verdict"]) == (200, "forwarded")
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "A0 A1 "
    assert lab.reported("start_forwarded")


@pytest.mark.parametrize(
    "path", ["/api/chat/stream/status", "/api/chat/stream/status?stream_id=doesnotexist", "/health"]
)
async def test_an_answer_that_teaches_nothing_passes_unchanged(make_lab: MakeLab, path: str, release: str) -> None:
    lab = await make_lab(release, faults=Faults(health_status=500))

    direct = await lab.direct.call("GET", path)
    guarded = await lab.browser.call("GET", path)

    assert guarded.status == direct.status
    assert set(guarded.json) == set(direct.json)
    assert not lab.reported("observed") or path.endswith("doesnotexist")


async def test_a_relay_that_fails_ends_and_says_so(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P8, P6: the page reconnects; nothing is left behind, and it is not silent."""

    async def mistaken(*_: Any) -> None:
        raise RuntimeError("injected")

    lab = await make_lab()
    _, stream_id, _ = await lab.direct.turn()
    monkeypatch.setattr(Pump, "_is_done", mistaken)

    with caplog.at_level(logging.ERROR):
        tab = await lab.browser.open(stream_id).ended()

    assert (tab.status, tab.endings) == (200, [])
    assert [said["why"] for said in lab.reported("relay_ended")] == ["internal error"]
    assert "/api/chat/stream failed" in caplog.text
    await lab.backend.ledger.until(lambda: len(lab.backend.ledger.open_streams) == 1, within=1)
