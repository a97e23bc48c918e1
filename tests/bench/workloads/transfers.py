"""A hundred megabytes down, and up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.measuring import KIB, Cell, Keep, Meter
from tests.bench.payload import SIZE, Payload

DOWNLOAD, UPLOAD = "100 MB download", "100 MB upload"
_MIB = KIB * KIB
_MB = 1_000_000
_TIMES = 3
"""How often the file goes each way; once is too short to be measured well."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """One file some times, each on a connection of its own, one after another and as fast as it goes.

    Attributes:
        relays: Width of the lane for streams.
    """

    relays: int
    name: str = "transfers"

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        async def download(caller: Caller) -> Payload:
            return await caller.download("/api/file/raw")

        async def upload(caller: Caller) -> Payload:
            await caller.upload("/api/upload")
            return backend.uploaded

        keep(await _measure(DOWNLOAD, target, download))
        keep(await _measure(UPLOAD, target, upload))


async def _measure(name: str, target: Target, transfer: Callable[[Caller], Awaitable[Payload]]) -> Cell:
    callers = [await Caller.connect(target.port) for _ in range(_TIMES)]
    if target.processes is not None:
        target.processes.forget_peak()
    meter = Meter(target)
    arrived = [await transfer(caller) for caller in callers]
    values = meter.per("MB", _TIMES * SIZE // _MB)
    for caller in callers:
        caller.close()
    if target.processes is not None:
        values["peak RSS MiB"] = target.processes.peak() / _MIB
    broken = [payload for payload in arrived if not payload.complete]
    return Cell(name, values, [f"{payload.size} bytes of {SIZE} arrived, or not the same ones" for payload in broken])
