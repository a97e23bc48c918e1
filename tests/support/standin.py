"""The embedded backend as a process: `python -m tests.support.standin PORT`, where 0 is any free one."""

import asyncio
import sys

from proxy.demo import Backend
from proxy.demo.sessions import Session
from tests.support.lab import FAST

KEPT = "kept"
"""A session that outlives the process, as Hermes keeps them on its disk."""


async def main(port: int) -> None:
    backend = Backend(pace=FAST, heartbeat=0.3)
    backend.world.sessions[KEPT] = Session(KEPT, backend.world.clock())
    await backend.start(port=port)
    sys.stderr.write(f"listening on {backend.port}\n")
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
