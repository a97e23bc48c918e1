"""The agent of a turn: how it talks to the model, and which Stops it hears.

Between a turn's start and the moment it listens, a Stop is lost on it (F13). While it opens its
request to the model, one Stop makes it lose hold of that request, which then runs on, unseen, and
only a second one makes it let go (F16). Afterwards a Stop ends it.
"""

import asyncio
import time

from proxy.demo.habits import Mode
from proxy.demo.ledger import Ledger, ModelEnd, ModelRequest
from proxy.demo.reports import metering, tool_data
from proxy.demo.script import read_script
from proxy.demo.sessions import Spawn, Turn
from proxy.demo.world import World

METERING_INTERVAL = 0.1
"""Seconds between two ``metering`` events, at least."""
ENOUGH_STOPS = 2
"""So many Stops while a request is being opened are heard."""


class StopHeardError(Exception):
    """The agent was stopped, and knows it."""


class Agent:
    """Talks to the model for one turn.

    Args:
        world: What Hermes knows.
        turn: Whose words it brings.
        ledger: Where the model's own log is kept.
        spawn: Runs what goes on without the agent.
        deaf: Seconds from now in which a Stop is lost on it.
    """

    def __init__(self, world: World, turn: Turn, ledger: Ledger, spawn: Spawn, deaf: float) -> None:
        self._world = world
        self._turn = turn
        self._ledger = ledger
        self._spawn = spawn
        self._script = read_script(turn.prompt, world.pace)
        self._die_after = world.faults.die_after
        now = self._metered_at = time.monotonic()
        self._listens_at = now + deaf
        self._first_word_at = now + max(deaf, self._script.first)
        self._request: ModelRequest | None = None
        self._lost_hold = False
        self._said = 0

    async def run(self) -> bool:
        """The whole talk; whether the model said all that it had to.

        Raises:
            StopHeardError: a Stop has ended it.
        """
        if time.monotonic() < self._listens_at:
            await self._pause(self._listens_at - time.monotonic())
        self._listen()
        await self._open_request()
        await self._sit_out(self._first_word_at - time.monotonic())
        if self._script.tool is not None:
            await self._use_tool(self._script.tool)
        return await self._speak()

    def _listen(self) -> None:
        self._turn.listens = True
        session = self._turn.session
        session.has_agent = self._world.mode is Mode.LOCAL
        session.updated_at = self._world.clock()

    async def ask_again(self) -> bool:
        """It comes back, and only a Stop from now on ends it; whether the model said all that it had to.

        Raises:
            StopHeardError: a Stop has ended it.
        """
        self._listens_at = time.monotonic()
        self._lost_hold = False
        self._ask()
        await self._sit_out(self._first_word_at - time.monotonic())
        return await self._speak()

    async def _open_request(self) -> None:
        window = self._world.pace.opening
        if not window:
            self._ask()
            return
        early = await self._stops_within(window / 2, ENOUGH_STOPS)
        if early < ENOUGH_STOPS:
            self._ask()
        stops = early + await self._stops_within(window / 2, ENOUGH_STOPS - early)
        self._lost_hold = stops == 1
        if stops:
            raise StopHeardError

    async def _stops_within(self, seconds: float, limit: int) -> int:
        end, stops = time.monotonic() + seconds, 0
        while stops < limit and await self._hears_stop(end - time.monotonic()):
            stops += 1
        return stops

    async def _speak(self) -> bool:
        for index in range(self._said, self._script.tokens):
            if self._die_after is not None and index >= self._die_after:
                self._close(ModelEnd.BROKEN_OFF)
                return False
            self._say_next(self._turn)
            await self._pause(self._script.pause(index))
        self._close(ModelEnd.DONE)
        return True

    async def _use_tool(self, seconds: float) -> None:
        """The first request ends with the call of a tool, whose result the second one brings (F18)."""
        turn, tag = self._turn, self._script.tag
        self._say(turn, f"{tag}calls ")
        turn.put("interim_assistant", {"text": f"{tag}calls", "already_streamed": True})
        self._close(ModelEnd.DONE)
        phase, turn.phase = turn.phase, self._world.tool_phase
        turn.tool_result = f"slept{tag}"
        turn.put("tool", tool_data("started", seconds, tag))
        await self._sit_out(seconds)
        turn.put("tool_complete", tool_data("completed", seconds, tag))
        turn.phase = phase
        self._ask()
        for text in turn.take_steers():
            self._say(turn, f"steered:{text} ")

    def _say_next(self, heard_on: Turn) -> None:
        self._say(heard_on, self._script.token(self._said))
        self._said += 1

    def _say(self, heard_on: Turn, text: str) -> None:
        self._turn.spoken.append(text)
        heard_on.put("token", {"text": text})
        if self._world.mode is Mode.RUNNER:
            return
        if time.monotonic() - self._metered_at >= METERING_INTERVAL:
            self._metered_at = time.monotonic()
            heard_on.put("metering", metering(self._turn, self._world, with_usage=True))

    async def leak_into(self, heir: Turn) -> None:
        """F1: the next turn cleared the interrupt, so this agent goes on, on its stream."""
        while self._said < self._script.tokens:
            self._say_next(heir)
            await asyncio.sleep(self._script.delay)
        heir.put("reasoning", {"text": "".join(self._turn.spoken).strip()})
        self._close(ModelEnd.DONE)

    def leave(self) -> None:
        """The worker goes; the request it leaves ends now, at its first word, or by itself (F16)."""
        request, self._request = self._request, None
        if request is None:
            return
        silence = max(0.0, self._first_word_at - time.monotonic())
        if self._lost_hold:
            rest = silence + self._script.seconds_left(self._said)
            self._spawn(self._close_later(request, rest, ModelEnd.DONE))
        elif silence:
            self._spawn(self._close_later(request, silence, ModelEnd.BROKEN_OFF))
        else:
            self._ledger.model_answered(request, ModelEnd.BROKEN_OFF)

    def _ask(self) -> None:
        self._request = self._ledger.model_asked(self._turn.stream_id, self._turn.session.session_id)

    def _close(self, end: ModelEnd) -> None:
        if self._request:
            self._ledger.model_answered(self._request, end)

    async def _close_later(self, request: ModelRequest, seconds: float, end: ModelEnd) -> None:
        await asyncio.sleep(seconds)
        self._ledger.model_answered(request, end)

    async def _sit_out(self, seconds: float) -> None:
        """Waits for a word or a tool; a gateway's agent hears a Stop only after that (F19)."""
        if self._world.mode is Mode.GATEWAY:
            await asyncio.sleep(seconds)
            seconds = 0
        await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        if await self._hears_stop(seconds):
            raise StopHeardError

    async def _hears_stop(self, within: float) -> bool:
        turn = self._turn
        try:
            async with asyncio.timeout(within):
                while True:
                    await turn.stops.wait()
                    turn.stops.clear()
                    if turn.last_stop_at >= self._listens_at:
                        return True
        except TimeoutError:
            return False
