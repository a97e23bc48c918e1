"""The calls that change what a session has said; and what a cancelled worker makes of them (F17)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from proxy.demo.exchange import Exchange, required
from proxy.demo.ledger import Ledger, ModelEnd
from proxy.demo.reports import describe
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND, UNTITLED, Session
from proxy.demo.turns import Turns
from proxy.demo.world import World

PREVIEW = 40
"""Characters that an undo shows of what it removed."""
COMPRESSIBLE = 4
"""Messages that a compression needs."""

Change = Callable[[Session, Mapping[str, Any]], Awaitable[Answer]]


class History:
    """Answers these calls."""

    def __init__(self, world: World, ledger: Ledger, turns: Turns) -> None:
        self._world = world
        self._ledger = ledger
        self._turns = turns

    def routes(self) -> Mapping[str, Callable[[Exchange], Awaitable[Answer]]]:
        """What is POSTed to which path."""
        changes: dict[str, Change] = {
            "/api/chat": self._whole_turn,
            "/api/session/undo": self._undo,
            "/api/session/retry": self._retry,
            "/api/session/truncate": self._truncate,
            "/api/session/clear": self._clear,
            "/api/session/branch": self._branch,
            "/api/session/compress": self._compress,
        }
        return {"/api/session/delete": self._delete} | {path: self._on(change) for path, change in changes.items()}

    def _on(self, change: Change) -> Callable[[Exchange], Awaitable[Answer]]:
        async def call(exchange: Exchange) -> Answer:
            body = await exchange.json_body()
            session = self._world.sessions.get(required(body, "session_id"))
            return error_answer(NOT_FOUND, 404) if session is None else await change(session, body)

        return call

    async def _whole_turn(self, session: Session, body: Mapping[str, Any]) -> Answer:
        """A turn in one call, beside whatever runs: no start has to wait for it, and no Stop knows it."""
        message = str(body.get("message", "")).strip()
        if not message:
            return error_answer("empty message")
        answer = await self._turns.run_whole(session, message)
        result = {"final_response": answer, "completed": True}
        shown = {"session": describe(session, self._world), "result": result}
        return json_answer({"answer": answer, "status": "done", **shown})

    async def _undo(self, session: Session, _body: Mapping[str, Any]) -> Answer:
        removed = session.remove_last_turn()
        if not removed:
            return json_answer({"error": "Nothing to undo."})
        text = removed[0]["content"]
        preview = f"{text[:PREVIEW]}..." if len(text) > PREVIEW else text
        return json_answer({"ok": True, "removed_count": len(removed), "removed_preview": preview})

    async def _retry(self, session: Session, _body: Mapping[str, Any]) -> Answer:
        """The page sends the text again by itself."""
        removed = session.remove_last_turn()
        if not removed:
            return json_answer({"error": "No previous message to retry."})
        return json_answer({"ok": True, "last_user_text": removed[0]["content"], "removed_count": len(removed)})

    async def _truncate(self, session: Session, body: Mapping[str, Any]) -> Answer:
        if body.get("keep_count") is None:
            return error_answer("Missing required field(s): keep_count")
        keep = _kept(body)
        del session.messages[keep:]
        return json_answer({"ok": True, "session": describe(session, self._world)})

    async def _clear(self, session: Session, _body: Mapping[str, Any]) -> Answer:
        session.messages.clear()
        session.settle()
        session.title, session.title_generated = UNTITLED, False
        return json_answer({"ok": True, "session": describe(session, self._world, with_messages=False)})

    async def _branch(self, session: Session, body: Mapping[str, Any]) -> Answer:
        fork = self._world.new_session(session)
        if body.get("keep_count") is not None:
            del fork.messages[_kept(body) :]
        fork.title = str(body.get("title") or "").strip()[:80] or f"{session.title} (fork)"
        ids = {"session_id": fork.session_id, "parent_session_id": session.session_id}
        return json_answer({**ids, "title": fork.title})

    async def _compress(self, session: Session, body: Mapping[str, Any]) -> Answer:
        """The model is asked for a summary, of which the messages that are shown say nothing."""
        if session.active_stream_id:
            return error_answer("Session is still streaming; wait for the current turn to finish.", 409)
        before = list(session.messages)
        if len(before) < COMPRESSIBLE:
            return error_answer("Not enough conversation to compress (need at least 4 messages).")
        request = self._ledger.model_asked("", session.session_id)
        await asyncio.sleep(self._world.pace.first_token)
        self._ledger.model_answered(request, ModelEnd.DONE)
        if session.messages != before:
            return error_answer("Session was modified during compression; please retry.", 409)
        told = {"summary": {"headline": "Compressed"}, "focus_topic": body.get("focus_topic")}
        return json_answer({"ok": True, "session": describe(session, self._world), **told})

    async def _delete(self, exchange: Exchange) -> Answer:
        session_id = str((await exchange.json_body()).get("session_id") or "")
        if not session_id:
            return error_answer("session_id is required")
        self._world.sessions.pop(session_id, None)
        return json_answer({"ok": True, "state_db_cleanup_failed": False})


def _kept(body: Mapping[str, Any]) -> int:
    """How many messages are to stay.

    Raises:
        ValueError: it is no number of messages.
    """
    try:
        keep = int(body["keep_count"])
    except (TypeError, ValueError):
        raise ValueError("keep_count must be an integer") from None
    if keep < 0:
        raise ValueError("keep_count must be non-negative")
    return keep
