"""What is told of a guarded request once it has ended: which call it was, its verdict, and who had the last word."""

import asyncio

import pytest

from proxy.demo import Faults
from tests.support.lab import OWNERSHIP, UNHURRIED, MakeLab


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/api/chat/cancel", "Cancel"),
        ("/api/chat/stream?stream_id=none", "OpenStream"),
        ("/api/chat/stream/status?stream_id=none", "Status"),
        ("/health", "Health"),
        ("/api/auth/status", "Other"),
    ],
)
async def test_a_request_is_told_of_by_its_call(make_lab: MakeLab, path: str, call: str) -> None:
    lab = await make_lab()
    reply = await lab.browser.call("GET", path)

    (ended,) = await lab.ended(call)

    assert ended["path"] == path.partition("?")[0]
    assert (ended["status"], ended["ended_by"], ended["verdict"]) == (reply.status, "backend", None)


async def test_a_stop_is_told_of_with_its_verdict_and_id(make_lab: MakeLab) -> None:
    lab = await make_lab(pace=UNHURRIED)
    _, stream_id, tab = await lab.browser.turn()
    first = await lab.browser.cancel(stream_id)
    await tab.ended()
    again = await lab.browser.cancel(stream_id)

    forwarded, replayed = await lab.ended("Cancel", 2)

    assert (forwarded["verdict"], forwarded["ended_by"]) == ("forwarded", "backend")
    assert (replayed["verdict"], replayed["ended_by"]) == ("replayed", "proxy")
    assert forwarded["cancel"] == first.guard["cancel-id"] == again.guard["cancel-id"] == replayed["cancel"]


async def test_a_stale_stop_is_the_proxys_answer_though_it_was_confirmed(make_lab: MakeLab) -> None:
    """P9: the backend was asked, but not that."""
    lab = await make_lab()
    _, stream_id, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    await lab.browser.cancel(stream_id)

    (stale,) = await lab.ended("Cancel")

    assert (stale["verdict"], stale["ended_by"], stale["status"]) == ("stale", "proxy", 200)
    assert stale["backend"] != 0


async def test_a_held_start_shows_whose_time_it_took(make_lab: MakeLab) -> None:
    """P3: while it is held, nobody waits for the backend; and what settles asks on nobody's account."""
    lab = await make_lab("v0.51.195", pace=UNHURRIED)
    session_id, stream_id, tab = await lab.browser.turn()
    await lab.browser.cancel(stream_id)
    await tab.ended()
    await lab.browser.start(session_id, "n=2 tag=B")

    (cancel,) = await lab.ended("Cancel")
    _, start = await lab.ended("Start", 2)

    assert start["verdict"] == "held"
    assert isinstance(start["seconds"], float)
    assert isinstance(start["backend"], float)
    assert start["backend"] < start["seconds"] - UNHURRIED.unwind / 2
    assert cancel["backend"] <= cancel["seconds"]  # type: ignore[operator]  # both are numbers


async def test_a_stream_that_ends_is_the_backends_and_one_that_is_left_the_browsers(make_lab: MakeLab) -> None:
    lab = await make_lab()
    _, _, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    _, _, left = await lab.browser.turn()
    await left.leave()

    first, second = await lab.ended("OpenStream", 2)

    assert (first["status"], first["ended_by"], first["sent"]) == (200, "backend", len(tab.raw))
    assert (second["status"], second["ended_by"]) == (499, "browser")


async def test_a_stream_that_is_overdue_is_ended_by_the_proxy(make_lab: MakeLab) -> None:
    """P5: nothing of the backend's ended it."""
    lab = await make_lab(faults=Faults(mute_end=True), ownership=OWNERSHIP.model_copy(update={"linger": 0.1}))
    _, _, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()

    (ended,) = await lab.ended("OpenStream")

    assert (ended["status"], ended["ended_by"], ended["error"]) == (200, "proxy", None)
    assert ended["sent"] == len(tab.raw)


async def test_a_start_whose_browser_left_is_told_of_once(make_lab: MakeLab) -> None:
    """P10: it is carried out all the same, on an account that is closed."""
    lab = await make_lab("v0.51.195", pace=UNHURRIED)
    session_id, stream_id, tab = await lab.browser.turn()
    await lab.browser.cancel(stream_id)
    await tab.ended()
    start = asyncio.create_task(lab.browser.start(session_id, "n=2 tag=B"))
    await lab.until_reported("start_held")
    start.cancel()
    _, ended = await lab.ended("Start", 2)
    await lab.until_reported("start_answered", 2)

    assert (ended["status"], ended["ended_by"]) == (499, "browser")
    assert len(await lab.ended("Start", 2)) == 2
