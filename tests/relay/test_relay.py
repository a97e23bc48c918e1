"""How a relay ends, and what it leaves behind: nothing (P4, P5, P6, P10)."""

from types import SimpleNamespace
from typing import Any

import pytest

from proxy.config import RelaySettings
from proxy.demo import Faults
from proxy.hermes.contract import OpenStream
from proxy.relay.watch import NoWatch
from tests.support.lab import OWNERSHIP, MakeLab

MARK = "synthesized_by"


async def test_a_stream_passes_byte_for_byte(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    _, stream_id, tab = await lab.browser.turn("n=5 tag=A")
    await tab.ended()

    again = await lab.browser.open(stream_id).ended()
    direct = await lab.direct.open(stream_id).ended()

    assert again.raw == direct.raw
    assert again.endings == ["stream_end"]


async def test_the_upstream_is_closed_with_the_terminal_event(make_lab: MakeLab) -> None:
    """P6, F6: v0.51 heartbeats for ever after an apperror; its relay ends there."""
    lab = await make_lab("v0.51.195")
    session_id, first, _ = await lab.direct.turn()
    await lab.direct.cancel(first)
    doomed = await lab.direct.start(session_id, "n=4 tag=B")

    tab = await lab.browser.open(doomed.json["stream_id"]).ended()

    assert tab.endings == ["apperror"]
    assert tab.names[-1] == "apperror", "P4: the leaked text that follows is not written"
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)


async def test_done_and_then_silence_is_an_end(make_lab: MakeLab, release: str) -> None:
    """F6: after a btw stream's `done` the backend heartbeats for ever."""
    lab = await make_lab(release, heartbeat=0.05)
    session_id = await lab.browser.new_session()
    side = await lab.browser.call("POST", "/api/btw", json={"session_id": session_id, "question": "n=2 tag=Q"})

    tab = await lab.browser.open(side.json["stream_id"]).ended()

    assert tab.endings == ["stream_end"]
    assert tab.frames[-1][1][MARK] == "stream-guard"
    assert tab.ended_at is not None
    assert OWNERSHIP.linger - 0.05 < tab.ended_at - tab.at("done") < OWNERSHIP.linger + 1
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)


async def test_a_cancel_whose_event_never_comes_is_ended_by_the_proxy(make_lab: MakeLab, release: str) -> None:
    """F4, P5: in Hermes' shape, without an id, and marked."""
    lab = await make_lab(release, faults=Faults(mute_cancel=True), heartbeat=0.05)
    session_id, stream_id, tab = await lab.browser.turn()

    answer = await lab.browser.cancel(stream_id)
    await tab.ended()

    assert answer.json["cancelled"] is True
    assert tab.endings == ["cancel"]
    assert tab.frames[-1][1] == {
        "message": "Cancelled by user",
        "type": "cancelled",
        "status": "cancelled",
        "session_id": session_id,
        MARK: "stream-guard",
    }
    assert b"\n\nevent: cancel\n" in tab.raw
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)


async def test_a_superseded_stream_is_ended_by_the_proxy(make_lab: MakeLab) -> None:
    """P5: its tab is told that it is over, once it was silent for a while."""
    lab = await make_lab("v0.52.262", faults=Faults(die_after=2), heartbeat=0.05)
    session_id, _, tab = await lab.browser.turn()
    lab.backend.faults = Faults()

    second = await lab.browser.start_when_accepted(session_id, "n=400 tag=B")
    await tab.ended()

    assert tab.endings == ["stream_end"]
    assert tab.frames[-1][1][MARK] == "stream-guard"
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=0.1)  # only the old one was open
    assert (await lab.browser.cancel(second)).json["cancelled"] is True


async def test_every_tab_of_a_cancelled_stream_is_given_one_ending(make_lab: MakeLab, release: str) -> None:
    """P5: two tabs, one stream."""
    lab = await make_lab(release)
    _, stream_id, one = await lab.browser.turn()
    two = await lab.browser.open(stream_id).until(lambda tab: "token" in tab.names)

    answer = await lab.browser.cancel(stream_id)

    assert max(one.at("cancel"), two.at("cancel")) < answer.at
    assert (await one.ended()).endings == (await two.ended()).endings == ["cancel"]


async def test_an_end_of_file_while_being_cancelled_is_a_cancel(make_lab: MakeLab) -> None:
    lab = await make_lab("v0.51.265", faults=Faults(mute_cancel=True))
    _, stream_id, tab = await lab.browser.turn()
    await lab.browser.cancel(stream_id)

    await lab.backend.close()

    assert (await tab.ended()).endings == ["cancel"]


async def test_an_end_of_file_otherwise_passes_as_it_is(make_lab: MakeLab, release: str) -> None:
    """The page reconnects and replays by itself."""
    lab = await make_lab(release, faults=Faults(cut_after=2))

    _, _, tab = await lab.browser.turn()

    assert (await tab.ended()).endings == []
    assert not tab.broken


async def test_a_stream_nobody_heard_of_is_the_backends_to_refuse(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)

    answer = await lab.browser.call("GET", "/api/chat/stream?stream_id=doesnotexist")

    assert (answer.status, answer.json) == (404, {"error": "stream not found"})


async def test_silence_ends_a_relay(make_lab: MakeLab) -> None:
    """Not even a heartbeat for `idle_timeout`: the connection is dead."""
    relay = RelaySettings(idle_timeout=0.2)
    lab = await make_lab(faults=Faults(die_after=2), relay=relay, heartbeat=60)

    _, _, tab = await lab.browser.turn()

    assert (await tab.ended()).endings == []
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)


async def test_a_browser_that_leaves_ends_its_relay_and_not_the_turn(make_lab: MakeLab, release: str) -> None:
    """P6: its upstream is closed. P10: the turn goes on."""
    lab = await make_lab(release)
    _, stream_id, tab = await lab.browser.turn()
    await tab.leave()

    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)

    assert not lab.backend.ledger.cancels
    status = await lab.browser.call("GET", f"/api/chat/stream/status?stream_id={stream_id}")
    assert status.json["active"] is True


@pytest.mark.parametrize("path", ["/api/sessions/events", "/api/approval/stream", "/api/kanban/events/stream"])
async def test_other_event_streams_are_no_orphans_either(make_lab: MakeLab, path: str) -> None:
    """P6: the same care, and no ownership."""
    lab = await make_lab(heartbeat=0.05)
    session_id = await lab.browser.new_session()
    tab = lab.browser.watch(f"{path}?session_id={session_id}")
    await tab.until(lambda tab: bool(tab.raw))
    await tab.leave()

    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams, within=1)


async def test_a_turn_announced_on_the_sessions_channel_is_owned(make_lab: MakeLab) -> None:
    """`server_turn_started` is evidence as a start is: duplicates of its Stop are coalesced."""
    lab = await make_lab("v0.52.262")
    session_id = await lab.browser.new_session()
    channel = lab.browser.watch(f"/api/session/stream?session_id={session_id}")
    await channel.until(lambda tab: "initial" in tab.names)

    stream_id = lab.backend.start_turn(session_id, "n=400 tag=A")
    await channel.until(lambda tab: "server_turn_started" in tab.names)

    (seen,) = [one for one in lab.reported("observed") if one["what"] == "TurnStarted"]
    assert (seen["session"], seen["stream_id"], seen["hosted"]) == (session_id, stream_id, True)
    second = await lab.browser.start(session_id, "n=2 tag=B")
    assert second.status == 409


async def test_a_compressed_conversation_goes_on_under_its_new_id(make_lab: MakeLab, release: str) -> None:
    """Evidence: `compressed` moves the stream to the session that goes on."""
    lab = await make_lab(release)
    old, first, tab = await lab.browser.turn("compress n=3 tag=A")
    await tab.ended()
    new = next(data["new_session_id"] for name, data, _ in tab.frames if name == "compressed")

    ends = [said["session"] for said in lab.reported("observed") if said["what"] == "StreamEnded"]

    assert new != old
    assert set(ends) == {new}
    assert (await lab.browser.cancel(first)).json["reason"] == "finished"


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
async def test_a_stream_that_was_compressed_on_the_way_is_passed_on_unread(make_lab: MakeLab, coding: bytes) -> None:
    """P8: what cannot be read teaches nothing, and an ending behind it would be noise."""
    lab = await make_lab()
    assert lab.proxy is not None
    stream: Any = SimpleNamespace(headers=((b"Content-Encoding", coding),))

    assert isinstance(lab.proxy.guard.handler.relays._watch(OpenStream("x"), stream, "r-1"), NoWatch)
