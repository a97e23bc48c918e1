"""What Hermes' events teach, and the ones written in its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.records import Ending
from proxy.hermes.events import (
    UNHEARD,
    Announcement,
    Rotation,
    abandon,
    announcement_of,
    ending_of,
    is_ending,
    is_output,
    is_plain,
    is_terminal,
    is_tool_end,
    leftover,
    leftover_in,
    rotation_of,
    session_in,
    synthesize,
)
from proxy.sse import Scanner

# No event's data may break the reading of it.
RUBBISH = [b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff", b"[" * 200_000]


def data(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("event", ["stream_end", "cancel", "apperror", "error"])
def test_terminal_events(event: str) -> None:
    assert is_terminal(event)


@pytest.mark.parametrize("event", ["done", "token", "warning", "compressed", "message", "", "Cancel"])
def test_events_after_which_more_may_follow(event: str) -> None:
    """F6: `done` is not the end of a turn's stream."""
    assert not is_terminal(event)


@pytest.mark.parametrize("event", ["done", "stream_end", "cancel", "apperror", "error"])
def test_events_that_a_page_takes_for_the_end_of_its_turn(event: str) -> None:
    assert is_ending(event)


@pytest.mark.parametrize("event", ["token", "warning", "", "Done"])
def test_events_that_no_page_takes_for_an_end(event: str) -> None:
    assert not is_ending(event)


@pytest.mark.parametrize("event", ["token", "reasoning", "tool", "tool_complete", "interim_assistant"])
def test_events_that_show_that_an_agent_works(event: str) -> None:
    """F14: it listens to a cancel."""
    assert is_output(event)


@pytest.mark.parametrize("event", ["initial", "metering", "done", "cancel", "compressed", "Token", ""])
def test_events_that_a_turn_without_an_agent_may_have(event: str) -> None:
    assert not is_output(event)


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        ("done", Ending.FINISHED),
        ("stream_end", Ending.FINISHED),
        ("cancel", Ending.CANCELLED),
        ("apperror", Ending.FAILED),
        ("error", Ending.FAILED),
        ("token", None),
        ("warning", None),
    ],
)
@pytest.mark.parametrize("body", [b"{}", *RUBBISH], ids=lambda body: repr(body[:9]))
def test_how_an_event_says_its_turn_ended(event: str, ending: Ending | None, body: bytes) -> None:
    assert ending_of(event, body) is ending


@pytest.mark.parametrize("kind", ["cancelled", "canceled"])
@pytest.mark.parametrize("event", ["apperror", "error"])
def test_an_error_may_report_a_cancel(event: str, kind: str) -> None:
    assert ending_of(event, data(type=kind)) is Ending.CANCELLED


@pytest.mark.parametrize("kind", ["no_response", None, 7, ["cancelled"]])
def test_any_other_error_is_a_failure(kind: object) -> None:
    assert ending_of("apperror", data(type=kind)) is Ending.FAILED


def test_only_an_error_reports_a_cancel_by_its_type() -> None:
    assert ending_of("done", data(type="cancelled")) is Ending.FINISHED
    assert ending_of("stream_end", data(type="cancelled")) is Ending.FINISHED


def test_compression_moves_the_conversation() -> None:
    told = data(old_session_id="s", new_session_id="t", message="Compressed")
    assert rotation_of("compressed", told) == Rotation("s", "t")
    assert rotation_of("compressing", told) is None


@pytest.mark.parametrize(
    "body",
    [
        data(old_session_id="s", new_session_id="s"),
        data(old_session_id="s"),
        data(new_session_id="t"),
        data(old_session_id="", new_session_id="t"),
        data(old_session_id="s", new_session_id=""),
        data(old_session_id=1, new_session_id="t"),
        data(old_session_id="s", new_session_id=None),
        *RUBBISH,
    ],
    ids=lambda body: repr(body[:50]),
)
def test_compression_that_moves_nothing(body: bytes) -> None:
    assert rotation_of("compressed", body) is None


def test_a_session_channel_announces_a_turn() -> None:
    told = data(session_id="s", stream_id="x")
    assert announcement_of("server_turn_started", told) == Announcement("s", "x")
    assert announcement_of("bg_task_complete", told) is None


@pytest.mark.parametrize(("stamp", "read"), [(1700.5, 1700.5), (None, None), ("1700", None)])
def test_an_announcement_may_say_when_its_turn_began(stamp: object, read: float | None) -> None:
    told = data(session_id="s", stream_id="x", pending_started_at=stamp)
    assert announcement_of("server_turn_started", told) == Announcement("s", "x", read)


@pytest.mark.parametrize(
    "body",
    [
        data(session_id="s"),
        data(stream_id="x"),
        data(session_id="", stream_id="x"),
        data(session_id="s", stream_id=""),
        data(session_id="s", stream_id=7),
        data(session_id=["s"], stream_id="x"),
        *RUBBISH,
    ],
    ids=lambda body: repr(body[:50]),
)
def test_an_announcement_that_names_no_turn(body: bytes) -> None:
    assert announcement_of("server_turn_started", body) is None


def test_the_session_that_an_event_names() -> None:
    assert session_in(data(session_id="s")) == "s"


@pytest.mark.parametrize("body", [data(), data(session_id=""), data(session_id=7), *RUBBISH], ids=lambda b: repr(b[:9]))
def test_an_event_that_names_no_session(body: bytes) -> None:
    assert session_in(body) is None


# -- events in Hermes' place ----------------------------------------------------------------------


def _parsed(synthesized: tuple[str, bytes]) -> tuple[str, dict[str, Any]]:
    event, frame = synthesized
    name, body, *rest = frame.decode().split("\n")
    assert name == f"event: {event}"
    assert rest == ["", ""]
    return event, json.loads(body.removeprefix("data: "))


def test_a_synthesized_cancel_looks_like_hermes_own() -> None:
    event, fields = _parsed(synthesize(Ending.CANCELLED, "s"))
    assert event == "cancel"
    assert fields == {
        "message": "Cancelled by user",
        "type": "cancelled",
        "status": "cancelled",
        "session_id": "s",
        "synthesized_by": "stream-guard",
    }


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.CANCELLED])
def test_any_other_synthesized_ending_is_a_stream_end(ending: Ending) -> None:
    event, fields = _parsed(synthesize(ending, "s"))
    assert event == "stream_end"
    assert fields == {"session_id": "s", "synthesized_by": "stream-guard"}


@pytest.mark.parametrize("ending", Ending)
def test_a_session_that_is_not_known_is_not_named(ending: Ending) -> None:
    _, fields = _parsed(synthesize(ending, None))
    assert "session_id" not in fields


@pytest.mark.parametrize("ending", Ending)
def test_a_synthesized_event_ends_its_stream_and_has_no_id(ending: Ending) -> None:
    """P5: exactly one ending. F11: an id would not be unique."""
    event, frame = synthesize(ending, "s")
    assert is_terminal(event)
    assert not any(line.startswith(b"id:") for line in frame.splitlines())


def test_a_session_id_cannot_break_out_of_its_frame() -> None:
    event, fields = _parsed(synthesize(Ending.FINISHED, 's\n\nevent: x\n"\ud800'))
    assert event == "stream_end"
    assert fields["session_id"] == 's\n\nevent: x\n"\ud800'


PLAIN = [
    b'event: token\ndata: {"text": "A"}\n\n',
    b'id: x:1\nevent: reasoning\ndata: {"text": "event: done"}\n\n',
    b"id: x:1\nevent: metering\ndata: {}\n\nid: x:2\nevent: token\ndata: {}\n\n",
]


@pytest.mark.parametrize("chunk", PLAIN)
def test_whole_frames_of_words_are_plain(chunk: bytes) -> None:
    assert is_plain(chunk)
    events = [frame.event for frame in Scanner().feed(chunk)]
    assert set(events) <= {"token", "reasoning", "metering"}


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        b": heartbeat\n\n",
        b"event: done\ndata: {}\n\n",
        b"event: tokens\ndata: {}\n\n",
        b"event: token\ndata: {}\n",
        b"event: token\ndata: {}\r\n\n",
        b"event: token\revent: done\ndata: {}\n\n",
        b"event: token\ndata: {}\revent: done\n\n",
        b"event: token\ndata: {}\nevent: done\n\n",
        b"event: token\nevent: done\ndata: {}\n\n",
        b"event: token\ndata: {}\n\nevent: done\ndata: {}\n\n",
        b'{"rest of one"}\n\nevent: token\ndata: {}\n\n',
        b"event: token\ndata: {}\n\n\n",
        b"\xef\xbb\xbfevent: token\ndata: {}\n\n",
    ],
)
def test_anything_else_is_looked_at(chunk: bytes) -> None:
    assert not is_plain(chunk)


def test_the_end_of_a_tool() -> None:
    assert [event for event in ("tool", "tool_complete", "token", "done") if is_tool_end(event)] == ["tool_complete"]


def test_what_is_handed_back_is_read_as_it_is_written() -> None:
    """In Hermes' shape, without an id (F11), and marked."""
    [frame] = Scanner().feed(leftover("s", "“one”\ntwo\n\ndata: x"))

    assert (frame.event, frame.last_event_id) == ("pending_steer_leftover", "")
    said = {"session_id": "s", "text": "“one”\ntwo\n\ndata: x", "synthesized_by": "stream-guard"}
    assert json.loads(frame.data) == said
    assert leftover_in("pending_steer_leftover", frame.data) == said["text"]
    assert leftover_in("token", frame.data) is None


@pytest.mark.parametrize("rubbish", [*RUBBISH, data(text=""), data(text=7)], ids=lambda rubbish: repr(rubbish[:9]))
def test_nothing_is_handed_back_by_an_event_without_a_text(rubbish: bytes) -> None:
    assert leftover_in("pending_steer_leftover", rubbish) is None


@given(
    st.lists(
        st.sampled_from([b"event: token\n", b"event: done\n", b"data: {}\n", b"id: x:1\n", b"\n", b"\r", b":\n", b"e"])
    )
)
def test_in_what_is_plain_a_browser_sees_words_alone(pieces: list[bytes]) -> None:
    """However the bytes are put together: an end that passed for words would never be learned."""
    chunk = b"".join(pieces)
    if is_plain(chunk):
        scanner = Scanner()
        assert {frame.event for frame in scanner.feed(chunk)} == {"token"}
        assert scanner.at_boundary


_WHOLE = (
    b"id: x:1\nevent: token\ndata: {}\n\n",
    b"id: x:1\r\nevent: cancel\r\ndata: {}\r\n\r\n",
    b"data: {\ndata: }\n\n",
    b": heartbeat\n\n",
)


@pytest.mark.parametrize("frame", _WHOLE, ids=repr)
def test_what_is_abandoned_is_nothing_that_a_page_listens_for(frame: bytes) -> None:
    """Wherever it breaks off, between its last line and the blank one that would close it, too."""
    for length in range(1, len(frame)):
        scanner = Scanner()
        if scanner.feed(frame[:length]):  # a CR has closed it
            continue
        seen = scanner.feed(abandon())
        assert {one.event for one in seen} <= {None, UNHEARD}, frame[:length]
        assert scanner.at_boundary
