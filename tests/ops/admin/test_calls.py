"""What each call answers, and what is said to bad input."""

from typing import TYPE_CHECKING, Any

import pytest

from proxy.core.records import Cancel, Ending, SessionRecord, SlotFreedBy, StreamRecord, StreamState
from proxy.ops.admin import connection
from proxy.ops.receipts import Receipt
from tests.support.happenings import happened
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Guard, Operator

SESSION = "5e551014aaaaaaaa"
STREAM = "57ea3000bbbbbbbb"
OTHER = "07e4e4e4cccccccc"
SENT = 999.0


def record(*streams: StreamRecord, session_id: str = SESSION) -> SessionRecord:
    return SessionRecord(session_id, streams)


def settling(**cancel: Any) -> StreamRecord:
    sent = Cancel("c-1", "credentials", sent_at=SENT, acked_at=999.2, **cancel)
    return StreamRecord(STREAM, StreamState.SETTLING, 999.2, cancel=sent, began=940.0)


def judged(guard: "Guard", verdict: str = "forward", cancel_id: str = "c-1") -> None:
    guard.now = SENT
    guard.report(happened("cancel_judged", cancel=cancel_id, stream=STREAM, verdict=verdict, shared=None))
    guard.now = 1000.0


def answered(guard: "Guard", cancel_id: str = "c-1", **said: Any) -> None:
    answer = {"first": cancel_id, "verdict": "forwarded", "reason": None, "status": 200, "cancelled": True}
    guard.report(happened("cancel_answered", cancel=cancel_id, stream=STREAM, **{**answer, **said}))


# -- health ---------------------------------------------------------------------------------------


async def test_a_process_that_answers_is_healthy(guard: "Guard", operator: "Operator") -> None:
    """Whatever its backend does: restarting the proxy would not help."""
    guard.away_since = 990.0

    assert (await operator.ask("/healthz")).json == {"status": "ok"}


async def test_it_is_ready_while_it_serves_and_the_backend_answers(operator: "Operator") -> None:
    ready = await operator.ask("/readyz")

    assert (ready.status, ready.json) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("away_since", "state", "code"), [(990.0, "serving", "backend_away"), (None, "settled", "draining")]
)
async def test_it_is_not_ready_otherwise(
    guard: "Guard", operator: "Operator", away_since: float | None, state: Any, code: str
) -> None:
    guard.away_since, guard.drain.state = away_since, state

    unready = await operator.ask("/readyz")

    assert (unready.status, unready.code) == (503, code)


async def test_metrics_are_what_a_scraper_asks_for(guard: "Guard", operator: "Operator") -> None:
    guard.records = (record(settling()),)
    guard.drain.begin(hold=True)
    guard.drain.held = 3
    plain = await operator.ask("/metrics")
    open_metrics = await operator.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert b'stream_guard_streams{state="settling"} 1.0' in plain.body
    assert b'stream_guard_lane_slots_in_use{lane="relays"} 3.0' in plain.body
    assert b"stream_guard_draining 1.0" in plain.body
    assert b"stream_guard_drain_held 3.0" in plain.body
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.body.endswith(b"# EOF\n")


# -- what is the case -----------------------------------------------------------------------------


async def test_the_status_is_of_the_proxy_as_a_whole(guard: "Guard", operator: "Operator") -> None:
    guard.records = (record(settling()),)
    guard.away_since = 990.5
    guard.now += 60
    answered(guard)

    status = (await operator.ask("/api/status")).json

    assert status["version"] == "1.2.3"
    assert status["state"] == "serving"
    assert (status["listening"], status["upstream"]) == ("http://127.0.0.1:8788", "http://hermes:8787")
    assert (status["started"], status["uptime"]) == ("2027-01-15T08:00:00.000Z", 60.0)
    assert status["backend"] == {"reachable": False, "away_since": "2027-01-15T07:59:50.500Z", "waiting_since": None}
    assert status["lanes"] == {"control": {"in_use": 1, "limit": 16}, "relays": {"in_use": 3, "limit": 80}}
    assert status["streams"] == {"running": 0, "cancel_sent": 0, "settling": 1}
    assert status["cancels"] == {"forwarded": 1}


async def test_a_backend_that_answers_is_away_since_never(operator: "Operator") -> None:
    backend = (await operator.ask("/api/status")).json["backend"]
    assert backend == {"reachable": True, "away_since": None, "waiting_since": None}


async def test_a_backend_that_should_have_answered_is_told_before_it_is_away(
    guard: "Guard", operator: "Operator"
) -> None:
    """As away it is only known once the question has been given up, for which nobody waits here."""
    guard.away_since, guard.waiting_since = 999.0, 999.5

    backend = (await operator.ask("/api/status")).json["backend"]
    assert backend == {"reachable": True, "away_since": None, "waiting_since": "2027-01-15T07:59:59.500Z"}


async def test_streams_are_those_that_run_or_settle_newest_first(guard: "Guard", operator: "Operator") -> None:
    ended = StreamRecord("e", StreamState.ENDED, 950.0, Ending.FINISHED, began=950.0)
    newest = StreamRecord(OTHER, StreamState.RUNNING, 990.0, began=990.0)
    guard.records = (record(ended, settling()), record(newest, session_id=f"stream:{OTHER}"))
    guard.relays = {STREAM: 2}
    guard.runs = True

    assert (await operator.ask("/api/streams")).json["streams"] == [
        {
            "session": None,
            "stream": "07e4e4e4",
            "state": "running",
            "age": 10.0,
            "state_age": 10.0,
            "relays": 0,
            "log": 0,
            "in_hermes": True,
            "cancel": None,
        },
        {
            "session": "5e551014",
            "stream": "57ea3000",
            "state": "settling",
            "age": 60.0,
            "state_age": 0.8,
            "relays": 2,
            "log": 200,
            "in_hermes": None,
            "cancel": "c-1",
        },
    ]


async def test_a_turn_that_somebody_watches_needs_no_asking(guard: "Guard", operator: "Operator") -> None:
    """Its end will be seen."""
    guard.records = (record(StreamRecord(STREAM, StreamState.RUNNING, 990.0, began=990.0)),)
    guard.relays = {STREAM: 1}
    guard.runs = False

    (stream,) = (await operator.ask("/api/streams")).json["streams"]
    assert stream["in_hermes"] is None


async def test_the_last_minutes_are_told_in_steps(guard: "Guard", operator: "Operator") -> None:
    guard.report(happened("relay_wrote", relay="r-1", stream=STREAM, events=["token", "token"], count=2))
    guard.report(happened("cancel_settled", cancel="c-1", stream=STREAM, took=0.12, missing=[]))
    guard.now += 1

    history = (await operator.ask("/api/history")).json

    assert sum(history["events"]) == history["events"][-1] == 2
    assert history["step"] * len(history["events"]) == 600
    assert history["cancels"] == [{"age": 1.0, "took": 0.12}]


# -- cancels --------------------------------------------------------------------------------------


async def test_a_cancel_under_way_is_shown_as_far_as_it_has_come(guard: "Guard", operator: "Operator") -> None:
    judged(guard)
    guard.records = (record(settling()),)

    assert (await operator.ask("/api/cancels")).json["cancels"] == [
        {
            "id": "c-1",
            "stream": "57ea3000",
            "at": "2027-01-15T07:59:59.000Z",
            "age": 1.0,
            "presses": 1,
            "outcome": "under_way",
            "verdict": None,
            "reason": None,
            "status": None,
            "cancelled": None,
            "failed": None,
            "receipt": {
                "ending": None,
                "backend_acked": 0.2,
                "slot": "busy",
                "repeats": 0,
                "missing": ["terminal_seen", "answered", "slot_free"],
            },
        }
    ]


@pytest.mark.parametrize(("terminal_at", "outcome"), [(999.3, "settled"), (None, "unsettled")])
async def test_a_cancel_that_is_over_is_shown_with_its_receipt(
    guard: "Guard", operator: "Operator", terminal_at: float | None, outcome: str
) -> None:
    judged(guard)
    answered(guard)
    cancel = Cancel("c-1", "credentials", SENT, acked_at=999.2, answered_at=999.4, terminal_at=terminal_at)
    guard.receipts.add(Receipt.of(STREAM, cancel.freed(999.5, SlotFreedBy.HEALTH), Ending.CANCELLED))

    found = (await operator.ask("/api/cancels/c-1")).json

    assert found["outcome"] == outcome
    assert found["cancelled"] is True
    assert found["receipt"]["slot_free"] == 0.5
    assert found["receipt"]["slot_freed_by"] == "health"


async def test_a_cancel_without_a_receipt_says_what_it_was_told(guard: "Guard", operator: "Operator") -> None:
    said: dict[str, dict[str, Any]] = {
        "stale": {"verdict": "stale", "reason": "superseded", "cancelled": False},
        "refused": {"reason": "finished", "cancelled": False},
        "passed": {"verdict": None, "status": 401, "cancelled": None},
    }
    for outcome, answer in said.items():
        judged(guard, cancel_id=outcome)
        answered(guard, outcome, **answer)
    judged(guard, cancel_id="failed")
    guard.report(happened("cancel_failed", cancel="failed", stream=STREAM, code="backend_unreachable"))
    judged(guard, cancel_id="unguarded")
    guard.report(happened("cancel_unguarded", cancel="unguarded", stream=STREAM))
    judged(guard, cancel_id="unanswered")

    cancels = (await operator.ask("/api/cancels")).json["cancels"]

    assert [cancel["outcome"] for cancel in cancels] == ["unanswered", "unguarded", "failed", *reversed(said)]
    assert [cancel["id"] for cancel in cancels] == [cancel["outcome"] for cancel in cancels]
    assert cancels[2]["failed"] == "backend_unreachable"
    assert cancels[-1]["reason"] == "superseded"


async def test_no_more_cancels_are_listed_than_asked_for(guard: "Guard", operator: "Operator") -> None:
    for number in range(60):
        judged(guard, cancel_id=f"c-{number}")

    assert len((await operator.ask("/api/cancels")).json["cancels"]) == 50
    (latest,) = (await operator.ask("/api/cancels?limit=1")).json["cancels"]
    assert latest["id"] == "c-59"


# -- draining -------------------------------------------------------------------------------------


async def test_draining_is_begun_and_undone(guard: "Guard", operator: "Operator") -> None:
    began = await operator.ask("/api/drain", "POST", json={"action": "begin"})
    assert (began.status, began.json["state"], began.json["hold"]) == (200, "draining", False)
    assert guard.drain.state == "draining"

    resumed = await operator.ask("/api/drain", "POST", json={"action": "resume"})
    assert (resumed.status, resumed.json["state"]) == (200, "serving")


@pytest.mark.parametrize("hold", [True, False])
async def test_new_turns_are_held_if_that_is_asked_for(guard: "Guard", operator: "Operator", hold: bool) -> None:  # noqa: FBT001 - a test's parameter
    guard.drain.held, guard.drain.under_way, guard.drain.in_hermes = 3, 1, 2
    began = await operator.ask("/api/drain", "POST", json={"action": "begin", "hold": hold})

    told = {"state": "draining", "hold": hold, "held": 3, "under_way": 1, "in_hermes": 2, "turns": []}
    assert (began.status, began.json) == (200, told)
    assert (await operator.ask("/api/drain")).json == told
    assert (await operator.ask("/api/status")).json["held"] == 3


@pytest.mark.parametrize(("runs", "shown"), [(True, 1), (None, 1), (False, 0)])
async def test_a_drain_tells_which_turns_run(
    guard: "Guard",
    operator: "Operator",
    runs: bool | None,  # noqa: FBT001 - a test's parameter
    shown: int,
) -> None:
    """Not those whose end nobody saw: Hermes says that it does not run them."""
    guard.records = (record(StreamRecord(STREAM, StreamState.RUNNING, 940.0, began=940.0)),)
    guard.runs = runs
    turns = (await operator.ask("/api/drain")).json["turns"]
    assert [(turn["stream"], turn["age"]) for turn in turns] == [(STREAM[:8], 60.0)] * shown


async def test_a_proxy_that_ends_does_not_resume(guard: "Guard", operator: "Operator") -> None:
    guard.drain.begin(hold=False)
    guard.drain.ending = True

    refused = await operator.ask("/api/drain", "POST", json={"action": "resume"})

    assert (refused.status, refused.code) == (409, "ending")
    assert guard.drain.state == "draining"


# -- bad input ------------------------------------------------------------------------------------

APIS = ["/api/status", "/api/streams", "/api/cancels", "/api/cancels/c-1", "/api/history", "/api/drain", "/api/events"]


def is_clear(reply: Any) -> bool:
    """Whether it is JSON with a sentence and a code."""
    return (
        reply.headers["Content-Type"].startswith("application/json")
        and reply.json["error"].endswith(".")
        and set(reply.json) == {"error", "code"}
    )


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/status/", "/page/../application.py", "/page/x.js", "/%00"]
)
async def test_a_path_that_is_not_there_is_404(operator: "Operator", path: str) -> None:
    reply = await operator.ask(path)

    assert (reply.status, reply.code) == (404, "not_found")
    assert is_clear(reply)


async def test_a_cancel_that_nobody_knows_is_404(operator: "Operator") -> None:
    reply = await operator.ask("/api/cancels/c-0")

    assert (reply.status, reply.code) == (404, "unknown_cancel")
    assert is_clear(reply)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", *(path for path in APIS if path != "/api/drain")]
)
async def test_a_call_takes_get_only(operator: "Operator", path: str, method: str) -> None:
    reply = await operator.ask(path, method)

    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert "GET" in reply.headers["Allow"].split(",")
    assert is_clear(reply)


async def test_draining_takes_get_and_post_only(operator: "Operator") -> None:
    reply = await operator.ask("/api/drain", "PUT")

    assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD,POST")
    assert is_clear(reply)


@pytest.mark.parametrize("path", APIS)
async def test_a_query_that_means_nothing_is_400(operator: "Operator", path: str) -> None:
    reply = await operator.ask(f"{path}?limt=3")

    assert (reply.status, reply.code) == (400, "bad_request")
    assert is_clear(reply)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=x", "limit=1.5", "limit=1&limit=2", "limit=²"]
)
async def test_a_limit_that_is_none_is_400(operator: "Operator", query: str) -> None:
    reply = await operator.ask(f"/api/cancels?{query}")

    assert (reply.status, reply.code) == (400, "bad_request")
    assert "limit" in reply.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"begin",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"action": "stop"}',
        b'{"action": ["begin"]}',
        b"\xff",
        b"[" * 4000,
        b'{"action": "begin", "now": true}',
        b'{"action": "begin", "hold": 1}',
        b'{"action": "resume", "hold": true}',
    ],
)
async def test_a_drain_that_says_nothing_of_use_is_400(guard: "Guard", operator: "Operator", body: bytes) -> None:
    reply = await operator.ask("/api/drain", "POST", data=body, headers={"Content-Type": "application/json"})

    assert (reply.status, reply.code) == (400, "bad_request")
    assert is_clear(reply)
    assert guard.drain.state == "serving"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_drain_that_a_form_could_send_is_415(guard: "Guard", operator: "Operator", content_type: str) -> None:
    reply = await operator.ask(
        "/api/drain", "POST", data=b'{"action": "begin"}', headers={"Content-Type": content_type}
    )

    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert is_clear(reply)
    assert guard.drain.state == "serving"


async def test_a_large_body_is_413(operator: "Operator") -> None:
    reply = await operator.ask("/api/drain", "POST", data=b" " * 5000, headers={"Content-Type": "application/json"})

    assert (reply.status, reply.code) == (413, "request_too_large")
    assert is_clear(reply)


async def test_a_body_that_does_not_come_is_408(operator: "Operator", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    slow = RawBrowser(operator.port)
    await slow.connect()
    head = (b"POST /api/drain HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", b"Content-Length: 9")
    await slow.send(b"\r\n".join([*head, b"", b"{"]))

    assert b'"code": "request_timeout"' in await slow.until(b"}")
    slow.close()


async def test_a_mistake_of_ours_is_told_without_its_text(
    guard: "Guard", operator: "Operator", caplog: pytest.LogCaptureFixture
) -> None:
    guard.records = (None,)  # type: ignore[assignment]  # what is tested

    reply = await operator.ask("/api/streams")

    assert (reply.status, reply.code) == (500, "internal_error")
    assert is_clear(reply)
    assert "NoneType" not in reply.json["error"]
    assert "failed to answer GET /api/streams" in caplog.text
