"""Measuring every contender in turn, round after round."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from itertools import groupby

from tests.bench.backend import Backend, backend
from tests.bench.contenders import Contender, Target
from tests.bench.measuring import Cell, Workload
from tests.bench.results import Result

_LONGEST = 90.0
"""Seconds after which one contender's turn at one workload is broken off."""


async def run(
    contenders: Sequence[Contender], workloads: Sequence[Workload], rounds: int, say: Callable[[str], None]
) -> list[Result]:
    """Every cell of every round. Within a round the contenders take turns at each workload; each is first once.

    Raises:
        StartError: a contender does not start.
    """
    results = []
    async with backend() as held:
        for number in range(rounds):
            first = number % len(contenders)
            order = [*contenders[first:], *contenders[:first]]
            async with aclosing(_turns(order, workloads, held.port)) as turns:
                async for workload, target in turns:
                    say(f"round {number + 1} of {rounds}, {workload.name}: {target.name}")
                    cells = await _measure(workload, target, held)
                    results += [Result(number, workload.name, target.name, cell) for cell in cells]
    return results


async def _turns(
    contenders: Sequence[Contender], workloads: Sequence[Workload], upstream: int
) -> AsyncGenerator[tuple[Workload, Target], None]:
    """Who is to be measured by what; the contenders run for as long as workloads want them to carry as much."""
    for relays, group in groupby(workloads, key=lambda workload: workload.relays):
        async with _all_started(contenders, upstream, relays) as targets:
            for workload in group:
                for target in targets:
                    yield workload, target


@asynccontextmanager
async def _all_started(contenders: Sequence[Contender], upstream: int, relays: int) -> AsyncIterator[list[Target]]:
    async with AsyncExitStack() as stack:
        starts = (stack.enter_async_context(contender.started(upstream, relays)) for contender in contenders)
        yield [await start for start in starts]


async def _measure(workload: Workload, target: Target, held: Backend) -> list[Cell]:
    """The cells that could be taken; what kept the others from it is the last one's fault."""
    held.reset()
    gc.collect()
    cells: list[Cell] = []
    try:
        async with asyncio.timeout(_LONGEST):
            await workload.run(target, held, cells.append)
    except (OSError, TimeoutError, ExceptionGroup) as error:
        cells.append(Cell(workload.name, {}, [f"broken off: {error!r}"]))
    return cells
