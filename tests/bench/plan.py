"""What is measured when nothing else is asked for."""

from typing import Final

from tests.bench.measuring import Workload
from tests.bench.workloads.calls import Calls
from tests.bench.workloads.churn import Churn
from tests.bench.workloads.lines import Lines
from tests.bench.workloads.stops import Stops
from tests.bench.workloads.streams import Streams
from tests.bench.workloads.transfers import Transfers

ROUNDS: Final = 3
SECONDS: Final = 1.0

CROWD: Final = 2000
"""Streams of the largest crowd; far more than Hermes' 128 threads, to see how cost grows (F7)."""

BROWSERS: Final = 16
"""Browsers that call, or come and go, at the same time."""

SHARERS: Final = 8
"""Browsers that watch one turn together: tabs, and a phone."""

SHIPPED_RELAYS, SHIPPED_CALLS = 80, 24
"""The lanes of our proxy as it is shipped."""

RATES: Final = (10, 20, 50)


def workloads(seconds: float) -> tuple[Workload, ...]:
    """Every workload, each load lasting that long.

    Contenders are started anew where `relays` changes: before the crowd, which is weighed, and before the transfers,
    whose peak is read.
    """
    wide = CROWD + 2 * BROWSERS
    return (
        Streams("crowd", CROWD, RATES[:1], seconds, wide, weigh=True),
        Streams("many", 500, RATES, seconds, wide),
        Streams("unknown", 500, (20,), seconds, wide, known=False),
        Streams("shared", 62, (20,), seconds, wide, browsers=SHARERS, weigh=True),
        Streams("some", 50, RATES, seconds, wide),
        Streams("one", 1, RATES[-1:], seconds, wide),
        Streams("bursts", 50, (4,), seconds, wide, burst=25),
        Calls(BROWSERS, seconds, wide),
        Lines(BROWSERS, seconds, wide),
        Churn(BROWSERS, seconds, wide),
        Transfers(SHIPPED_RELAYS),
        Stops(SHIPPED_RELAYS, 20, SHIPPED_CALLS, 0.015, SHIPPED_RELAYS),
    )
