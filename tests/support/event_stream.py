"""What a browser makes of an event stream, by the standard's own steps and on the whole stream at once."""

import re
from typing import NamedTuple


class Event(NamedTuple):
    type: str
    data: str
    last_event_id: str


def reference(stream: bytes) -> list[Event]:
    """The standard's steps (HTML, 9.2.6), to the letter and on the whole stream at once."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.sub("\r\n|\r", "\n", text).split("\n")
    events, data, event_type, last_event_id = [], "", "", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data != "":
                events.append(Event(event_type or "message", data.removesuffix("\n"), last_event_id))
            data, event_type = "", ""
        elif field == "event":
            event_type = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_event_id = value
    return events


def reference_frames(stream: bytes) -> list[tuple[int, int, int]]:
    """Where each frame starts, where its closing blank line starts, and where it ends."""
    frames, start = [], 0
    for line in re.finditer(rb"([^\r\n]*)(?>\r\n|\r|\n)", stream):
        blank = line[1] in (b"", b"\xef\xbb\xbf") if line.start() == 0 else line[1] == b""
        if blank:
            frames.append((start, line.end(1), line.end()))
            start = line.end()
    return frames
