"""What events and answers say of a turn and its session, release by release."""

from typing import Any

from proxy.demo.sessions import WORKSPACE, Session, Turn
from proxy.demo.world import World


def describe(session: Session, world: World, *, with_messages: bool = True) -> dict[str, Any]:
    """A session as ``/api/session`` and ``done`` show it."""
    running = session.active_stream_id in world.streams
    return {
        "session_id": session.session_id,
        "title": session.title,
        "workspace": WORKSPACE,
        "model": "fake-1",
        "model_provider": "custom",
        "message_count": len(session.messages) + bool(session.pending_user_message),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "active_stream_id": session.active_stream_id,
        "pending_user_message": session.pending_user_message,
        "is_streaming": running and world.habits.reports_streaming,
        "messages": list(session.messages) if with_messages else [],
    }


def cancel_data(turn: Turn, world: World, *, with_session: bool) -> dict[str, Any]:
    """The data of a ``cancel`` event; only the live one of a later release shows the session."""
    data: dict[str, Any] = {"message": "Cancelled by user"}
    if world.habits.describes_cancel:
        data |= {"type": "cancelled", "status": "cancelled"}
        if with_session:
            session = describe(turn.session, world)
            data |= {"session": session, "session_id": session["session_id"]}
    return data


def usage(world: World) -> dict[str, Any]:
    """What a turn has cost."""
    later = {"post_compression_context_tokens_estimate": None} if world.habits.wide_metering else {}
    return {
        "input_tokens": 0,
        "output_tokens": 0,
        "estimated_cost": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "cache_hit_percent": None,
        "context_length": 256000,
        "threshold_tokens": 192000,
        "last_prompt_tokens": 0,
        **later,
    }


def metering(turn: Turn, world: World, *, with_usage: bool) -> dict[str, Any]:
    """The data of a ``metering`` event."""
    wide = {"ttft_ms": 1} if world.habits.wide_metering else {}
    rate = {"tps": 10.0, "tps_available": True, "estimated": False, "high": 10.0, "low": 10.0}
    more = {"usage": usage(world)} if with_usage else {}
    where = {"active": len(world.workers), **wide, "session_id": turn.session.session_id}
    return {**rate, **where, **more}


def tool_data(stage: str, seconds: float, tag: str) -> dict[str, Any]:
    """The data of a ``tool`` or ``tool_complete`` event."""
    done = stage == "completed"
    said = {"preview": f"slept{tag}" if done else None, "args": {"command": f"sleep {seconds:g}; echo slept{tag}"}}
    ending = {"is_error": False} if done else {}
    return {"event_type": f"tool.{stage}", "name": "terminal", **said, "tid": f"call_{tag}", **ending}
