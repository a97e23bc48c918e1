"""A steered text that came too late, put right before the event that ends its turn, however the bytes are cut."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from proxy.core.observations import CancelAccepted, CancelSent, StreamEnded, TurnStarted
from proxy.core.records import Ending
from proxy.core.steers import Steered
from proxy.hermes import events
from proxy.relay.leftover import Leftover
from proxy.relay.steers import Reader, Steers
from proxy.sse import Scanner
from tests.support.event_stream import reference
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time


def frame(event: str, **data: Any) -> bytes:
    return f"id: x:7\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode()


OWN = events.leftover("s", "left")
BEFORE = frame("token", text="A") + b": heartbeat\n\n"
DONE = frame("done", session={"messages": ["long"] * 20})
REST = frame("title", title="t") + frame("stream_end")
LARGE = "x" * (1 << 15)


class Put:
    """A relay of a turn into which something was steered."""

    def __init__(self, *texts: str) -> None:
        self.notes = Notes()
        self.ownership = ownership(self.notes)
        self.steered = Steered()
        for text in texts:
            self.steer(text)
        self.leftover = self.relay()
        self.scanner = Scanner()

    def relay(self) -> Leftover:
        reader = Reader(Steers(self.notes), "x", self.steered, "u-1", self.notes)
        return Leftover("x", self.ownership, live(), reader, upstream="u-1", report=self.notes)

    def steer(self, text: str) -> None:
        self.steered.remember("s", text)

    async def goes_on(self, chunk: bytes) -> bytes:
        """What goes on of the next bytes."""
        frames = self.scanner.feed(chunk)
        await self.leftover.look(frames, self.scanner)
        return b"".join(piece.data for piece in self.leftover.amend(chunk))

    async def all(self, *chunks: bytes) -> bytes:
        return b"".join([await self.goes_on(chunk) for chunk in chunks])


@in_virtual_time
async def test_wherever_the_stream_is_cut_it_comes_right_before_done() -> None:
    stream = BEFORE + DONE + REST
    for first, second in itertools.combinations(range(0, len(stream), 3), 2):
        chunks = stream[:first], stream[first:second], stream[second:]
        assert await Put("left").all(*chunks) == BEFORE + OWN + DONE + REST, (first, second)


@in_virtual_time
async def test_byte_by_byte_it_comes_right_before_done() -> None:
    stream = BEFORE + DONE + REST
    assert await Put("left").all(*(bytes([byte]) for byte in stream)) == BEFORE + OWN + DONE + REST


@pytest.mark.parametrize("ending", ["stream_end", "apperror", "error"])
@in_virtual_time
async def test_another_end_has_it_before_it_as_well(ending: str) -> None:
    stream = BEFORE + frame(ending)
    for cut in range(len(stream)):
        assert await Put("left").all(stream[:cut], stream[cut:]) == BEFORE + OWN + frame(ending), cut


@pytest.mark.parametrize("ending", [frame("cancel"), frame("apperror", type="cancelled")])
@in_virtual_time
async def test_a_cancel_has_nothing_before_it(ending: bytes) -> None:
    for cut in range(len(BEFORE + ending)):
        assert await Put("left").all((BEFORE + ending)[:cut], (BEFORE + ending)[cut:]) == BEFORE + ending, cut


@in_virtual_time
async def test_with_nothing_to_give_back_every_byte_goes_on_at_once() -> None:
    put = Put()
    for byte in BEFORE + DONE + REST:
        assert await put.goes_on(bytes([byte])) == bytes([byte])


@in_virtual_time
async def test_what_waits_keeps_no_words_back() -> None:
    """Only the few bytes that name an event."""
    put = Put("left")
    assert await put.goes_on(BEFORE + b"id: x:8\nevent: tok") == BEFORE
    assert await put.goes_on(b"en\n") == b"id: x:8\nevent: token\n"
    assert await put.goes_on(b"data: {}") == b"data: {}"


@in_virtual_time
async def test_a_done_in_many_pieces_does_not_wait_for_the_last() -> None:
    put = Put("left")
    head = b"id: x:8\nevent: done\nda"
    assert await put.goes_on(head) == OWN + head
    for piece in (b"ta: {", LARGE.encode(), b"}"):
        assert await put.goes_on(piece) == piece
    assert await put.goes_on(b"\n\n") == b"\n\n"


@in_virtual_time
async def test_a_frame_that_does_not_say_what_it_is_is_not_kept_for_ever() -> None:
    """P7: `event` may stand behind the data, and an error may be long; what waits comes before the next end."""
    put = Put("left")
    late = f"data: {LARGE}\nevent: done\n\n".encode()

    assert await put.all(late[:100], late[100:20_000], late[20_000:], frame("stream_end")) == (
        late + OWN + frame("stream_end")
    )


@in_virtual_time
async def test_a_text_that_is_accepted_in_the_middle_of_done_comes_before_the_end_of_the_stream() -> None:
    put = Put()
    first = await put.goes_on(DONE[:40])
    put.steer("left")

    assert first + await put.all(DONE[40:], REST) == DONE + frame("title", title="t") + OWN + frame("stream_end")


@in_virtual_time
async def test_what_was_given_back_before_done_is_not_given_again() -> None:
    put = Put("left")
    await put.all(DONE)
    put.steer("right")

    assert await put.all(REST) == frame("title", title="t") + events.leftover("s", "right") + frame("stream_end")


@in_virtual_time
async def test_nothing_is_added_behind_the_last_event() -> None:
    """P4: what follows it is cut off."""
    put = Put("left")
    stream = frame("cancel") + frame("done")
    frames = put.scanner.feed(stream)

    await put.leftover.look(frames, put.scanner)
    assert [piece.data for piece in put.leftover.amend(stream[: frames[0].end])] == [frame("cancel")]


@in_virtual_time
async def test_a_browser_reads_what_was_put_in_as_an_event_of_its_own() -> None:
    put = Put("one\ntwo", "“three”")

    seen = reference(await put.all(BEFORE + DONE[:30], DONE[30:]))

    assert [event.type for event in seen] == ["token", "pending_steer_leftover", "done"]
    assert json.loads(seen[1].data)["text"] == "one\ntwo\n“three”"
    assert seen[1].last_event_id == "x:7", "it changes no cursor"


@in_virtual_time
async def test_it_waits_for_the_answer_of_a_stop_and_is_not_given_back_if_that_is_accepted() -> None:
    put = Put("left")
    await put.ownership.turn_seen("s", TurnStarted(0, "x"))
    await put.ownership.observe(CancelSent(0, "x", "c-1", "alice"))
    passing = asyncio.create_task(put.all(DONE))
    await asyncio.sleep(0.3)
    assert not passing.done()

    await put.ownership.observe(CancelAccepted(0.3, "x", "c-1"))

    assert await passing == DONE
    assert put.notes.of("steer_lost") == [
        {"upstream": "u-1", "stream": "x", "count": 1, "length": 4, "why": "cancelled"}
    ]


@in_virtual_time
async def test_it_is_given_back_if_the_turn_had_finished_before_the_stop_was_accepted() -> None:
    """That Stop is answered `cancelled: false`."""
    put = Put("left")
    await put.ownership.turn_seen("s", TurnStarted(0, "x"))
    await put.ownership.observe(CancelSent(0, "x", "c-1", "alice"))
    await put.ownership.observe(StreamEnded(0, "x", Ending.FINISHED))
    await put.ownership.observe(CancelAccepted(0, "x", "c-1"))

    assert await put.all(DONE) == OWN + DONE


@in_virtual_time
async def test_after_a_mistake_it_goes_on_from_the_next_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8."""

    def mistaken(*_: object) -> None:
        raise RuntimeError("injected")

    put = Put("left")
    with monkeypatch.context() as patch:
        patch.setattr(events, "is_terminal", mistaken)
        first = await put.all(frame("token") + DONE[:3])

    assert first + await put.all(DONE[3:], REST) == (
        frame("token") + DONE + frame("title", title="t") + OWN + frame("stream_end")
    )
    assert [said["step"] for said in put.notes.of("internal_error")] == ["looking for the end of a turn"]
