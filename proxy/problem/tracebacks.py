"""Tracebacks without the values that an error's message may hold: where it happened, in which lines, and its kind."""

import re
from collections.abc import Iterator
from typing import Final

_FRAME: Final = re.compile(
    r"(?P<edge>[\s|+]*)File \"(?P<path>[^\"]*)\", line (?P<line>\d+)(?P<function>, in [\w<>.]+)?"
)
_KIND: Final = re.compile(
    r"(?P<edge>[\s|+]*)(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Group|Exit|Interrupt|Iteration|Warning))\b"
)
_BETWEEN: Final = ("Traceback (most", "The above exception", "During handling", "Exception Group Traceback")
_ROOTS: Final = ("site-packages/", "/proxy/", "/lib/python")


def without_values(text: str) -> str:
    """The same traceback, less its messages, and less the folders that it is installed in."""
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    is_code = False
    for line in text.splitlines():
        frame, kind = _FRAME.match(line), _KIND.match(line)
        if frame is not None:
            yield f'{frame["edge"]}File "{_shortened(frame["path"])}", line {frame["line"]}{frame["function"] or ""}'
        elif is_code or line.strip(" |+").startswith(_BETWEEN):
            yield line
        elif kind is not None:
            yield f"{kind['edge']}{kind['kind']}: (message left out)"
        is_code = frame is not None


def _shortened(path: str) -> str:
    """From where it says something: a person's folders are nobody's business."""
    for root in _ROOTS:
        _, found, rest = path.rpartition(root)
        if found:
            return root.lstrip("/") + rest
    return path.rpartition("/")[2]
