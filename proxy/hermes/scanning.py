"""Reading one field of a JSON object that is too large to be held: piece by piece, in bounded memory."""

import codecs
import json
import re

_SHALLOW = re.compile(r'["{}\[\],:]')
_DEEP = re.compile(r'["{}\[\]]')
"""Marks that matter outside of strings: between the fields of the object, and within their values."""

_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""As much of a string as is there, up to its closing quote, or to a backslash whose character is yet to come."""

_BOM_SIZE = 4
"""Bytes by which the encoding is known."""

_ESCAPED = 6
r"""Characters that one may be spelled in: \u0073."""

_LONGEST = 1024
"""Characters of the longest value that is read; Hermes' ids have twelve."""

_MOST_MARKS = 1 << 20
"""Marks looked at, about half a second's worth: a message has a few dozen. Beyond them nothing is found."""


class FieldScanner:
    """Finds the text of one field of a JSON object, as `json.loads` would: in any encoding, and the last one counts.

    Exact for whatever `json.loads` takes, but that it finds no text of thousands of characters, nor any among a million
    marks. In anything else it may find whatever looks like the field.

    Args:
        name: Of the field.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._head = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._rest = ""
        self._depth = 0
        self._marks = 0
        self._string: list[str] | None = None
        self._in_string = False
        self._is_key = False
        self._is_ours = False
        self._found: str | None = None
        self._gave_up = False

    def feed(self, piece: bytes) -> None:
        """Reads on."""
        if self._decoder is None:
            self._head += piece
            if len(self._head) < _BOM_SIZE:
                return
            piece = self._head
            self._decoder = _decoder(piece)
        try:
            self._read(self._decoder.decode(piece))
        except ValueError:
            self._gave_up = True

    def finish(self) -> str | None:
        """The field's text if it has any, once the whole object was fed."""
        return None if self._gave_up else self._found or None

    def _read(self, text: str) -> None:
        text, at = self._rest + text, 0
        self._rest = ""
        while at < len(text) and not self._gave_up:
            at = self._read_string(text, at) if self._in_string else self._read_marks(text, at)

    def _read_string(self, text: str, at: int) -> int:
        found = _STRING.match(text, at)
        end = found.end() if found else at
        self._keep(text[at:end])
        if end == len(text):
            return end
        if text[end] == "\\":
            self._rest = "\\"
        else:
            self._in_string = False
            self._take(self._string)
        return end + 1

    def _keep(self, piece: str) -> None:
        if self._string is None:
            return
        self._string.append(piece)
        longest = len(self._name) if self._is_key else _LONGEST
        if sum(map(len, self._string)) > _ESCAPED * longest:
            self._string = None

    def _take(self, string: list[str] | None) -> None:
        """A string has ended; None for one whose text does not matter, or is too long."""
        if self._depth != 1:
            return
        said = None if string is None else json.loads(f'"{"".join(string)}"')
        if self._is_key:
            self._is_ours = said == self._name
        elif self._is_ours:
            self._found = said

    def _read_marks(self, text: str, at: int) -> int:
        found = (_SHALLOW if self._depth <= 1 else _DEEP).search(text, at)
        if found is None:
            return len(text)
        self._marks += 1
        self._gave_up |= self._marks > _MOST_MARKS
        self._see(found[0])
        return found.end()

    def _see(self, mark: str) -> None:
        match mark:
            case '"':
                self._in_string = True
                self._string = [] if self._depth == 1 and (self._is_key or self._is_ours) else None
            case "{" | "[":
                self._depth += 1
                self._is_key = self._depth == 1
            case "}" | "]":
                self._depth -= 1
            case ",":
                self._is_key = True
            case _:  # a colon
                self._is_key = False
                if self._is_ours:
                    self._found = None


def _decoder(head: bytes) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(json.detect_encoding(head))("surrogatepass")
