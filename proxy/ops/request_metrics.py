"""Metrics of requests: how many there were, and how long they took."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from proxy.events.requests import RequestEnded

_ADDED: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_TOOK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_STREAMS: Final = frozenset({"OpenStream", "SessionChannel", "ListChannel", "EventStream"})
"""Calls whose answers stay open: how long they take says nothing about the proxy."""

_SWITCHING: Final = 101
"""A WebSocket's answer, which stays open as well."""

_BATCH: Final = 64
"""Requests that wait to be counted at most (P7); counting many in one go costs less, with the CPU's caches warm."""

_SERIES: Final = 256
"""Series of a metric that are found without the library's own lookup, which is slow."""


class RequestMetrics:
    """Counts the requests that have ended, some at a time.

    Args:
        registry: What a scraper reads. `count` is to be called before it does.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            made = Counter(f"stream_guard_{name}", text, labels, registry=registry)
            return lru_cache(_SERIES)(made.labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Callable[..., Histogram]:
            made = Histogram(f"stream_guard_{name}", text, ("call",), buckets=buckets, registry=registry)
            return lru_cache(_SERIES)(made.labels)

        self._ended: list[RequestEnded] = []
        self._requests = counter("requests", "Requests ended.", "call", "status", "ended_by")
        self._failures = counter("requests_failed", "Requests refused or broken off, by the error's code.", "error")
        self._took = histogram("request_seconds", "From a request to its end; no streams.", _TOOK)
        self._added = histogram("added_latency_seconds", "The same, less the wait for the backend.", _ADDED)

    def take(self, event: RequestEnded) -> None:
        """A request has ended."""
        self._ended.append(event)
        if len(self._ended) >= _BATCH:
            self.count()

    def count(self) -> None:
        """Counts what was taken so far."""
        ended, self._ended = self._ended, []
        for event in ended:
            self._count(event)

    def _count(self, event: RequestEnded) -> None:
        self._requests(event.call, f"{str(event.status)[:1]}xx", event.ended_by).inc()
        if event.error is not None:
            self._failures(event.error).inc()
        if event.call in _STREAMS or event.status == _SWITCHING:
            return
        self._took(event.call).observe(event.seconds)
        self._added(event.call).observe(max(0.0, event.seconds - event.backend))
