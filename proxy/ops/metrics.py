"""Metrics for Prometheus: what was reported, counted; and what is the case when they are asked for.

Label values are words of the proxy's own, never an id, a path or anything else that a browser or the backend could
choose. A name ends in its unit, as https://prometheus.io/docs/practices/naming/ has it.
"""

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from proxy.core.records import Ending
from proxy.events.cancels import (
    CancelAbandoned,
    CancelAnswered,
    CancelFailed,
    CancelRepeated,
    CancelSettled,
    CancelUnguarded,
)
from proxy.events.event import Event
from proxy.events.guard import InternalError
from proxy.events.process import OperatorDropped
from proxy.events.relays import RelayEnded, RelayOpened, RelayWrote, UpstreamClosed, UpstreamOpened
from proxy.events.requests import RequestEnded, RequestRefused
from proxy.events.starts import (
    HoldEnded,
    HoldRefused,
    StartAnswered,
    StartConflictSpurious,
    StartForwarded,
    StartHeld,
    StartHoldExpired,
    StartReplayed,
)
from proxy.ops.request_metrics import RequestMetrics

_SETTLING = (0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

_STEPS = ("backend_acked", "terminal_seen", "answered", "slot_free")
"""Of a cancel, in the words of its receipt."""

_OVERDUE = {Ending.SUPERSEDED: "superseded", Ending.CANCELLED: "cancelled"}
"""What is said of a stream that was closed without its terminal event, by the ending it was given; else it lingered."""


@dataclass(frozen=True, slots=True)
class LaneUse:
    """One lane's slots."""

    in_use: int
    limit: int


@dataclass(frozen=True, slots=True)
class Levels:
    """What is the case now.

    Attributes:
        streams: How many are in each state; a state that none is in is there too.
        lanes: By name.
        logs: Bytes of turns that are kept.
        reachable: Whether the backend answers.
        draining: Whether new starts are turned away, or held.
        held: How many are held until the backend is back after a restart.
    """

    streams: Mapping[str, int]
    lanes: Mapping[str, LaneUse]
    logs: int
    reachable: bool
    draining: bool
    held: int = 0


class Metrics:
    """Counts what is reported.

    Args:
        version: Of the proxy.
    """

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._waiting: set[str] = set()
        self._make_counters()
        self._make_histograms()
        self._make_gauges()
        self._requests = RequestMetrics(self._registry)
        Info("stream_guard_build", "The proxy's version.", registry=self._registry).info({"version": version})
        ProcessCollector(registry=self._registry)

    def __call__(self, event: Event, /) -> None:
        """See `proxy.reporting.Report`."""
        match event:
            case RequestEnded():
                self._requests.take(event)
            case RequestRefused(code=code):
                self._refusals.labels(code).inc()
            case InternalError():
                self._internal_errors.inc()
            case OperatorDropped(why=why):
                self._dropped.labels(why).inc()
            case _:
                self._take_relay(event)
                self._take_start(event)
                self._take_cancel(event)

    def exposition(self, levels: Levels, accept: str) -> tuple[bytes, str]:
        """All of it in the text format that a scraper's `Accept` asks for, and its content type."""
        self._requests.count()
        for state, count in levels.streams.items():
            self._streams.labels(state).set(count)
        for name, lane in levels.lanes.items():
            self._lane_limits.labels(name).set(lane.limit)
            self._lane_slots.labels(name).set(lane.in_use)
        self._reachable.set(levels.reachable)
        self._logs.set(levels.logs)
        self._draining.set(levels.draining)
        self._held.set(levels.held)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def totals(self) -> dict[str, object]:
        """The counts that a person asks for first, since the proxy began."""
        return {
            "cancels": _by_first_label(self._cancels),
            "settled": int(_value(self._settle, "_count")),
            "unsettled": _by_first_label(self._unsettled),
            "repeats": _by_first_label(self._repeats),
            "starts": _by_first_label(self._starts),
            "starts_waiting": len(self._waiting),
            "holds_expired": int(_value(self._holds_expired, "_total")),
            "relays": int(_value(self._relays)),
            "upstreams": int(_value(self._upstreams)),
            "joins": _by_first_label(self._joins),
            "orphans_closed": _by_first_label(self._orphans),
            "internal_errors": int(_value(self._internal_errors, "_total")),
        }

    # -- what there is ----------------------------------------------------------------------------

    def _make_counters(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stream_guard_{name}", text, labels, registry=self._registry)

        self._cancels = counter("cancels", "Cancels by verdict, and why nothing was stopped.", "verdict", "reason")
        self._repeats = counter("cancel_repeats", "Cancels sent once more, by what Hermes said (P11).", "cancelled")
        self._unsettled = counter("cancels_unsettled", "Cancels given up, by the first step missing.", "missing")
        for step in _STEPS:
            self._unsettled.labels(step)  # from 0 on, or nobody would see the first one as an increase
        self._starts = counter("starts", "Starts answered, by whether they were held before.", "verdict")
        self._holds_expired = counter("start_holds_expired", "Starts that went on unsettled (P7).")
        self._drain_holds = counter("drain_holds", "Starts that were held over a restart, by what became.", "outcome")
        self._conflicts_retried = counter("start_conflicts_retried", "Spurious 409s that were tried again (F2).")
        self._starts_replayed = counter("starts_replayed", "Starts given the first one's answer, by why.", "why")
        self._orphans = counter("orphans_closed", "Streams from the backend that the proxy closed, by cause.", "cause")
        self._events = counter("events_relayed", "Events written to browsers.")
        self._joins = counter("relays_opened", "Browsers that began to follow a stream, by how they joined.", "joined")
        self._replayed = counter("log_bytes_replayed", "Bytes of logs that browsers were sent on joining.")
        self._refusals = counter("requests_refused", "Requests that the proxy refused by itself.", "code")
        self._dropped = counter("admin_connections_dropped", "Connections of the admin listener that it ended.", "why")
        self._internal_errors = counter("internal_errors", "Mistakes of the proxy's; the request passed (P8).")

    def _make_histograms(self) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"stream_guard_{name}", text, labels, buckets=buckets, registry=self._registry)

        self._settle = histogram("cancel_settle_seconds", "From a cancel's request until it had settled.", _SETTLING)
        self._gone = histogram("worker_gone_seconds", "From a cancel's request until its worker was gone.", _SETTLING)
        self._hold = histogram("start_hold_seconds", "For which a held start was kept from the backend.", _SETTLING)

    def _make_gauges(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_guard_{name}", text, labels, registry=self._registry)

        self._relays = gauge("relays", "Event streams open to browsers.")
        self._upstreams = gauge("upstreams", "Event streams open from the backend.")
        self._logs = gauge("log_bytes", "Bytes of turns that are kept for browsers that join or come back.")
        waiting = gauge("starts_waiting", "Starts held until a cancelled turn has settled.")
        waiting.set_function(lambda: len(self._waiting))
        self._streams = gauge("streams", "Turns believed to run or to settle, by state.", "state")
        self._lane_limits = gauge("lane_slots", "Connections to the backend allowed at once.", "lane")
        self._lane_slots = gauge("lane_slots_in_use", "Connections to the backend in use.", "lane")
        self._reachable = gauge("backend_reachable", "1 while the backend answers.")
        self._draining = gauge("draining", "1 while new starts are turned away, or held.")
        self._held = gauge("drain_held", "Starts held until the backend is back after a restart.")

    # -- what was reported ------------------------------------------------------------------------

    def _take_relay(self, event: Event) -> None:
        match event:
            case RelayWrote(count=count):
                self._events.inc(count)
            case RelayOpened(joined=joined, behind=behind):
                self._relays.inc()
                self._joins.labels(joined).inc()
                self._replayed.inc(behind)
            case RelayEnded():
                self._relays.dec()
            case UpstreamOpened():
                self._upstreams.inc()
            case UpstreamClosed():
                self._upstreams.dec()
                self._upstream_closed(event)

    def _take_start(self, event: Event) -> None:
        match event:
            case StartHeld(start=start):
                self._waiting.add(start)
            case StartForwarded(start=start):
                self._waiting.discard(start)
            case StartHoldExpired():
                self._holds_expired.inc()
            case HoldEnded(outcome=outcome):
                self._drain_holds.labels(outcome).inc()
            case HoldRefused():
                self._drain_holds.labels("full").inc()
            case StartConflictSpurious(start=start):
                self._conflicts_retried.inc()
                self._waiting.add(start)
            case StartReplayed(why=why):
                self._starts_replayed.labels(why).inc()
            case StartAnswered(held=held, waited=waited):
                self._starts.labels("held" if held else "forwarded").inc()
                if held:
                    self._hold.observe(waited)

    def _take_cancel(self, event: Event) -> None:
        match event:
            case CancelAnswered(verdict=verdict, reason=reason):
                self._cancels.labels(verdict or "passed", reason.value if reason else "none").inc()
            case CancelFailed():
                self._cancels.labels("failed", "none").inc()
            case CancelAbandoned():
                self._cancels.labels("abandoned", "none").inc()
            case CancelUnguarded():
                self._cancels.labels("unguarded", "none").inc()
            case CancelRepeated(cancelled=cancelled):
                self._repeats.labels("none" if cancelled is None else str(cancelled).lower()).inc()
            case CancelSettled():
                self._cancel_settled(event)

    def _cancel_settled(self, event: CancelSettled) -> None:
        if event.slot_free is not None:
            self._gone.observe(event.slot_free)
        if event.took is not None:
            self._settle.observe(event.took)
        elif event.missing:
            self._unsettled.labels(event.missing[0]).inc()

    def _upstream_closed(self, event: UpstreamClosed) -> None:
        match event:
            case UpstreamClosed(overdue=Ending() as ending):
                self._orphans.labels(_OVERDUE.get(ending, "lingered")).inc()
            case UpstreamClosed(why=None):
                self._orphans.labels("browser_left").inc()
            case UpstreamClosed(why="silence"):
                self._orphans.labels("idle").inc()
            case UpstreamClosed(why="the proxy ends"):
                self._orphans.labels("drained").inc()


def _by_first_label(counter: Counter) -> dict[str, int]:
    tally: Tally[str] = Tally()
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.value:
                tally[next(iter(sample.labels.values()))] += int(sample.value)
    return dict(tally)


def _value(metric: Counter | Gauge | Histogram, suffix: str = "") -> float:
    """The value of a metric without labels."""
    (family,) = metric.collect()
    return next(sample.value for sample in family.samples if sample.name == family.name + suffix)
