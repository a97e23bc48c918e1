"""This project's proxy as a contender: as it is served, or without its guard.

Its lanes are as wide as the benchmark asks for; the settings allow no more than Hermes' 128 threads can carry (F7).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import click
import uvloop

from proxy.app import serve
from proxy.config import AdminSettings, ListenSettings, Settings
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response
from proxy.http.downstream.server import Server, listen
from proxy.http.forward import forward
from proxy.http.headers import values
from proxy.http.upstream.lanes import Lane, Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream
from tests.bench.contenders import LEVEL

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def guarded(upstream: str, port: int, relays: int) -> None:
    """The proxy as `hermes-stream-guard serve` runs it: with its access log, whose lines go to standard error."""
    settings = Settings(listen=ListenSettings(port=port), admin=AdminSettings(port=0))
    lanes = settings.upstream.lanes.model_copy(update={"relays": relays})
    hermes = settings.upstream.model_copy(update={"url": upstream, "lanes": lanes})
    wide = settings.model_copy(update={"upstream": hermes})
    await serve(wide, load=lambda: _reloaded(wide))


def _reloaded(settings: Settings) -> Settings:
    level = Path(LEVEL).read_text() if Path(LEVEL).exists() else settings.log.level
    return settings.model_copy(update={"log": settings.log.model_copy(update={"level": level})})


async def unguarded(upstream: str, port: int, relays: int) -> None:
    """The same connections, parsers and writers, with nobody looking at what passes."""
    backend = Upstream(Origin.parse(upstream), Lanes(dict.fromkeys(Lane, relays)))

    async def pass_on(request: Request) -> Response:
        is_stream = b"event-stream" in b"".join(values(request.raw_headers, b"accept"))
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
