"""``GET /health``: public, and the only place where a worker can be seen to have unwound (F3)."""

from typing import Any

from proxy.demo.habits import Mode
from proxy.demo.ledger import Ledger
from proxy.demo.responses import Answer, json_answer
from proxy.demo.sessions import WORKSPACE, Turn
from proxy.demo.world import World


def health_answer(world: World, ledger: Ledger) -> Answer:
    """The release's health report; its status is the fault's, if one is set."""
    now = world.clock()
    report: dict[str, Any] = {
        "status": "ok",
        "sessions": len(world.sessions),
        "active_streams": len(world.streams),
        "active_runs": len(world.workers),
        "runs": [_describe_run(turn, world, now) for turn in world.workers.values()],
        "last_run_finished_at": world.last_run_finished_at,
        "uptime_seconds": round(now - world.started_at, 1),
        "accept_loop": {"requests_total": ledger.connections_total, "last_request_at": now},
    }
    if world.habits.tells_start_time:
        report["server_started_at"] = world.started_at
    if world.workers:
        report["oldest_run_age_seconds"] = report["runs"][0]["age_seconds"]
    elif world.last_run_finished_at:
        report["idle_seconds_since_last_run"] = round(now - world.last_run_finished_at, 1)
    return json_answer(report, world.faults.health_status)


def _describe_run(turn: Turn, world: World, now: float) -> dict[str, Any]:
    names = {"session_id": turn.stream.session_id, "stream_id": turn.stream_id, "workspace": WORKSPACE}
    run: dict[str, Any] = {
        **(names if world.habits.names_runs else {}),
        "started_at": turn.started_at,
        "phase": _phase(turn, world),
        "model": "fake-1",
        "provider": "custom",
        "ephemeral": turn.ephemeral,
        **({"backend": "gateway"} if world.mode is Mode.GATEWAY else {}),
    }
    if world.habits.marks_cancelling and turn.cancelled_at:
        run["cancelled_at"] = turn.cancelled_at
    return {**run, "age_seconds": round(now - turn.started_at, 1)}


def _phase(turn: Turn, world: World) -> str:
    if world.habits.marks_cancelling and turn.cancelled:
        return world.faults.phase_after_cancel or "cancelling"
    return turn.phase
