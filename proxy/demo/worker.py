"""The worker of a turn: a scripted model, and how Hermes ends, cancels and spoils a turn.

The prompt steers it: ``n=40`` tokens, ``d=0.1`` seconds between them, ``tag=A`` for the text
``A0 A1 A2 …``, so that text that leaks from one turn into another can be told apart. The word
``compress`` makes the context be compressed at the end, ``fail`` makes the provider fail.
"""

import asyncio
import re
import time
from typing import Any

from proxy.demo.habits import Fate
from proxy.demo.sessions import WORKSPACE, Session, Turn
from proxy.demo.world import World

METERING_INTERVAL = 0.1
"""Seconds between two ``metering`` events, at least."""
TOKENS_LIMIT = 100_000

_NO_RESPONSE = {
    "message": "No response from provider.",
    "type": "no_response",
    "hint": "The provider returned no content and no error. Try again in a moment.",
    "details": "No response from provider.",
}


class Worker:
    """Runs one turn to its end, whatever end that is."""

    def __init__(self, world: World, turn: Turn) -> None:
        self._world = world
        self._turn = turn
        self._began = self._metered_at = time.monotonic()

    async def run(self) -> None:
        """The whole of a turn; cancelled only when the backend closes."""
        turn = self._turn
        prefill = {"status": "not_configured", "source": "none", "label": "", "message_count": 0}
        turn.put("context_status", {"session_id": turn.session.session_id, "prefill": prefill})
        await asyncio.sleep(0)
        if turn.fate in {Fate.LEAK, Fate.SILENCE}:
            await self._die_of_the_elder()
        elif await self._speak():
            await self._finish()
        self._world.end_worker(turn)

    async def _die_of_the_elder(self) -> None:
        """F1: the cancelled turn's interrupt reaches this one as well."""
        await asyncio.sleep(self._world.pace.spoil)
        if self._turn.fate is Fate.LEAK:
            self._turn.put("apperror", _NO_RESPONSE)
            self._turn.session.say("assistant", "**No response from provider:**", _error=True)
            await asyncio.sleep(0)

    async def _speak(self) -> bool:
        """Streams the text; whether the turn is to be finished properly."""
        turn, faults = self._turn, self._world.faults
        if turn.fate is Fate.UNFINISHED:
            turn.session.settle()
        if await self._interrupted(self._world.pace.first_token):
            await self._unwind(0)
            return False
        for index in range(self._tokens):
            if faults.die_after is not None and index >= faults.die_after:
                return False
            self._say_token(turn, index)
            if await self._interrupted(self._token_delay):
                await self._unwind(index + 1)
                return False
        return turn.fate is not Fate.UNFINISHED

    def _say_token(self, heard_on: Turn, index: int) -> None:
        text = f"{self._tag}{index} "
        self._turn.spoken.append(text)
        heard_on.put("token", {"text": text})
        if time.monotonic() - self._metered_at >= METERING_INTERVAL:
            self._metered_at = time.monotonic()
            heard_on.put("metering", self._metering(usage=True))

    @property
    def _token_delay(self) -> float:
        return float(_option(self._turn.prompt, "d", r"\d+(?:\.\d+)?", str(self._world.pace.token)))

    @property
    def _tokens(self) -> int:
        return min(TOKENS_LIMIT, int(_option(self._turn.prompt, "n", r"\d+", "20")))

    @property
    def _tag(self) -> str:
        return _option(self._turn.prompt, "tag", r"\w+", "T")

    async def _interrupted(self, delay: float) -> bool:
        try:
            async with asyncio.timeout(delay):
                await self._turn.cancelled.wait()
        except TimeoutError:
            return False
        return True

    async def _unwind(self, spoken: int) -> None:
        if time.monotonic() - self._began < self._world.pace.deaf:
            await asyncio.sleep((self._tokens - spoken) * self._token_delay)
        await self._world.until_unhung()
        await asyncio.sleep(self._world.pace.unwind)
        if self._turn.heir:
            await self._leak_into(self._turn.heir, spoken)
        if not self._world.faults.mute_cancel:
            self._turn.put("cancel", cancel_data(self._turn, self._world, with_session=False))

    async def _leak_into(self, heir: Turn, spoken: int) -> None:
        """F1: the next turn cleared the interrupt, so this worker goes on, on its stream."""
        for index in range(spoken, self._tokens):
            self._say_token(heir, index)
            await asyncio.sleep(self._token_delay)
        heir.put("reasoning", {"text": "".join(self._turn.spoken).strip()})

    async def _finish(self) -> None:
        turn, answer = self._turn, "".join(self._turn.spoken).strip()
        if _has_word(turn.prompt, "fail"):
            turn.put("apperror", {"message": "Provider failed.", "type": "error", "hint": "Try again."})
            return
        turn.session.say("user", turn.prompt)
        turn.session.say("assistant", answer, finish_reason="stop")
        if _has_word(turn.prompt, "compress"):
            self._compress()
        if turn.task:
            result = {"task_id": turn.task.task_id, "prompt": turn.prompt, "answer": answer}
            turn.task.results.append({**result, "completed_at": self._world.clock()})
        needs_title = not (turn.session.title_generated or turn.task)
        turn.session.settle()
        turn.put("done", self._done_data(answer))
        await asyncio.sleep(0)
        if turn.ephemeral:  # F6: nothing closes a btw stream
            self._world.sessions.pop(turn.session.session_id, None)
            return
        turn.put("metering", self._metering(usage=False))
        self._world.end_worker(turn)
        if not self._world.faults.mute_end:
            await self._end_stream(with_title=needs_title)

    async def _end_stream(self, *, with_title: bool) -> None:
        turn, session = self._turn, self._turn.session
        if with_title:
            session.title = f"title {self._tag}"
            session.title_generated = True
            named = {"session_id": session.session_id, "title": session.title}
            turn.put("title_status", {**named, "status": "llm", "reason": "llm"})
            await asyncio.sleep(0)
            turn.put("title", named)
            await asyncio.sleep(0)
        ended = session.session_id if with_title else turn.stream.session_id
        turn.put("stream_end", {"session_id": ended})

    def _compress(self) -> None:
        turn = self._turn
        started = {"session_id": turn.stream.session_id, "message": "Compressing context"}
        turn.put("compressing", started)
        old_id, new_id = self._world.rotate(turn.session)
        moved = {
            "session_id": old_id,
            "old_session_id": old_id,
            "new_session_id": new_id,
            "continuation_session_id": new_id,
        }
        message = "Context auto-compressed to continue the conversation"
        turn.put("compressed", {**moved, "message": message, "usage": self._usage()})

    def _done_data(self, answer: str) -> dict[str, Any]:
        session = self._turn.session
        if self._turn.ephemeral:
            past = {"session_id": session.session_id, "messages": list(session.messages)}
            usage = {"input_tokens": 0, "output_tokens": 0}
            return {"session": past, "usage": usage, "ephemeral": True, "answer": answer}
        return {"session": describe(session, self._world), "usage": self._usage()}

    def _usage(self) -> dict[str, Any]:
        later = {"post_compression_context_tokens_estimate": None} if self._world.habits.wide_metering else {}
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

    def _metering(self, *, usage: bool) -> dict[str, Any]:
        wide = {"ttft_ms": 1} if self._world.habits.wide_metering else {}
        rate = {"tps": 10.0, "tps_available": True, "estimated": False, "high": 10.0, "low": 10.0}
        more = {"usage": self._usage()} if usage else {}
        where = {"active": len(self._world.workers), **wide, "session_id": self._turn.session.session_id}
        return {**rate, **where, **more}


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


def _option(prompt: str, name: str, pattern: str, default: str) -> str:
    found = re.search(rf"\b{name}=({pattern})", prompt)
    return found.group(1) if found else default


def _has_word(prompt: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", prompt) is not None
