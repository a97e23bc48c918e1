"""What the proxy may cost, as ratios within one run wherever another contender can be the measure."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.results import Figure, Results

GUARD, UNGUARDED, NGINX, PYTHON_PROXY = "guard, uvloop", "no guard, uvloop", "nginx", "mitmproxy"

RELAYED = "500 streams x 20/s"


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit.

    Attributes:
        what: Is limited.
        limit: The limit.
        unit: What it is counted in.
        read: Finds what was measured.
        at_least: Whether the limit is the least that is allowed, and not the most.
    """

    what: str
    limit: float
    unit: str
    read: Callable[[Results], Figure | None]
    at_least: bool = False

    def holds(self, measured: Figure) -> bool:
        """Whether the median is within the limit."""
        return measured.median >= self.limit if self.at_least else measured.median <= self.limit


BUDGETS = (
    Budget(
        f"CPU a relayed event, {RELAYED}",
        1.5,
        "x nginx",
        lambda results: results.ratio(RELAYED, "CPU us/event", GUARD, NGINX),
    ),
    Budget(
        f"latency added to an event, {RELAYED}, p50",
        0.5,
        "ms",
        lambda results: results.figure(RELAYED, "added p50 ms", GUARD),
    ),
    Budget(
        f"latency added to an event, {RELAYED}, p99",
        3,
        "x nginx",
        lambda results: results.ratio(RELAYED, "added p99 ms", GUARD, NGINX),
    ),
    Budget(
        "memory an open stream",
        16,
        "KiB",
        lambda results: results.figure("2000 open streams", "KiB/stream", GUARD),
    ),
    Budget(
        "small JSON calls a CPU-second",
        3,
        f"x {PYTHON_PROXY}",
        lambda results: results.ratio("16 callers", "call/CPU-s", GUARD, PYTHON_PROXY),
        at_least=True,
    ),
    Budget(
        f"CPU a relayed event, {RELAYED}, guard on",
        1.1,
        "x guard off",
        lambda results: results.ratio(RELAYED, "CPU us/event", GUARD, UNGUARDED),
    ),
    Budget(
        "Stop until the backend sees it, every lane but control full, p99",
        50,
        "ms",
        lambda results: results.figure("Stop among 80 streams x 20/s", "Stop seen p99 ms", GUARD),
    ),
    Budget(
        "CPU a relayed event, as many events on four times the streams",
        1.25,
        "x itself",
        lambda results: results.growth(("500 streams x 50/s", "2000 streams x 10/s"), "CPU us/event", GUARD),
    ),
)
