"""What proves nothing: refused connections, refused cancels, a second start, a browser that is slow (F19, F20)."""

import asyncio
import socket

import pytest

from proxy.config import RelaySettings
from proxy.demo import Faults, Pace
from proxy.http.errors import BackendUnreachableError
from proxy.http.upstream.exchange import Exchange
from tests.support.lab import OWNERSHIP, Lab, MakeLab

IN_A_TOOL = "n=3 d=0.01 tool=1.2 tag=A"
FAST = Pace(token=0.01, first_token=0.01, unwind=0.05, spoil=0.02, gap=0.005)


async def test_a_refused_connection_ends_no_turn_that_works_silently(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    """A socket that is missing for a moment, or no descriptor left, is not a restart: nothing is lost, or held."""
    lab = await make_lab(release)
    session_id = await lab.browser.new_session()
    stream_id = (await lab.browser.start(session_id, IN_A_TOOL)).json["stream_id"]
    tab = await lab.browser.open(stream_id).until(lambda tab: "tool" in tab.names)
    with monkeypatch.context() as broken:
        broken.setattr(Exchange, "open", _refused)
        assert (await lab.browser.call("GET", "/api/sessions")).status == 502
        assert (await lab.browser.cancel("another")).status == 502
    await lab.browser.call("GET", "/api/sessions")

    other = await lab.browser.start(await lab.browser.new_session(), "n=1 tag=B")
    await tab.ended()

    assert other.guard["verdict"] == "forwarded"
    assert (tab.endings, tab.text) == (["stream_end"], "Acalls A0 A1 A2 ")
    assert "synthesized_by" not in tab.raw.decode()
    assert not [seen for seen in lab.reported("observed") if seen["what"] == "BackendRestarted"]


async def _refused(_exchange: Exchange) -> None:
    raise BackendUnreachableError("it takes no connection")


# -- runner mode (F20) ----------------------------------------------------------------------------


async def _runner(make_lab: MakeLab) -> Lab:
    """Limits so short that anything believed of its turns would cut them."""
    brief = OWNERSHIP.model_copy(update={"settle_timeout": 0.3, "linger": 0.2, "stop_timeout": 0.5})
    return await make_lab("v0.52.262", mode="runner", ownership=brief)


async def test_a_runners_turn_goes_on_to_its_end_after_a_refused_stop(make_lab: MakeLab) -> None:
    lab = await _runner(make_lab)
    _, stream_id, tab = await lab.browser.turn("n=60 d=0.02 tag=A")

    stops = [await lab.browser.cancel(stream_id) for _ in range(3)]
    await tab.ended()

    assert [stop.json for stop in stops] == [{"ok": True, "cancelled": False, "stream_id": stream_id}] * 3
    assert [stop.guard for stop in stops] != [], "each was forwarded"
    assert {stop.guard["verdict"] for stop in stops} == {"forwarded"}
    assert (tab.endings, tab.text.split()[-1]) == (["stream_end"], "A59")
    assert "synthesized_by" not in tab.raw.decode()


async def test_a_runners_turn_goes_on_through_a_silence_after_a_refused_stop(make_lab: MakeLab) -> None:
    lab = await _runner(make_lab)
    _, stream_id, tab = await lab.browser.turn("n=10 d=0.02 quiet=1.2 tag=A")

    stop = await lab.browser.cancel(stream_id)
    await tab.ended()

    assert "reason" not in stop.json
    assert (tab.endings, tab.text.split()[-1]) == (["stream_end"], "A9")
    assert "synthesized_by" not in tab.raw.decode()


async def test_two_runners_turns_in_a_session_are_both_relayed_to_their_ends(make_lab: MakeLab) -> None:
    """A second start supersedes nobody where both run, and a Stop of the first is neither lost nor superseded."""
    lab = await _runner(make_lab)
    session_id, first, tab = await lab.browser.turn("n=20 d=0.02 quiet=1.0 tag=A")
    second = (await lab.browser.start(session_id, "n=20 d=0.05 tag=B")).json["stream_id"]
    other = await lab.browser.open(second).until(lambda tab: "token" in tab.names)
    await asyncio.sleep(0.4)  # the first is silent for longer than any limit

    stop = await lab.browser.cancel(first)
    await asyncio.gather(tab.ended(), other.ended())

    assert stop.json == {"ok": True, "cancelled": False, "stream_id": first}
    assert (tab.endings, tab.text.split()[-1]) == (["stream_end"], "A19")
    assert (other.endings, other.text.split()[-1]) == (["stream_end"], "B19")
    assert "synthesized_by" not in tab.raw.decode() + other.raw.decode()


# -- gateway mode (F19) ---------------------------------------------------------------------------


async def test_a_gateways_stopped_turn_holds_no_start_where_hermes_takes_it(make_lab: MakeLab) -> None:
    """On v0.51 the tool runs on in the gateway, and the next start works at once."""
    lab = await make_lab("v0.51.195", mode="gateway", pace=FAST)
    session_id = await lab.browser.new_session()
    first = (await lab.browser.start(session_id, "n=3 tool=3 tag=A")).json["stream_id"]
    await lab.browser.open(first).until(lambda tab: "tool" in tab.names)
    stopped = await lab.browser.cancel(first)

    started = await lab.browser.start(session_id, "n=2 tag=B")

    assert stopped.json["cancelled"] is True
    assert started.status == 200
    assert started.at - stopped.at < 2
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "


async def test_a_stop_that_the_gateway_does_not_take_leaves_its_turn_running(make_lab: MakeLab) -> None:
    lab = await make_lab("v0.52.262", mode="gateway", faults=Faults(gateway_down=True))
    _, stream_id, tab = await lab.browser.turn("n=30 d=0.02 tag=A")

    stopped = await lab.browser.cancel(stream_id)
    await tab.ended()

    assert stopped.status == 502
    assert (tab.endings, tab.text.split()[-1]) == (["stream_end"], "A29")


# -- a slow browser -------------------------------------------------------------------------------


async def test_a_tab_that_is_far_behind_when_another_one_sends_gets_all_of_its_turn(make_lab: MakeLab) -> None:
    """What Hermes has sent reaches it, its ending included, though another turn owns the session by then."""
    brief = OWNERSHIP.model_copy(update={"linger": 0.2, "settle_timeout": 0.3})
    lab = await make_lab("v0.51.265", ownership=brief, relay=RelaySettings(buffer=64 << 10))
    session_id = await lab.browser.new_session()
    first = (await lab.browser.start(session_id, f"n=12000 d=0 tag={'A' * 1000}")).json["stream_id"]
    reader, writer = await _slow_reader(lab, first)
    assert await reader.read(1000)
    second = await lab.browser.start_when_accepted(session_id, "n=2 tag=B")
    await lab.browser.open(second).ended()
    await asyncio.sleep(1.0)  # longer than any limit

    async with asyncio.timeout(30):
        rest = await reader.read()
    writer.close()

    assert b"A11999 " in rest
    assert rest.count(b"event: done") == 1
    assert rest.count(b"event: stream_end") == 1


async def _slow_reader(lab: Lab, stream_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A browser whose own buffers take little of it."""
    sock = socket.create_connection(("127.0.0.1", int(lab.browser.base.rpartition(":")[2])))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 16)
    target = f"/api/chat/stream?stream_id={stream_id}"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: hermes\r\nConnection: close\r\n\r\n".encode())
    return reader, writer
