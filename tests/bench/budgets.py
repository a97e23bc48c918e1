"""What the proxy may cost, as ratios within one run wherever another contender can be the measure."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.results import Figure, Results
from tests.bench.workloads.lines import CELL as LOG
from tests.bench.workloads.transfers import DOWNLOAD, UPLOAD

GUARD, UNGUARDED, NGINX, PYTHON_PROXY = "guard, uvloop", "no guard, uvloop", "nginx", "mitmproxy"
BARE = "bare relay"

RELAYED, UNKNOWN = "500 streams x 20/s", "500 unknown streams x 20/s"
SHARED = "62 streams of 8 browsers x 20/s"


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
        1.3,
        "x nginx",
        lambda results: results.ratio(RELAYED, "CPU us/event", GUARD, NGINX),
    ),
    Budget(
        f"CPU a relayed event, {RELAYED}, beside the least in Python",
        1.15,
        f"x {BARE}",
        lambda results: results.ratio(RELAYED, "CPU us/event", GUARD, BARE),
    ),
    Budget(
        f"CPU a relayed event, {UNKNOWN}",
        1.1,
        "x known session",
        lambda results: results.growth((RELAYED, UNKNOWN), "CPU us/event", GUARD),
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
        f"CPU a delivered event, {SHARED}",
        0.6,
        "x nginx",
        lambda results: results.ratio(SHARED, "CPU us/event", GUARD, NGINX),
    ),
    Budget(
        "memory an open stream",
        9,
        "KiB",
        lambda results: results.figure("2000 open streams", "KiB/stream", GUARD),
    ),
    Budget(
        "small JSON calls a CPU-second, shipped settings, access log on",
        15,
        f"x {PYTHON_PROXY}",
        lambda results: results.ratio("16 callers", "call/CPU-s", GUARD, PYTHON_PROXY),
        at_least=True,
    ),
    Budget(
        "CPU a line of the access log",
        25,
        "us more than the same call without",
        lambda results: results.figure(LOG, "us/log line", GUARD),
    ),
    Budget(
        "streams opened and left a second",
        0.35,
        "x nginx",
        lambda results: results.ratio("16 browsers come and go", "opening/s", GUARD, NGINX),
        at_least=True,
    ),
    Budget(
        f"{DOWNLOAD}, CPU",
        1,
        "x nginx",
        lambda results: results.ratio(DOWNLOAD, "CPU us/MB", GUARD, NGINX),
    ),
    Budget(
        f"{UPLOAD}, CPU",
        1,
        "x nginx",
        lambda results: results.ratio(UPLOAD, "CPU us/MB", GUARD, NGINX),
    ),
    Budget(
        f"CPU a relayed event, {RELAYED}, guard on",
        1.1,
        "x guard off",
        lambda results: results.ratio(RELAYED, "CPU us/event", GUARD, UNGUARDED),
    ),
    Budget(
        f"CPU a relayed event, {RELAYED}, guard off",
        1.1,
        "x guard on",
        lambda results: results.ratio(RELAYED, "CPU us/event", UNGUARDED, GUARD),
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
