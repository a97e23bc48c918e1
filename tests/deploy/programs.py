"""Programs of this machine that a test needs, and what becomes of them."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 15.0
PLACES = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
"""The environment's own programs first; Debian puts servers where only root's PATH leads."""


def need(program: str) -> str:
    """Where `program` is. Someone without it still gets every other test; CI has no such excuse."""
    path = shutil.which(program, path=PLACES)
    if path is None and "CI" not in os.environ:
        pytest.skip(f"there is no {program} here")
    assert path is not None, f"there is no {program} here"
    return path


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[int, str]:
    """How a command ends, and all that it says."""
    done = subprocess.run(  # noqa: S603 - the tests' own words
        command,
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


@dataclass
class Child:
    """A program that runs beside the test; what it says is in `log`."""

    process: asyncio.subprocess.Process
    log: Path

    async def until_it_listens(self, port: int) -> None:
        """Waits until somebody can connect to it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.process.returncode is None, f"it has ended:\n{self.log.read_text()}"
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Tells it to end, and waits until it has."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()


@contextlib.asynccontextmanager
async def child(log: Path, *command: str | Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """Runs a program for as long as the context lasts, and writes to `log` what it says."""
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=sink, stderr=sink)
    running = Child(process, log)
    try:
        yield running
    finally:
        await running.end()
