"""Incremental scanner for server-sent events, without I/O.

A relay passes bytes on unchanged; the scanner only watches them, and says where each frame ends and
what a browser makes of it. It follows the WHATWG HTML Living Standard, sections 9.2.5 "Parsing an
event stream" and 9.2.6 "Interpreting an event stream", wherever the chunks happen to be split.

A *frame* is a run of bytes up to and including the blank line that closes it: an event, a comment
(a heartbeat), fields that dispatch nothing, or the blank line alone. A frame that the stream's end
leaves unfinished is never dispatched, and never returned.
"""

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\n", b"\r")


class Frame(NamedTuple):
    """What a browser makes of one frame, and where its bytes end.

    Attributes:
        event: The type of the event that is dispatched, `message` unless the frame names another;
            None if nothing is (a comment, or fields without `data`).
        data: The event's data, UTF-8 as it was sent, lines joined by LF; empty if truncated.
        last_event_id: The stream's last event id as of this frame: it persists until a frame sets
            another.
        end: Offset in the chunk just fed, in bytes, where the frame ends: what is before it may be
            written, what is after it belongs to later frames. A blank line that ends in CR ends
            the frame there and then, as it does for a browser; its LF is counted in if it is in
            the same chunk, and belongs to no frame if it opens the next one (a browser ignores it,
            whether it is written or not).
        truncated: Whether the frame was over the limit, so that its data was not kept.
    """

    event: str | None
    data: bytes
    last_event_id: str
    end: int
    truncated: bool


class Scanner:
    """Watches one event stream.

    Values are decoded one by one. Line ends and field names are ASCII, which the replacement of
    invalid UTF-8 never swallows, so this equals decoding the whole stream as the standard does.

    Args:
        limit: Longest frame whose data is kept (P7, bounded), in bytes before its closing blank
            line. A longer one keeps its event's type and its id; but a single `event` or `id` line
            over the limit is ignored. At least 16, so that a field's name is always seen whole.
    """

    __slots__ = ("_after_cr", "_data", "_event", "_first_line", "_last_event_id", "_limit", "_line", "_size")

    def __init__(self, limit: int = 1 << 20) -> None:
        self._limit = limit
        self._size = 0  # bytes seen of the unfinished frame
        self._line = bytearray()  # what is kept of its unfinished line
        self._first_line = True
        self._after_cr = False
        self._event = b""
        self._data: list[bytes] = []  # its data, one a line
        self._last_event_id = ""

    @property
    def at_boundary(self) -> bool:
        """Whether no frame is unfinished, so that a frame of one's own can be written here."""
        return self._size == 0

    @property
    def unfinished(self) -> tuple[int, str]:
        """How many bytes have been seen of the unfinished frame, and the name that its event has so far, if any."""
        return self._size, self._event.decode("utf-8", "replace")

    def skip(self) -> None:
        """Takes note that whole frames, each closed by LF, went by unscanned at a boundary. Their ids are not known."""
        self._first_line = self._after_cr = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Scans the stream's next bytes, and returns the frames that end in them, in order."""
        if not chunk:
            return []
        frames: list[Frame] = []
        skipped = self._skip_lf(chunk)
        start = -self._size or skipped  # negative: the frame began in an earlier chunk
        lines, end = self._lines(chunk, skipped)
        for line in lines:
            text = line.rstrip(b"\r\n")
            if text:
                self._field(text)
                end += len(line)
            else:
                truncated = end - start > self._limit
                start = end = end + len(line)
                frames.append(self._finish_frame(end, truncated=truncated))
        self._size = len(chunk) - start
        if self._data:  # one line, for many short ones take far more memory than their bytes
            self._data = [b"" if self._size > self._limit else b"\n".join(self._data)]
        return frames

    def _skip_lf(self, chunk: bytes) -> int:
        """How many bytes of the chunk, 0 or 1, only complete the CR that ended the last one."""
        skipped = self._after_cr and chunk.startswith(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return int(skipped)

    def _lines(self, chunk: bytes, offset: int) -> tuple[list[bytes], int]:
        """The lines that end in the chunk, with their line ends, and the first one's offset."""
        lines = chunk[offset:].splitlines(keepends=True)
        tail = b"" if chunk.endswith(_LINE_ENDS) else lines.pop()
        if lines and self._line:
            offset -= len(self._line)
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        if lines and self._first_line:
            offset += self._skip_bom(lines)
        self._line += tail
        # Still over the limit, and so recognised as such, once a BOM has been taken from it.
        del self._line[self._limit + len(_BOM) + 1 :]
        return lines, offset

    def _skip_bom(self, lines: list[bytes]) -> int:
        """How many bytes, 0 or 3, a byte order mark took up at the start of the stream."""
        self._first_line = False
        if not lines[0].startswith(_BOM):
            return 0
        lines[0] = lines[0].removeprefix(_BOM)
        return len(_BOM)

    def _field(self, line: bytes) -> None:
        """Takes in one line that is not blank; a comment's field name is empty."""
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif len(line) > self._limit:
            return
        elif name == b"event":
            self._event = value.removeprefix(b" ")
        elif name == b"id" and 0 not in value:
            self._last_event_id = value.removeprefix(b" ").decode("utf-8", "replace")

    def _finish_frame(self, end: int, *, truncated: bool) -> Frame:
        event = (self._event or b"message").decode("utf-8", "replace") if self._data else None
        data = b"" if truncated else b"\n".join(self._data)
        self._event = b""
        self._data.clear()
        return Frame(event, data, self._last_event_id, end, truncated)
