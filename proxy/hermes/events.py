"""Hermes' server-sent events: which ones end a stream, what others teach, and those the proxy has to write itself."""

import json
import re
from dataclasses import dataclass
from typing import Any

from proxy.core.records import Ending
from proxy.hermes.fields import number, read_object, text

SYNTHESIZED_BY = "stream-guard"
LEFTOVER = "pending_steer_leftover"
UNHEARD = "stream-guard-abandoned"
"""An event's name that no page listens for."""

_TERMINAL = {
    "stream_end": Ending.FINISHED,
    "cancel": Ending.CANCELLED,
    "apperror": Ending.FAILED,
    "error": Ending.FAILED,
}
_OUTPUT = frozenset({"token", "reasoning", "tool", "tool_complete", "interim_assistant"})
_CANCELLED_TYPES = ("cancelled", "canceled")


def is_terminal(event: str) -> bool:
    """Whether nothing follows this event on its stream; `done` ends the turn, but not its stream (F6)."""
    return event in _TERMINAL


_is_plain = re.compile(rb"(?:(?:id: [^\r\n]*\n)?event: (?:token|reasoning|metering)\ndata: [^\r\n]*\n\n)+").fullmatch


def is_plain(chunk: bytes) -> bool:
    """Whether these bytes are nothing but whole frames of a turn's words, as Hermes spells them.

    Nearly all are, and nothing is learned from them but that the turn goes on.
    """
    return _is_plain(chunk) is not None


def is_output(event: str) -> bool:
    """Whether this event shows that the turn's agent works, and so listens to a cancel (F14)."""
    return event in _OUTPUT


def is_ending(event: str) -> bool:
    """Whether a page takes this event for the end of its turn."""
    return event == "done" or event in _TERMINAL


def ending_of(event: str, data: bytes) -> Ending | None:
    """How this event says its turn ended, or None if it goes on.

    An error event of type `cancelled` reports a cancel, as the backend's own journal has it.
    """
    if event == "done":
        return Ending.FINISHED
    ending = _TERMINAL.get(event)
    if ending is Ending.FAILED and read_object(data).get("type") in _CANCELLED_TYPES:
        return Ending.CANCELLED
    return ending


@dataclass(frozen=True, slots=True)
class Rotation:
    """The agent compressed its conversation, which goes on under another session id."""

    old_session_id: str
    new_session_id: str


def rotation_of(event: str, data: bytes) -> Rotation | None:
    """The rotation that a `compressed` event tells of, if it names two different sessions."""
    if event != "compressed":
        return None
    fields = read_object(data)
    old, new = text(fields, "old_session_id"), text(fields, "new_session_id")
    return Rotation(old, new) if old and new and old != new else None


@dataclass(frozen=True, slots=True)
class Announcement:
    """A turn that no browser started; `stamp` is when it began on Hermes' clock, in seconds since the epoch."""

    session_id: str
    stream_id: str
    stamp: float | None = None


def announcement_of(event: str, data: bytes) -> Announcement | None:
    """The turn that a session channel's `server_turn_started` announces."""
    if event != "server_turn_started":
        return None
    fields = read_object(data)
    session_id, stream_id = text(fields, "session_id"), text(fields, "stream_id")
    if not (session_id and stream_id):
        return None
    return Announcement(session_id, stream_id, number(fields, "pending_started_at"))


def is_tool_end(event: str) -> bool:
    """Whether this event tells that a tool has ended: its result takes to the model what was steered before (F18)."""
    return event == "tool_complete"


def leftover_in(event: str, data: bytes) -> str | None:
    """The text that Hermes hands back at a turn's end, if it does: it was steered too late (F18)."""
    return text(read_object(data), "text") if event == LEFTOVER else None


def leftover(session_id: str, said: str) -> bytes:
    """The frame that hands a text back, which a page queues as its next message; Hermes' own, marked as the proxy's."""
    data = json.dumps({"session_id": session_id, "text": said, "synthesized_by": SYNTHESIZED_BY})
    return f"event: {LEFTOVER}\ndata: {data}\n\n".encode()


def session_in(data: bytes) -> str | None:
    """The session that an event's data names, as several of Hermes' events do."""
    return text(read_object(data), "session_id")


def abandon() -> bytes:
    """What makes a half-written frame one that no page listens for: its last name counts (WHATWG HTML §9.2.6).

    The colon spoils its last line, or begins a comment if that line is whole: a line end alone would then close the
    frame as it is, and a page would hear it.
    """
    return f":\nevent: {UNHEARD}\n\n".encode()


def synthesize(ending: Ending, session_id: str | None) -> tuple[str, bytes]:
    """A terminal event's name and frame, in Hermes' shape but without an id (F11), marked as the proxy's own."""
    fields: dict[str, Any] = {"session_id": session_id} if session_id else {}
    if ending is Ending.CANCELLED:
        event = "cancel"
        fields = {"message": "Cancelled by user", "type": "cancelled", "status": "cancelled", **fields}
    else:
        event = "stream_end"
    data = json.dumps({**fields, "synthesized_by": SYNTHESIZED_BY})
    return event, f"event: {event}\ndata: {data}\n\n".encode()
