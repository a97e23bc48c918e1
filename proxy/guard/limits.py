"""How long and how much, as the guard measures it; what is in force can change while it runs."""

from dataclasses import dataclass

from proxy.core.verdicts import Patience


@dataclass(frozen=True, slots=True)
class Limits(Patience):
    """The guard's limits (P7), in seconds and bytes.

    Attributes:
        answer_timeout: Longest that an accepted cancel waits for its terminal event, and an ending for the answer of a
            cancel under way (F5).
        answer_gap: Between a terminal event and the cancel's answer (F5).
        cancel_grace: After a turn's start; its cancel would be lost before (F13).
        release_grace: That a cancelled worker is given where `/health` cannot be read (F3).
        idle_timeout: Longest silence of a relay's upstream.
        buffer: Most bytes of a relay that wait for a slow browser.
        start_body_limit: Largest body of a start that is held (F2).
    """

    answer_timeout: float
    answer_gap: float
    cancel_grace: float
    release_grace: float
    idle_timeout: float
    buffer: int
    start_body_limit: int


class Live:
    """The limits in force: every part asks for them when it needs one, so that a reload is one assignment.

    What waits already goes on with the limit that it began with.
    """

    def __init__(self, limits: Limits) -> None:
        self.now = limits
