"""What is counted, and how it is told."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from proxy.core.records import Cancel
from proxy.ops.metrics import LaneUse, Levels, Metrics
from tests.support.happenings import happened

LEVELS = Levels(
    streams={"running": 2, "cancel_sent": 0, "settling": 1},
    lanes={"control": LaneUse(1, 16), "relays": LaneUse(80, 80)},
    logs=4096,
    reachable=True,
    draining=False,
)


class Scraped:
    """Metrics, and their samples as a scraper reads them."""

    def __init__(self) -> None:
        self.report = Metrics("1.2.3")

    def value(self, name: str, **labels: str) -> float | None:
        body, _ = self.report.exposition(LEVELS, "text/plain")
        samples = [sample for family in parse(body.decode()) for sample in family.samples]
        found = [sample.value for sample in samples if (sample.name, sample.labels) == (f"stream_guard_{name}", labels)]
        return found[0] if found else None


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


def test_levels_are_what_they_are_when_asked_for(scraped: Scraped) -> None:
    assert scraped.value("streams", state="running") == 2
    assert scraped.value("streams", state="cancel_sent") == 0
    assert scraped.value("lane_slots", lane="control") == 16
    assert scraped.value("lane_slots_in_use", lane="relays") == 80
    assert scraped.value("log_bytes") == 4096
    assert scraped.value("backend_reachable") == 1
    assert scraped.value("draining") == 0
    assert scraped.value("build_info", version="1.2.3") == 1


def test_browsers_are_counted_by_how_they_joined_and_upstreams_apart(scraped: Scraped) -> None:
    scraped.report(happened("upstream_opened", upstream="u-1", stream="x", call="OpenStream"))
    for number, (joined, behind) in enumerate([("opened", 0), ("now", 0), ("cursor", 100), ("cursor", 20)]):
        relay = {"relay": f"r-{number}", "upstream": "u-1", "stream": "x", "call": "OpenStream"}
        scraped.report(happened("relay_opened", **relay, joined=joined, behind=behind))

    assert (scraped.value("upstreams"), scraped.value("relays")) == (1, 4)
    assert scraped.value("relays_opened_total", joined="cursor") == 2
    assert scraped.value("log_bytes_replayed_total") == 120
    assert scraped.report.totals()["joins"] == {"opened": 1, "now": 1, "cursor": 2}
    scraped.report(happened("upstream_closed", upstream="u-1", stream="x", why="terminal event", overdue=None))
    assert scraped.value("upstreams") == 0


def test_the_process_is_measured_too(scraped: Scraped) -> None:
    body, _ = scraped.report.exposition(LEVELS, "")

    assert b"process_resident_memory_bytes" in body


def test_a_scraper_gets_the_format_that_it_asks_for(scraped: Scraped) -> None:
    body, content_type = scraped.report.exposition(LEVELS, "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]  # it has no types
    assert any(family.name == "stream_guard_streams" for family in families)


@pytest.mark.parametrize(
    ("event", "fields", "labels"),
    [
        ("cancel_answered", {"verdict": "forwarded", "reason": None}, ("forwarded", "none")),
        ("cancel_answered", {"verdict": "stale", "reason": "superseded"}, ("stale", "superseded")),
        ("cancel_answered", {"verdict": None, "reason": None}, ("passed", "none")),
        ("cancel_failed", {"code": "backend_unreachable"}, ("failed", "none")),
        ("cancel_abandoned", {}, ("abandoned", "none")),
        ("cancel_unguarded", {}, ("unguarded", "none")),
    ],
)
def test_cancels_are_counted_by_verdict_and_reason(
    scraped: Scraped, event: str, fields: dict[str, Any], labels: tuple[str, str]
) -> None:
    scraped.report(happened(event, stream="x", cancel="c-1", **fields))

    assert scraped.value("cancels_total", verdict=labels[0], reason=labels[1]) == 1


def test_a_settled_cancel_is_measured_and_another_says_what_was_missing_first(scraped: Scraped) -> None:
    scraped.report(happened("cancel_settled", took=0.12, missing=[]))
    scraped.report(happened("cancel_settled", missing=["terminal_seen", "slot_free"]))

    assert scraped.value("cancel_settle_seconds_count") == 1
    assert scraped.value("cancel_settle_seconds_bucket", le="0.15") == 1
    assert scraped.value("cancel_settle_seconds_bucket", le="0.1") == 0
    assert scraped.value("cancels_unsettled_total", missing="terminal_seen") == 1


def test_every_step_that_may_be_missing_is_there_before_one_is(scraped: Scraped) -> None:
    """Or a scraper would see the first one only as a new series, and not as an increase."""
    for step in Cancel("c-1", "credentials", 0.0).missing:
        assert scraped.value("cancels_unsettled_total", missing=step) == 0

    assert scraped.report.totals()["unsettled"] == {}


def test_the_time_until_the_worker_was_gone_is_measured_whatever_else_was_missing(scraped: Scraped) -> None:
    scraped.report(happened("cancel_settled", took=12.0, slot_free=12.0, missing=[]))
    scraped.report(happened("cancel_settled", slot_free=1.5, missing=["terminal_seen"]))
    scraped.report(happened("cancel_settled", missing=["slot_free"]))

    assert scraped.value("worker_gone_seconds_count") == 2
    assert scraped.value("worker_gone_seconds_sum") == pytest.approx(13.5)
    assert scraped.value("worker_gone_seconds_bucket", le="30.0") == 2
    assert scraped.value("worker_gone_seconds_bucket", le="10.0") == 1


@pytest.mark.parametrize(("cancelled", "label"), [(True, "true"), (False, "false"), (None, "none")])
def test_repeated_cancels_are_counted_by_what_the_backend_said(
    scraped: Scraped,
    cancelled: bool | None,  # noqa: FBT001 - a test's parameter
    label: str,
) -> None:
    scraped.report(happened("cancel_repeated", stream="x", cancelled=cancelled, took=0.01))

    assert scraped.value("cancel_repeats_total", cancelled=label) == 1
    assert scraped.report.totals()["repeats"] == {label: 1}


def test_a_start_waits_from_its_hold_to_its_forwarding(scraped: Scraped) -> None:
    """It may be held more than once, and tried in between."""
    waiting = []
    for event in ("held", "forwarded", "conflict_spurious", "held", "hold_expired", "forwarded", "answered"):
        told = {"held": True, "waited": 0.4} if event == "answered" else {}
        scraped.report(happened(f"start_{event}", start="s-1", **told))
        waiting.append(scraped.value("starts_waiting"))

    assert waiting == [1, 0, 1, 1, 1, 0, 0]
    assert scraped.value("start_holds_expired_total") == 1
    assert scraped.value("start_conflicts_retried_total") == 1
    assert scraped.value("starts_total", verdict="held") == 1
    assert scraped.value("start_hold_seconds_sum") == pytest.approx(0.4)


@pytest.mark.parametrize("why", ["idempotency_key", "connection_lost"])
def test_starts_given_an_earlier_answer_are_counted_by_why(scraped: Scraped, why: str) -> None:
    scraped.report(happened("start_replayed", stream="x", why=why))

    assert scraped.value("starts_replayed_total", why=why) == 1
    assert scraped.report.totals()["starts"] == {}


def test_a_start_that_was_not_held_is_no_hold(scraped: Scraped) -> None:
    scraped.report(happened("start_answered", held=False, waited=0.0, status=200))

    assert scraped.value("starts_total", verdict="forwarded") == 1
    assert scraped.value("start_hold_seconds_count") == 0


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"why": None, "overdue": None}, "browser_left"),
        ({"why": "silence", "overdue": None}, "idle"),
        ({"why": "the proxy ends", "overdue": None}, "drained"),
        ({"why": "no terminal event in time", "overdue": "superseded"}, "superseded"),
        ({"why": "no terminal event in time", "overdue": "cancelled"}, "cancelled"),
        ({"why": "no terminal event in time", "overdue": "finished"}, "lingered"),
    ],
)
def test_an_upstream_that_the_proxy_closed_has_a_cause(scraped: Scraped, fields: dict[str, Any], cause: str) -> None:
    scraped.report(happened("upstream_closed", **fields))

    assert scraped.value("orphans_closed_total", cause=cause) == 1


@pytest.mark.parametrize("why", ["terminal event", "the backend closed it", "the backend broke off"])
def test_one_that_came_to_its_end_is_no_orphan(scraped: Scraped, why: str) -> None:
    scraped.report(happened("upstream_closed", why=why, overdue=None))

    assert scraped.report.totals()["orphans_closed"] == {}


def test_relays_are_counted_while_they_are_open(scraped: Scraped) -> None:
    scraped.report(happened("relay_opened", call="OpenStream"))
    scraped.report(happened("relay_opened", call="EventStream"))
    scraped.report(happened("relay_wrote", events=["token", "done"], count=2))
    scraped.report(happened("relay_ended", why="terminal event"))

    assert scraped.value("relays") == 1
    assert scraped.value("events_relayed_total") == 2


def ended(scraped: Scraped, **fields: Any) -> None:
    request = {"call": "Other", "status": 200, "ended_by": "proxy", "seconds": 0.25, "backend": 0.2}
    scraped.report(happened("request_ended", method="GET", path="/api/secret", **{**request, **fields}))


def test_a_request_is_measured_with_and_without_the_backend(scraped: Scraped) -> None:
    ended(scraped)

    assert scraped.value("requests_total", call="Other", status="2xx", ended_by="proxy") == 1
    assert scraped.value("request_seconds_sum", call="Other") == pytest.approx(0.25)
    assert scraped.value("added_latency_seconds_sum", call="Other") == pytest.approx(0.05)


@pytest.mark.parametrize("scrapes", [1, 7])
def test_every_request_is_counted_once_however_many_there_are_between_scrapes(scraped: Scraped, scrapes: int) -> None:
    for _ in range(scrapes):
        for status in [200] * 100 + [404] * 50 + [502] * 3:
            ended(scraped, status=status)
        scraped.value("requests_total")

    for kind, count in (("2xx", 100), ("4xx", 50), ("5xx", 3)):
        assert scraped.value("requests_total", call="Other", status=kind, ended_by="proxy") == count * scrapes
    assert scraped.value("request_seconds_count", call="Other") == 153 * scrapes


@pytest.mark.parametrize(
    "stream",
    [
        {"call": "OpenStream"},
        {"call": "SessionChannel"},
        {"call": "ListChannel"},
        {"call": "EventStream"},
        {"call": "Other", "status": 101},
    ],
)
def test_what_stays_open_is_counted_and_not_measured(scraped: Scraped, stream: dict[str, Any]) -> None:
    ended(scraped, **stream, seconds=3600.0)

    assert scraped.value("request_seconds_count", call=stream["call"]) is None
    status = "1xx" if stream.get("status") else "2xx"
    assert scraped.value("requests_total", call=stream["call"], status=status, ended_by="proxy") == 1


def test_what_was_refused_or_broken_off_is_counted_by_its_error(scraped: Scraped) -> None:
    ended(scraped)
    for error in ("browser_stalled", "crowded_out", "crowded_out", None):
        ended(scraped, error=error)

    assert scraped.value("requests_failed_total", error="browser_stalled") == 1
    assert scraped.value("requests_failed_total", error="crowded_out") == 2


def test_refusals_and_mistakes_are_counted(scraped: Scraped) -> None:
    scraped.report(happened("request_refused", code="cross_site", path="/api/chat/cancel", client="10.0.0.1"))
    scraped.report(happened("internal_error", step="judging a cancel"))

    assert scraped.value("requests_refused_total", code="cross_site") == 1
    assert scraped.value("internal_errors_total") == 1


def test_no_id_path_or_address_is_a_label(scraped: Scraped) -> None:
    ended(scraped, client="10.0.0.1")
    scraped.report(happened("cancel_answered", stream="stream-1", cancel="c-1", verdict="forwarded", reason=None))
    scraped.report(happened("request_refused", code="cross_site", path="/api/secret", client="10.0.0.1"))
    scraped.report(happened("cancel_forwarded", stream="stream-1"))
    body, _ = scraped.report.exposition(LEVELS, "")

    for secret in (b"stream-1", b"c-1", b"/api/secret", b"10.0.0.1"):
        assert secret not in body


def test_totals_are_the_same_counts_for_people(scraped: Scraped) -> None:
    for verdict, reason in (("forwarded", None), ("stale", "finished"), ("stale", "superseded")):
        scraped.report(happened("cancel_answered", verdict=verdict, reason=reason))
    scraped.report(happened("cancel_settled", took=0.12, missing=[]))
    scraped.report(happened("cancel_settled", missing=["answered"]))
    scraped.report(happened("start_answered", held=True, waited=0.1))
    scraped.report(happened("start_held", start="s-1"))
    scraped.report(happened("upstream_opened"))
    scraped.report(happened("relay_opened", joined="opened"))
    scraped.report(happened("upstream_closed", why=None, overdue=None))

    assert scraped.report.totals() == {
        "cancels": {"forwarded": 1, "stale": 2},
        "settled": 1,
        "unsettled": {"answered": 1},
        "repeats": {},
        "starts": {"held": 1},
        "starts_waiting": 1,
        "holds_expired": 0,
        "relays": 1,
        "upstreams": 0,
        "joins": {"opened": 1},
        "orphans_closed": {"browser_left": 1},
        "internal_errors": 0,
    }
