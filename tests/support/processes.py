"""Commands that run in processes of their own."""

import asyncio
import contextlib
import json
import signal

from tests.support.lab import PATIENCE

STARTING = 30.0
"""Seconds in which a process has begun, on however busy a machine."""

ON_ASYNCIO = "import sys; sys.modules['uvloop'] = None; from proxy.cli import main; main()"
ON_UVLOOP = "from proxy.cli import main; main()"


class Process:
    """A command in a process of its own, and what it says on stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._heard = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    @property
    def url(self) -> str:
        return next(line.rpartition(" on ")[2] for line in self.said if line.startswith("guarding "))

    def logged(self, event: str) -> list[dict[str, object]]:
        """What it logged of that name."""
        lines = [json.loads(line) for line in self.said if line.startswith("{")]
        return [line for line in lines if event in line["event"]]

    async def says(self, text: str) -> None:
        async with asyncio.timeout(STARTING):
            while not any(text in line for line in self.said):
                self._heard.clear()
                await self._heard.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode().rstrip())
            self._heard.set()

    async def end(self) -> None:
        """Kills it, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self.reading
