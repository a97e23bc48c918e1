"""The least that a relay in Python costs: bytes go from one connection to the other, and nothing else happens.

Each connection of a browser has its own connection to the backend. No HTTP is parsed, nothing is decided, nothing is
logged. This is the cost of Python, uvloop and the kernel; what our proxy costs beyond it is the cost of our own code.
"""

import asyncio
from typing import cast

import click
import uvloop

from tests.bench.backend import BACKLOG


class _End(asyncio.Protocol):
    """One of the two connections. What is read from it is written to the other one."""

    other: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are of a class of their own

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.close()


class _Browser(asyncio.Protocol):
    """A browser's connection until the backend's is there. An `_End` takes over then, with what came meanwhile."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joining = asyncio.create_task(self._join(cast("asyncio.Transport", transport)))

    def data_received(self, data: bytes) -> None:
        self._early += data

    async def _join(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        backend, answers = await loop.create_connection(_End, "127.0.0.1", self._upstream)
        questions = _End()
        questions.connection_made(transport)
        questions.other, answers.other = backend, transport
        if transport.is_closing():
            backend.close()
            return
        transport.set_protocol(questions)
        backend.write(self._early)


async def relay(upstream: int, port: int) -> None:
    """Relay every connection, until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Browser(upstream), "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


@click.command()
@click.option("--upstream", required=True, type=int)
@click.option("--port", required=True, type=int)
def main(upstream: int, port: int) -> None:
    """Relay from the one port to the other."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(relay(upstream, port))


if __name__ == "__main__":
    main()
