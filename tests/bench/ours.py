"""This project's proxy as a contender: as it is served, or without its guard.

Its lanes are as wide as the benchmark asks for; the settings allow no more than Hermes' 128 threads can carry (F7).
"""

import asyncio
from collections.abc import Callable

import click
import uvloop
from aiohttp import web

from proxy.app import serve
from proxy.config import AdminSettings, ListenSettings, Settings
from proxy.http.forward import forward
from proxy.http.lanes import Lane, Lanes
from proxy.http.origin import Origin
from proxy.http.request import Request
from proxy.http.server import Server, listen
from proxy.http.upstream import Upstream

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def guarded(upstream: str, port: int, relays: int) -> None:
    """The proxy as `hermes-stream-guard serve` runs it."""
    settings = Settings(listen=ListenSettings(port=port), admin=AdminSettings(port=0))
    lanes = settings.upstream.lanes.model_copy(update={"relays": relays})
    hermes = settings.upstream.model_copy(update={"url": upstream, "lanes": lanes})
    wide = settings.model_copy(update={"upstream": hermes})
    await serve(wide, load=lambda: wide)


async def unguarded(upstream: str, port: int, relays: int) -> None:
    """The same connections, parsers and writers, with nobody looking at what passes."""
    backend = Upstream(Origin.parse(upstream), Lanes(dict.fromkeys(Lane, relays)))

    async def pass_on(request: Request) -> web.StreamResponse:
        is_stream = "event-stream" in request.headers.get("Accept", "")
        return await forward(request, backend, Lane.RELAYS if is_stream else Lane.CALLS)

    listener = await listen(Server(pass_on), "127.0.0.1", port)
    await listener.serve_forever()


@click.command()
@click.option("--upstream", required=True)
@click.option("--port", required=True, type=int)
@click.option("--relays", required=True, type=int)
@click.option("--loop", required=True, type=click.Choice(tuple(LOOPS)))
@click.option("--guard/--no-guard", required=True)
def main(upstream: str, port: int, relays: int, loop: str, *, guard: bool) -> None:
    run = guarded if guard else unguarded
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(run(upstream, port, relays))


if __name__ == "__main__":
    main()
