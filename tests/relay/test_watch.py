"""What the bytes of an upstream tell while they pass."""

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from proxy.core.observations import (
    CancelAccepted,
    CancelFailed,
    CancelRefused,
    CancelSent,
    StreamEnded,
    StreamObservation,
    TurnStarted,
)
from proxy.core.records import Ending, StreamState
from proxy.core.steers import Steered
from proxy.hermes import events
from proxy.ownership.limits import Live
from proxy.relay.chatwatch import ChatWatch
from proxy.relay.ends import Piece
from proxy.relay.steers import Reader, Steers
from proxy.relay.watch import Due, NoWatch
from proxy.sse import Scanner
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

PATIENCE = live(linger=3.0).now
ANSWER_TIMEOUT = PATIENCE.answer_timeout


def frame(event: str, **data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def data_of(pieces: Iterable[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


class Watched:
    """A chat stream `x`, what is believed of it, and what is reported."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.ownership = ownership(self.notes)
        self.live = Live(PATIENCE)
        self.steered = Steered()
        self.passed: list[int] = []
        self.watch = self.open()

    def open(self) -> ChatWatch:
        """The watch of another relay of it."""
        reader = Reader(Steers(self.notes), "x", self.steered, "u-1", self.notes)
        passed, report = self.passed.append, self.notes
        return ChatWatch("x", self.ownership, self.live, reader, upstream="u-1", passed=passed, report=report)

    async def runs(self, session_id: str = "s") -> None:
        await self.ownership.turn_seen(session_id, TurnStarted(self.now, "x"))

    async def is_being_cancelled(self) -> None:
        await self.ownership.observe(CancelSent(self.now, "x", "c-1", "alice"))

    async def is_cancelled(self) -> None:
        await self.is_being_cancelled()
        await self.ownership.observe(CancelAccepted(self.now, "x", "c-1"))

    async def ending(self) -> Ending | None:
        stream = await self.ownership.stream("x")
        return stream.ending if stream else None

    @property
    def now(self) -> float:
        return self.ownership.clock()


@in_virtual_time
async def test_a_turns_words_pass_though_its_session_is_not_known() -> None:
    """Words name none; what does, such as the turn's end, is looked at."""
    watched = Watched()
    words = frame("token", text="one")
    assert not watched.watch.passes(words, watched.now)
    await watched.watch.see(words)
    assert watched.watch.passes(words, watched.now)

    await watched.watch.see(frame("tool", session_id="s"))

    assert watched.watch.passes(words, watched.now)
    assert await watched.ownership.session_of("x") == "s"


@in_virtual_time
async def test_the_session_of_a_turn_that_was_seen_to_start_is_known() -> None:
    watched = Watched()
    await watched.runs()
    await watched.watch.see(frame("token", text="one"))

    assert watched.watch.passes(frame("token", text="two"), watched.now)


@in_virtual_time
async def test_nothing_passes_in_the_middle_of_a_frame_nor_behind_the_end() -> None:
    watched = Watched()
    await watched.runs()
    await watched.watch.see(b"event: tok")
    assert not watched.watch.passes(frame("token"), watched.now)
    await watched.watch.see(b"en\ndata: {}\n\n" + frame("done"))

    assert not watched.watch.passes(frame("token"), watched.now)


@in_virtual_time
async def test_words_that_pass_are_reported_once_a_second_and_break_the_silence() -> None:
    """P6: what a lingering stream still says is known to the trace."""
    watched = Watched()
    await watched.runs()
    await watched.watch.see(frame("token", text="one"))
    for _ in range(10):
        await asyncio.sleep(0.25)
        assert watched.watch.passes(frame("token", text="more"), watched.now)

    told = [(said["events"], said["count"]) for said in watched.notes.of("upstream_heard")]
    assert told == [(["token"], 1), ([], 4), ([], 4)]
    await watched.ownership.observe(StreamEnded(watched.now, "x", Ending.FINISHED))
    assert await watched.watch.due(0.0) == Due(watched.now + PATIENCE.linger, Ending.FINISHED)


@in_virtual_time
async def test_a_stream_of_no_turn_is_passed_on_whatever_it_says() -> None:
    watch = NoWatch()
    assert watch.passes(frame("cancel"), 0.0)

    assert await watch.see(frame("stream_end")) is None
    assert not watch.told
    assert await watch.due(0.0) is None
    assert await watch.ending(None) == ()


# -- a chat stream --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        ("stream_end", Ending.FINISHED),
        ("cancel", Ending.CANCELLED),
        ("apperror", Ending.FAILED),
        ("error", Ending.FAILED),
    ],
)
@in_virtual_time
async def test_a_terminal_event_ends_the_stream_right_behind_it(event: str, ending: Ending) -> None:
    """P4: what follows in the same chunk is cut."""
    watched = Watched()
    await watched.runs()
    said = frame("token", text="A") + frame(event)

    assert await watched.watch.see(said + frame("token", text="leaked")) == len(said)
    assert await watched.ending() is ending
    (heard,) = watched.notes.of("upstream_heard")
    assert heard == {"upstream": "u-1", "stream": "x", "events": ["token", event], "count": 2}


@in_virtual_time
async def test_done_ends_the_turn_and_not_its_stream() -> None:
    """F6: a title and `stream_end` follow."""
    watched = Watched()
    await watched.runs()

    assert await watched.watch.see(frame("done")) is None
    assert await watched.ending() is Ending.FINISHED
    assert watched.watch.told


@in_virtual_time
async def test_a_turn_that_goes_on_is_not_told_to_be_over() -> None:
    watched = Watched()
    await watched.runs()

    await watched.watch.see(frame("token", text="A") + frame("compressing"))

    assert not watched.watch.told


@pytest.mark.parametrize("event", ["cancel", "done"])
@pytest.mark.parametrize("answer", [CancelAccepted, partial(CancelRefused, gone=True), CancelFailed])
@in_virtual_time
async def test_an_ending_waits_for_the_answer_of_a_cancel_under_way(
    event: str, answer: Callable[[float, str, str], StreamObservation]
) -> None:
    """F5: a page that goes idle on the event would take a late answer for one about its next turn."""
    watched = Watched()
    await watched.runs()
    await watched.is_being_cancelled()
    seeing = asyncio.create_task(watched.watch.see(frame(event)))
    await asyncio.sleep(ANSWER_TIMEOUT / 2)
    assert not seeing.done()
    assert not watched.watch.told

    await watched.ownership.observe(answer(watched.now, "x", "c-1"))
    await seeing

    assert watched.watch.told
    assert watched.now == ANSWER_TIMEOUT / 2


@in_virtual_time
async def test_an_ending_waits_no_longer_than_an_answer_may() -> None:
    """P7."""
    watched = Watched()
    await watched.runs()
    await watched.is_being_cancelled()

    await watched.watch.see(frame("cancel"))

    assert watched.watch.told
    assert watched.now == ANSWER_TIMEOUT


@in_virtual_time
async def test_what_is_no_ending_does_not_wait() -> None:
    watched = Watched()
    await watched.runs()
    await watched.is_being_cancelled()

    await watched.watch.see(frame("token", text="A"))

    assert watched.now == 0


@in_virtual_time
async def test_a_comment_says_nothing() -> None:
    watched = Watched()
    await watched.runs()

    assert await watched.watch.see(b": heartbeat\n\n") is None
    assert watched.notes.of("upstream_heard") == []


@in_virtual_time
async def test_an_unknown_streams_session_is_learned_from_the_first_event_that_names_it() -> None:
    """Evidence: after a restart of the proxy the stream is all there is."""
    watched = Watched()
    await watched.is_cancelled()
    await watched.watch.see(frame("token", text="A"))
    assert await watched.ownership.session_of("x") is None

    await watched.watch.see(frame("metering", session_id="s") + frame("token", session_id="another"))

    assert await watched.ownership.locate("x") == "s"


@in_virtual_time
async def test_a_compressed_conversation_takes_its_stream_along() -> None:
    watched = Watched()
    await watched.runs("old")

    await watched.watch.see(frame("compressed", old_session_id="old", new_session_id="new"))

    assert await watched.ownership.locate("x") == "new"


@in_virtual_time
async def test_a_mistake_about_an_event_is_no_reason_to_hold_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: the bytes pass."""
    watched = Watched()
    monkeypatch.setattr(watched.ownership, "identify", None)

    assert await watched.watch.see(frame("metering", session_id="s")) is None
    assert [said["step"] for said in watched.notes.of("internal_error")] == ["watching a stream"]


# -- when it is over without a terminal event -----------------------------------------------------


@in_virtual_time
async def test_a_stream_that_runs_is_never_due() -> None:
    watched = Watched()
    assert await watched.watch.due(0.0) is None

    await watched.runs()
    assert await watched.watch.due(0.0) is None


@in_virtual_time
async def test_a_cancelled_stream_is_due_at_the_settle_timeout() -> None:
    watched = Watched()
    await watched.runs()
    await asyncio.sleep(10)
    await watched.is_cancelled()

    assert await watched.watch.due(0.0) == Due(10 + PATIENCE.settle_timeout, Ending.CANCELLED)


@in_virtual_time
async def test_a_superseded_stream_is_due_after_its_grace() -> None:
    watched = Watched()
    await watched.runs()
    await asyncio.sleep(10)
    await watched.ownership.turn_seen("s", TurnStarted(watched.now, "y"))

    assert await watched.watch.due(0.0) == Due(10 + PATIENCE.orphan_grace, Ending.SUPERSEDED)


@in_virtual_time
async def test_every_event_after_done_puts_the_end_off() -> None:
    """F6: nothing but comments for `linger` is silence."""
    watched = Watched()
    await watched.runs()
    await watched.watch.see(frame("done"))
    first = await watched.watch.due(0.0)
    await asyncio.sleep(1)
    await watched.watch.see(b": heartbeat\n\n")
    second = await watched.watch.due(0.0)
    await watched.watch.see(frame("title", title="t"))

    assert first == second == Due(PATIENCE.linger, Ending.FINISHED)
    assert await watched.watch.due(0.0) == Due(1 + PATIENCE.linger, Ending.FINISHED)


@in_virtual_time
async def test_a_relay_that_is_open_goes_by_the_limits_in_force() -> None:
    """It may be open for hours, and limits may change meanwhile."""
    watched = Watched()
    await watched.runs()
    await watched.watch.see(frame("done"))
    watched.live.now = live(linger=60.0).now

    assert await watched.watch.due(0.0) == Due(60.0, Ending.FINISHED)


@in_virtual_time
async def test_an_ended_streams_past_may_be_told_for_longer_than_its_limit() -> None:
    """It is opened late, and its silence begins when it can be read again."""
    watched = Watched()
    await watched.runs()
    await watched.ownership.observe(StreamEnded(watched.now, "x", Ending.FINISHED))
    await asyncio.sleep(100)
    late = watched.open()

    assert await late.due(0.0) == Due(100 + PATIENCE.linger, Ending.FINISHED)
    assert await late.due(150.0) == Due(150 + PATIENCE.linger, Ending.FINISHED)


@in_virtual_time
async def test_a_mistake_about_a_limit_leaves_the_relay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(watched.ownership, "stream", None)

    assert await watched.watch.due(0.0) is None
    assert await watched.watch.ending(None) == ()
    assert [said["step"] for said in watched.notes.of("internal_error")] == ["judging a relay", "ending a relay"]


@pytest.mark.parametrize(
    ("ending", "event"),
    [(Ending.CANCELLED, "cancel"), (Ending.SUPERSEDED, "stream_end"), (Ending.FINISHED, "stream_end")],
)
@in_virtual_time
async def test_an_overdue_ending_is_written_in_the_backends_shape(ending: Ending, event: str) -> None:
    """P5: without an id, marked, and reported as any other event."""
    watched = Watched()
    await watched.watch.see(frame("metering", session_id="s"))

    written = data_of(await watched.watch.ending(Due(0.0, ending)))

    name, data = written.decode().removesuffix("\n\n").split("\n")
    assert name == f"event: {event}"
    fields = json.loads(data.removeprefix("data: "))
    assert (fields["session_id"], fields["synthesized_by"]) == ("s", "stream-guard")
    assert watched.notes.of("upstream_heard")[-1] == {"upstream": "u-1", "stream": "x", "events": [event], "count": 1}


@pytest.mark.parametrize(
    "half",
    [
        b"event: tok",
        b"event: token\ndata: {",
        b"event: token\r\ndata: {\r",
        b"event: token\ndata: {}\n",
        b"event: cancel\ndata: {}\n",
        b"event: cancel\r\ndata: {}\r\n",
        b": hear",
        b"id: 1",
    ],
)
@in_virtual_time
async def test_a_half_written_frame_is_nothing_to_the_page_and_the_ending_follows(half: bytes) -> None:
    """P5: a browser that lives to the end of its turn is told, wherever Hermes stopped in mid-sentence."""
    watched = Watched()
    await watched.watch.see(half)

    written = data_of(await watched.watch.ending(Due(0.0, Ending.CANCELLED)))

    names = [one.event for one in Scanner().feed(half + written)]
    assert [name for name in names if name not in {None, events.UNHEARD}] == ["cancel"]
    assert written.count(b"\n\n") == 2


@pytest.mark.parametrize("state", [None, *StreamState])
@in_virtual_time
async def test_an_end_of_file_is_a_cancel_only_while_one_settles(state: StreamState | None) -> None:
    watched = Watched()
    if state is not None:
        await watched.runs()
    if state is StreamState.CANCEL_SENT:
        await watched.is_being_cancelled()
    if state is StreamState.SETTLING:
        await watched.is_cancelled()
    if state is StreamState.ENDED:
        await watched.ownership.observe(StreamEnded(watched.now, "x", Ending.FINISHED))

    written = data_of(await watched.watch.ending(None))

    assert written.startswith(b"event: cancel\n") == (state is StreamState.SETTLING)
    assert bool(written) == (state is StreamState.SETTLING)
