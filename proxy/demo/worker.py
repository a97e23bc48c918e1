"""The worker of a turn: how Hermes begins, ends, cancels and spoils it."""

import asyncio
import contextlib
from typing import Any

from proxy.demo.agent import Agent, StopHeardError
from proxy.demo.habits import Fate
from proxy.demo.reports import cancel_data, describe, metering, usage
from proxy.demo.script import read_script
from proxy.demo.sessions import Turn
from proxy.demo.world import World

_NO_RESPONSE = {
    "message": "No response from provider.",
    "type": "no_response",
    "hint": "The provider returned no content and no error. Try again in a moment.",
    "details": "No response from provider.",
}


class Worker:
    """Runs one turn to its end, whatever end that is."""

    def __init__(self, world: World, turn: Turn, agent: Agent) -> None:
        self._world = world
        self._turn = turn
        self._agent = agent
        self._script = read_script(turn.prompt, world.pace)

    async def run(self) -> None:
        """The whole of a turn; cancelled only when the backend closes."""
        turn = self._turn
        prefill = {"status": "not_configured", "source": "none", "label": "", "message_count": 0}
        turn.put("context_status", {"session_id": turn.session.session_id, "prefill": prefill})
        await asyncio.sleep(0)
        if turn.fate in {Fate.LEAK, Fate.SILENCE}:
            await self._die_of_the_elder()
        elif await self._talk():
            await self._finish()
        self._world.end_worker(turn)

    async def _die_of_the_elder(self) -> None:
        """F1: the cancelled turn's interrupt reaches this one as well."""
        await asyncio.sleep(self._world.pace.spoil)
        if self._turn.fate is Fate.LEAK:
            self._turn.put("apperror", _NO_RESPONSE)
            self._turn.session.say("assistant", "**No response from provider:**", _error=True)
            await asyncio.sleep(0)

    async def _talk(self) -> bool:
        """The agent's talk with the model; whether the turn is to be finished properly."""
        turn, complete = self._turn, False
        if turn.fate is Fate.UNFINISHED:
            turn.session.settle()
        with contextlib.suppress(StopHeardError):
            complete = await self._run_agent()
        if turn.cancelled:
            await self._unwind()
            return False
        return complete and turn.fate is not Fate.UNFINISHED

    async def _run_agent(self) -> bool:
        try:
            return await self._agent.run()
        except StopHeardError:
            if not self._world.faults.comes_back:
                raise
        await asyncio.sleep(self._world.pace.unwind)
        self._agent.leave()
        return await self._agent.ask_again()

    async def _unwind(self) -> None:
        """The end of a cancelled turn, whether it heard of that (F13) or not."""
        await self._world.until_unhung()
        await self._wind_down()
        if self._turn.heir:
            await self._agent.leak_into(self._turn.heir)
        self._agent.leave()
        if self._turn.session.active_stream_id == self._turn.stream_id:
            self._world.write_cancel(self._turn)
        self._write_late()
        if not self._world.faults.mute_cancel:
            self._turn.put("cancel", cancel_data(self._turn, self._world, with_session=False))

    async def _wind_down(self) -> None:
        """At the very end nobody is left who would hear a further Stop, and it stays where it is."""
        pace, turn = self._world.pace, self._turn
        await asyncio.sleep(pace.unwind - pace.tail)
        turn.stops.clear()
        await asyncio.sleep(pace.tail)
        turn.session.poisoned = bool(pace.tail) and turn.stops.is_set()

    def _write_late(self) -> None:
        """F17: what was taken out of the session since the Stop is put back, but for the question.

        A tool's result comes without the call that it belongs to.
        """
        turn, session = self._turn, self._turn.session
        gone = [said for said in turn.written if not any(said is kept for kept in session.messages)]
        if gone and turn.tool_result:
            session.say("tool", turn.tool_result)
        session.messages.extend(said for said in reversed(gone) if said["role"] != "user")

    async def _finish(self) -> None:
        turn, answer = self._turn, "".join(self._turn.spoken).strip()
        if self._script.fails:
            turn.put("apperror", {"message": "Provider failed.", "type": "error", "hint": "Try again."})
            return
        turn.session.say("user", turn.prompt)
        turn.session.say("assistant", answer, finish_reason="stop")
        if self._script.compresses:
            self._compress()
        if turn.task:
            result = {"task_id": turn.task.task_id, "prompt": turn.prompt, "answer": answer}
            turn.task.results.append({**result, "completed_at": self._world.clock()})
        needs_title = not (turn.session.title_generated or turn.task)
        turn.session.settle()
        self._tell_leftover()
        turn.put("done", self._done_data(answer))
        await asyncio.sleep(0)
        if turn.ephemeral:  # F6: nothing closes a btw stream
            self._world.sessions.pop(turn.session.session_id, None)
            return
        turn.put("metering", metering(turn, self._world, with_usage=False))
        self._world.end_worker(turn)
        if not self._world.faults.mute_end:
            await self._end_stream(with_title=needs_title)

    def _tell_leftover(self) -> None:
        """F18: no tool came after it, so the model never saw it."""
        left = "\n".join(self._turn.take_steers())
        if left and self._world.faults.tells_leftover:
            self._turn.put("pending_steer_leftover", {"session_id": self._turn.session.session_id, "text": left})

    async def _end_stream(self, *, with_title: bool) -> None:
        turn, session = self._turn, self._turn.session
        if with_title:
            session.title = f"title {self._script.tag}"
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
        turn.put("compressed", {**moved, "message": message, "usage": usage(self._world)})

    def _done_data(self, answer: str) -> dict[str, Any]:
        session = self._turn.session
        if self._turn.ephemeral:
            past = {"session_id": session.session_id, "messages": list(session.messages)}
            nothing = {"input_tokens": 0, "output_tokens": 0}
            return {"session": past, "usage": nothing, "ephemeral": True, "answer": answer}
        return {"session": describe(session, self._world), "usage": usage(self._world)}
