"""How long a cancelled worker is given to unwind before its cancel is repeated (F23)."""

from collections import deque

from proxy.guard.listening import Ready

_FIRST = 1.0
_LEAST, _MOST = 0.6, 3.0
"""Seconds that a worker is given to unwind before its cancel is repeated: twice the longest that was seen of late,
within these bounds. An agent looks for a cancel every 0.3 s, and a repetition that meets a worker on its way out
spoils the session's next turn (F23). One whose turn has spoken has certainly heard, but may be in a tool that takes
long to end: it is given the most."""

_REMEMBERED = 8
"""How many of the latest unwinding times are remembered."""


class Unwinding:
    """Learns from how long workers took to unwind."""

    def __init__(self) -> None:
        self._unwound: deque[float] = deque(maxlen=_REMEMBERED)

    def learn(self, seconds: float) -> None:
        """One was gone so long after its cancel, which was not repeated."""
        self._unwound.append(seconds)

    def patience(self, ready: Ready) -> float:
        """Seconds for a worker of which that was known when its cancel was sent."""
        if ready is Ready.SPEAKS:
            return _MOST
        if not self._unwound:
            return _FIRST
        return min(max(2 * max(self._unwound), _LEAST), _MOST)
