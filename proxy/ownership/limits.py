"""How long and how much, as the guard measures it; what is in force can change while it runs."""

from dataclasses import dataclass

from proxy.core.verdicts import Patience


@dataclass(frozen=True, slots=True)
class Limits(Patience):
    """The guard's limits (P7), in seconds and bytes.

    Attributes:
        answer_timeout: Longest that an accepted cancel waits for its terminal event, and an ending for the answer of a
            cancel under way (F5).
        answer_gap: Between a terminal event and the cancel's answer, and between that and the session's next turn (F5).
        stop_timeout: Longest that an accepted cancel is gone on with until its worker is seen gone (P11).
        idle_timeout: Longest silence of a relay's upstream.
        buffer: Most bytes of a relay that wait for a slow browser.
        log: Most bytes of a turn that are kept for browsers that join; none share an upstream if it is 0.
        log_keep: How long they are kept after the turn.
        reattach: How long an upstream stays open without a browser.
        start_body_limit: Largest body of a start that is held (F2).
        repeat_starts: Whether a start whose browser left unanswered is repeated without a key.
    """

    answer_timeout: float
    answer_gap: float
    stop_timeout: float
    idle_timeout: float
    buffer: int
    log: int
    log_keep: float
    reattach: float
    start_body_limit: int
    repeat_starts: bool


class Live:
    """The limits in force: every part asks for them when it needs one, so that a reload is one assignment.

    What waits already goes on with the limit that it began with.
    """

    def __init__(self, limits: Limits) -> None:
        self.now = limits
