"""Where a browser that comes back goes on, as Hermes has it (F11, F12)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hermes.resuming import place, resume_after

UNNUMBERED = ("cancel", "bg_task_complete")
STREAM = "/api/chat/stream?stream_id=x"


@pytest.mark.parametrize(
    ("target", "header", "after"),
    [
        (STREAM, "", None),
        (f"{STREAM}&after_seq=", "", None),
        (f"{STREAM}&after_seq=7", "", 7),
        (f"{STREAM}&after_seq=0", "", 0),
        (f"{STREAM}&after_seq=-1", "", 0),
        (f"{STREAM}&after_seq=nonsense", "", 0),
        (f"{STREAM}&after_seq={'9' * 40}", "", 0),
        (f"{STREAM}&replay=1", "", 0),
        (f"{STREAM}&replay=1&after_seq=3&after_event_id=", "", 3),
        (f"{STREAM}&replay=1&after_seq=3&after_event_id=x:5", "", 5),
        (f"{STREAM}&after_event_id=x:nonsense", "", 0),
        (f"{STREAM}&after_event_id=other:5", "", 0),
        (f"{STREAM}&after_seq=3&after_event_id=other:5", "", 0),
        (f"{STREAM}&after_event_id=5", "", 0),
        (STREAM, "x:9", 9),
        (STREAM, " x:9 ", 9),
        (STREAM, "other:9", 0),
        (STREAM, "9", 0),
        (f"{STREAM}&after_seq=3", "x:9", 3),
        (f"{STREAM}&replay=1", "x:9", 0),
    ],
)
def test_a_cursor_is_read_as_hermes_reads_it(target: str, header: str, after: int | None) -> None:
    """What the target says counts before the header; a cursor that cannot be used begins at the beginning."""
    assert resume_after(target, header) == after


def frame(number: int | None, event: str = "token", stream: str = "x") -> bytes:
    said = b"" if number is None else b"id: %b:%d\n" % (stream.encode(), number)
    return said + b"event: %b\ndata: {}\n\n" % event.encode()


def rest(data: bytes, after: int) -> bytes | None:
    at = place(data, "x", after)
    return None if at is None else data[at:]


def test_a_browser_goes_on_behind_what_it_has() -> None:
    data = frame(1) + frame(2) + frame(3)

    assert [rest(data, after) for after in range(4)] == [data, frame(2) + frame(3), frame(3), b""]


def test_what_is_not_numbered_comes_behind_what_is_before_it() -> None:
    data = frame(None) + frame(1) + b": heartbeat\n\n" + frame(2)

    assert rest(data, 0) == data
    assert rest(data, 1) == b": heartbeat\n\n" + frame(2)


def test_events_of_one_number_are_taken_for_one() -> None:
    """v0.51 gives a token and the metering behind it one number, and jumps over another."""
    data = frame(1) + frame(3) + frame(3, "metering") + frame(5)

    assert rest(data, 1) == frame(3) + frame(3, "metering") + frame(5)
    assert rest(data, 2) == frame(3) + frame(3, "metering") + frame(5)
    assert rest(data, 3) == frame(5)


def test_an_event_without_a_number_of_its_own_is_rather_sent_twice_than_not_at_all() -> None:
    data = frame(1) + frame(2) + frame(2, "bg_task_complete") + frame(3)

    assert rest(data, 2) == frame(2, "bg_task_complete") + frame(3)


def test_a_cancel_has_the_number_of_what_came_before_it() -> None:
    """F11: the browser that comes back has not seen it, or it would not."""
    data = frame(1) + frame(2) + frame(2, "cancel")

    assert rest(data, 2) == frame(2, "cancel")


def test_an_end_of_the_number_of_another_event_is_rather_sent_twice_than_not_at_all() -> None:
    """v0.51 does that; the browser would come back again and again for the end of its stream."""
    data = frame(1) + frame(3, "done") + frame(3, "title") + frame(3, "stream_end")

    assert rest(data, 3) == frame(3, "stream_end")
    assert rest(data + frame(4, "stream_end"), 4) == b""


def test_where_the_frames_begin_too_late_nothing_is_told() -> None:
    data = frame(5) + frame(6)

    assert rest(data, 4) == data
    assert rest(data, 3) is None


@pytest.mark.parametrize("data", [b"", frame(None), b": heartbeat\n\n", frame(1, stream="other")], ids=len)
def test_without_numbers_nothing_is_told(data: bytes) -> None:
    assert rest(data, 1) is None


def test_a_browser_that_is_ahead_is_told_nothing() -> None:
    assert rest(frame(1) + frame(2), 7) is None


def test_an_unfinished_frame_is_still_to_come() -> None:
    data = frame(1) + b"id: x:2\nevent: token\ndata: {"

    assert rest(data, 1) == b"id: x:2\nevent: token\ndata: {"
    assert rest(frame(1)[:-1], 1) is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["token", "done", *UNNUMBERED])), max_size=30),
    st.integers(0, 60),
)
def test_halving_finds_what_reading_every_frame_finds(steps: list[tuple[int, str]], after: int) -> None:
    number, data, behind = 1, frame(1), 0 if after < 1 else len(frame(1))
    for step, event in steps:
        number += 0 if event in UNNUMBERED else step
        data += frame(number, event)
        if number <= after and event not in UNNUMBERED:
            behind = len(data)

    assert place(data, "x", after) == (behind if after <= number else None)


def test_a_stream_is_no_pattern() -> None:
    assert place(frame(1, stream="a.c"), "a.c", 1) is not None
    assert place(frame(1, stream="abc"), "a.c", 1) is None
