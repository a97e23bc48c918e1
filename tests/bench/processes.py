"""A contender's processes: where they run, what they cost, and their end."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_KIB = 1024
_ENDING = 5.0
"""Seconds that a contender is given to end when it is asked to."""

_CORES = sorted(os.sched_getaffinity(0))
INSTRUMENT_CORE, CONTENDER_CORE = _CORES[0], _CORES[-1]
"""The load generator and the backend share one core, and every contender has the other to itself."""


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This thread, and what it starts meanwhile, on that core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class StartError(Exception):
    """A contender does not run."""


class Processes:
    """A contender's process and its descendants.

    Args:
        argv: What to run.
        folder: Its working directory, which its output goes to as well.
        environment: Variables to set, beside this process's own.

    Attributes:
        folder: As above.
    """

    def __init__(self, argv: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._program = argv[0]
        self._output = folder / "output"
        self._lines = self._read = 0
        with on_core(CONTENDER_CORE), self._output.open("wb") as output:
            self._root = subprocess.Popen(  # noqa: S603 - a contender's own command line
                argv, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
            )

    async def until_it_listens(self, port: int, patience: float) -> None:
        """Wait until it takes connections.

        Raises:
            StartError: it ended, or does not listen in so many seconds.
        """
        deadline = time.monotonic() + patience
        while self._root.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        said = self._output.read_text(errors="replace")[-2000:]
        raise StartError(f"{self._program} does not listen on port {port}; it said: {said}")

    def lines(self) -> int:
        """How many lines it has written so far, to its standard output and error."""
        with self._output.open("rb") as output:
            output.seek(self._read)
            new = output.read()
        self._read += len(new)
        self._lines += new.count(b"\n")
        return self._lines

    def reload(self) -> None:
        """Have it read its settings again."""
        self._root.send_signal(signal.SIGHUP)

    def cpu(self) -> int:
        """Nanoseconds of processor time so far, those of threads that have ended included."""
        return sum(time.clock_gettime_ns(_cpu_clock(pid)) for pid in self._tree())

    def kept_waiting(self) -> int:
        """Nanoseconds that its threads were ready to run and did not."""
        return sum(waited(pid) for pid in self._tree())

    def private(self) -> int:
        """Bytes of memory that are theirs alone."""
        return sum(_field(f"/proc/{pid}/smaps_rollup", "Private_Dirty") for pid in self._tree())

    def forget_peak(self) -> None:
        """Measure the peak from now on (proc(5), clear_refs)."""
        for pid in self._tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Bytes of memory that were resident at most."""
        return sum(_field(f"/proc/{pid}/status", "VmHWM") for pid in self._tree())

    def end(self) -> None:
        """Ask it to end, and see to it."""
        self._root.terminate()
        try:
            self._root.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._root.kill()
            self._root.wait()

    def _tree(self) -> Iterator[int]:
        waiting = [self._root.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, children.read_text().split())


def _cpu_clock(pid: int) -> int:
    """The clock of another process's processor time, as clock_getcpuclockid(3) makes it of a process id."""
    return ~pid << 3 | 2


def waited(pid: int) -> int:
    """Nanoseconds that a process's threads have waited for a core so far (proc(5), schedstat)."""
    return sum(int(stat.read_text().split()[1]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _field(file: str, name: str) -> int:
    """A field of a file of proc(5) that is given in kilobytes, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE)
    return int(found[1]) * _KIB if found else 0
