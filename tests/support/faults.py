"""A bad network, on the loopback interface: a TCP proxy that does to each connection what its fault says."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from proxy.http.sockets import reset_on_close

PIECE = 16_384
NOISE = 512
CONNECTING = 5.0
"""Seconds; what is behind it listens on the loopback interface."""


@dataclass(frozen=True)
class Fault:
    """What is done to one connection, on the way there and on the way back.

    Attributes:
        delay: Seconds by which every piece is late. Connections that differ in it overtake one another.
        jitter: Seconds more, drawn for every piece; within a connection nothing is reordered, as TCP has it.
        rate: Bytes a second that pass; 0 for no limit.
        piece: Most bytes that pass at once; 1 is a drip.
        cut_after: Bytes of what comes back after which it is cut, in the middle of whatever that is.
        reset: It is cut by RST, not FIN.
        stuck_after: Bytes of what comes back after which it is half-open: nothing passes, nobody is told.
        noise: Both sides are told noise in place of each other's words, and then it ends.
    """

    delay: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    piece: int = PIECE
    cut_after: int | None = None
    reset: bool = False
    stuck_after: int | None = None
    noise: bool = False


NONE = Fault()

Choose = Callable[[random.Random], Fault]


def any_fault(chance: random.Random) -> Fault:
    """One of every kind, or none: about half of the connections are left in peace."""
    kinds: tuple[Callable[[], Fault], ...] = (
        lambda: Fault(delay=chance.uniform(0.0, 0.1)),
        lambda: Fault(jitter=chance.uniform(0.0, 0.05)),
        lambda: Fault(rate=chance.uniform(500.0, 2000.0), piece=chance.choice((1, 7, 64))),
        lambda: Fault(rate=chance.uniform(4096.0, 65_536.0)),
        lambda: Fault(cut_after=chance.randrange(3000), reset=chance.random() < 0.5),
        lambda: Fault(stuck_after=chance.randrange(3000)),
        lambda: Fault(noise=True),
    )
    return chance.choice(kinds)() if chance.random() < 0.5 else NONE


class FaultyNetwork:
    """Listens, and passes every connection on to `port`, with a fault.

    Args:
        port: Of what is behind it, on the loopback interface.
        seed: Of the generator that every connection's fault, and its course, are drawn from.
        choose: Draws the fault of a new connection; assign another at any time.

    Attributes:
        connections: How many there were.
    """

    def __init__(self, port: int, seed: int, choose: Choose = any_fault) -> None:
        self.choose = choose
        self.connections = 0
        self._behind = port
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop()
        await self._server.wait_closed()

    async def drop(self) -> None:
        """Ends every connection there is, as a router does that was switched off and on."""
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not [end for end in ends if isinstance(end, Exception)]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        chance = random.Random(self._chance.random())  # noqa: S311 - nor here
        task = asyncio.create_task(self._serve(reader, writer, self.choose(chance), chance))
        self._tasks.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():  # perhaps before its first step
                _end(writer, by_reset=True)

        task.add_done_callback(forget)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault, chance: random.Random
    ) -> None:
        try:
            async with asyncio.timeout(CONNECTING):
                behind, to_behind = await asyncio.open_connection("127.0.0.1", self._behind)
        except (OSError, TimeoutError):
            _end(writer, by_reset=True)
            return
        by_reset = True
        try:
            by_reset = await _pass(_Way(reader, to_behind, fault, chance), _Way(behind, writer, fault, chance))
        finally:
            _end(writer, by_reset=by_reset)
            _end(to_behind, by_reset=by_reset)


class _Cut(Exception):  # noqa: N818 - not an error: what was asked for
    """It is to be cut here."""


@dataclass
class _Way:
    """One direction of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fault: Fault
    chance: random.Random
    passed: int = 0

    async def carry(self) -> None:
        """Passes on until the end that one side says or meets."""
        while piece := await self.reader.read(self.fault.piece):
            await asyncio.sleep(self._late(len(piece)))
            self.writer.write(piece)
            await self.writer.drain()

    async def carry_back(self) -> None:
        """The same, with what goes by what came back.

        Raises:
            _Cut: so many bytes have come back.
        """
        while piece := await self.reader.read(self.fault.piece):
            if _is_spent(self.fault.stuck_after, self.passed):
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(self._late(len(piece)))
            left = piece if self.fault.cut_after is None else piece[: self.fault.cut_after - self.passed]
            self.writer.write(left)
            await self.writer.drain()
            self.passed += len(left)
            if _is_spent(self.fault.cut_after, self.passed):
                raise _Cut

    async def disturb(self) -> None:
        """Tells its reader something else."""
        self.writer.write(self.chance.randbytes(NOISE) + b"\r\n\r\n")
        await self.writer.drain()

    def _late(self, count: int) -> float:
        spread = self.fault.jitter * self.chance.random()
        return self.fault.delay + spread + (count / self.fault.rate if self.fault.rate else 0.0)


def _is_spent(limit: int | None, passed: int) -> bool:
    return limit is not None and passed >= limit


async def _pass(there: _Way, back: _Way) -> bool:
    """Passes on both ways until either ends, as the fault has it; whether it was by a reset."""
    fault = there.fault
    if fault.noise:
        await there.reader.read(1)
        await asyncio.gather(there.disturb(), back.disturb(), return_exceptions=True)
        return False
    ways = {asyncio.create_task(there.carry()), asyncio.create_task(back.carry_back())}
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if fault.stuck_after is not None and _is_spent(fault.stuck_after, back.passed):
            await asyncio.wait(ways)
        return fault.reset or any(isinstance(way.exception(), OSError) for way in done)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


def _end(writer: asyncio.StreamWriter, *, by_reset: bool) -> None:
    if by_reset:
        if not writer.is_closing():
            reset_on_close(writer.transport)
        writer.transport.abort()
    else:
        writer.close()
