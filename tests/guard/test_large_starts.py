"""Starts too large for memory: they wait on disk, and are held like any other; where there is no room they pass."""

from __future__ import annotations

import asyncio
import json
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from proxy.demo import Faults
from proxy.guard import spool
from proxy.guard.spool import Spool, Spooled, body_of, session_of
from proxy.hermes.scanning import FieldScanner
from proxy.http.message import Body
from tests.support.lab import OWNERSHIP, UNHURRIED, Lab, MakeLab
from tests.support.notes import Notes, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.lab import Reply

SMALL = OWNERSHIP.model_copy(update={"start_body_limit": 1024})
ATTACHED = [{"name": "x", "data": '{[,:"\\' * 100_000}]
LARGE: dict[str, Any] = {"message": "n=2 tag=B", "attachments": ATTACHED}


async def send(lab: Lab, session_id: str, path: str = "/api/chat/start") -> Reply:
    """A start that names its session at its end."""
    return await lab.browser.call("POST", path, json={**LARGE, "session_id": session_id})


async def stopped(lab: Lab) -> tuple[str, str]:
    session_id, stream_id, _ = await lab.browser.turn()
    assert (await lab.browser.cancel(stream_id)).json["cancelled"] is True
    return session_id, stream_id


async def test_a_large_start_right_after_stop_is_held(make_lab: MakeLab, release: str) -> None:
    """P3: it lives with its own text, and arrives byte for byte."""
    lab = await make_lab(release, ownership=SMALL, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    started = await send(lab, session_id)
    tab = await lab.browser.open(started.json["stream_id"]).ended()

    assert (started.status, started.guard["verdict"]) == (200, "held")
    assert tab.text == "B0 B1 "
    sent = lab.backend.ledger.requests_for("/api/chat/start")[-1]
    assert sent.body_size == len(json.dumps({**LARGE, "session_id": session_id}))
    assert not lab.reported("start_passed_large")


async def test_a_large_start_goes_on_though_its_browser_has_left(make_lab: MakeLab) -> None:
    """P10: what it had sent."""
    lab = await make_lab(ownership=SMALL, pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    start = asyncio.create_task(send(lab, session_id))
    await lab.until_reported("start_held")
    start.cancel()

    await lab.until_reported("start_answered", 2)

    assert lab.reported("start_answered")[1]["status"] == 200


async def test_a_large_start_that_meets_a_spurious_conflict_is_tried_again(make_lab: MakeLab) -> None:
    """F2: from disk it can go out as often as from memory."""
    ownership = SMALL.model_copy(update={"settle_timeout": 5.0})
    lab = await make_lab("v0.52.262", ownership=ownership, faults=Faults(health_status=500), pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    started = await send(lab, session_id)

    assert (started.status, started.guard["verdict"]) == (200, "held")
    assert lab.reported("start_conflict_spurious")


async def test_a_large_change_is_held(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, ownership=SMALL, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    undone = await send(lab, session_id, "/api/session/undo")

    assert undone.guard == {"verdict": "held"}
    await lab.until_reported("cancel_settled")
    assert not (await lab.browser.call("GET", f"/api/session?session_id={session_id}")).json["session"]["messages"]


@pytest.mark.parametrize(
    ("constant", "why"), [("MOST_OF_ONE", "length"), ("MOST_OF_ALL", "room"), ("MOST_AT_ONCE", "room")]
)
async def test_without_room_on_disk_it_passes_unheld(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, constant: str, why: str
) -> None:
    """P7: that is reported, and what passes is whole."""
    monkeypatch.setattr(spool, constant, 0)
    lab = await make_lab(ownership=SMALL)
    session_id = await lab.browser.new_session()

    started = await send(lab, session_id)
    undone = await send(lab, session_id, "/api/session/undo")

    assert (started.status, started.guard["verdict"], undone.status) == (200, "forwarded", 200)
    assert [said["why"] for said in lab.reported("body_not_kept")] == [why, why]
    assert (len(lab.reported("start_passed_large")), len(lab.reported("change_passed_large"))) == (1, 1)


async def test_where_the_disk_is_full_it_passes_unheld(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: with what was on disk by then."""
    written = 0
    write = Spooled._write

    def full(spooled: Spooled, piece: bytes) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError(28, "No space left on device")
        write(spooled, piece)

    monkeypatch.setattr(Spooled, "_write", full)
    monkeypatch.setattr(spool, "_PIECE", 1 << 16)
    lab = await make_lab(ownership=SMALL)
    session_id = await lab.browser.new_session()

    started = await send(lab, session_id)

    assert (started.status, written) == (200, 2)
    assert [said["why"] for said in lab.reported("body_not_kept")] == ["disk"]
    sent = lab.backend.ledger.requests_for("/api/chat/start")[-1]
    assert sent.body_size == len(json.dumps({**LARGE, "session_id": session_id}))


async def test_without_a_folder_for_it_it_passes_unheld(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: as in a container whose files cannot be written."""

    def nowhere() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    lab = await make_lab(ownership=SMALL)

    started = await send(lab, await lab.browser.new_session())

    assert started.status == 200
    assert len(lab.reported("body_not_kept")) == 1


# -- the room that they take -----------------------------------------------------------------------


async def _chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def body(data: bytes, size: int = 1000) -> Body:
    return Body(len(data), _chunks(data, size))


async def read(whole: bytes | Spooled | Body) -> bytes:
    streamed = whole if isinstance(whole, Body) else body_of(whole)
    return b"".join([chunk async for chunk in streamed.chunks])


NAMED = b'{"session_id": "s", "message": "' + b"m" * 5000 + b'"}'


async def test_what_is_small_stays_in_memory() -> None:
    async with Spool(live(start_body_limit=len(NAMED)), Notes()).taking(body(NAMED)) as whole:
        assert whole == NAMED
        assert session_of(NAMED) == "s"


async def test_what_is_large_can_be_read_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_PIECE", 700)
    async with Spool(live(start_body_limit=10), Notes()).taking(body(NAMED)) as whole:
        assert isinstance(whole, Spooled)
        assert session_of(whole) == "s"
        assert await read(whole) == await read(whole) == NAMED
        assert body_of(whole).length == len(NAMED)


async def test_what_says_no_length_is_not_put_on_disk() -> None:
    """Hermes reads no such body."""
    notes = Notes()
    async with Spool(live(start_body_limit=10), notes).taking(Body(None, _chunks(NAMED, 7))) as whole:
        assert isinstance(whole, Body)
        assert whole.length is None
        assert await read(whole) == NAMED
    assert notes.of("body_not_kept") == [{"why": "length", "length": None}]


async def test_room_is_given_back_by_the_last_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_AT_ONCE", 1)
    room = Spool(live(start_body_limit=10), Notes())
    async with room.taking(body(NAMED)) as first:
        assert isinstance(first, Spooled)
        first.share()
        async with room.taking(body(NAMED)) as second:
            assert isinstance(second, Body)
    async with room.taking(body(NAMED)) as second:
        assert isinstance(second, Body)
    assert await read(first) == NAMED
    first.close()
    async with room.taking(body(NAMED)) as second:
        assert isinstance(second, Spooled)


async def test_room_is_given_back_when_a_body_breaks_off() -> None:
    room = Spool(live(start_body_limit=10), Notes())

    async def broken() -> AsyncIterator[bytes]:
        yield NAMED
        raise ConnectionError

    for _ in range(2 * spool.MOST_AT_ONCE):
        with pytest.raises(ConnectionError):
            async with room.taking(Body(2 * len(NAMED), broken())):
                pass
    async with room.taking(body(NAMED)) as whole:
        assert isinstance(whole, Spooled)


async def test_a_mistake_in_reading_it_costs_only_the_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: fail open."""
    notes = Notes()

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(FieldScanner, "feed", fail)
    async with Spool(live(start_body_limit=10), notes).taking(body(NAMED)) as whole:
        assert isinstance(whole, Spooled)
        assert await read(whole) == NAMED
        assert session_of(whole) is None
    assert notes.of("internal_error")
