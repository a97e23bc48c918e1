"""What the proxy costs beside no proxy, and beside a naive one, in the same run.

Run it with `python tests/bench/bench_relay.py`. The backend and the proxies are processes of their own, and take turns.
Where the machine has other work, their processor time says more than the clock; `direct` is then the backend's.
"""

import asyncio
import contextlib
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Coroutine
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from proxy.app import running
from proxy.config import ListenSettings, Settings, UpstreamSettings

ROUNDS = 3
STREAMS = 50
PACE, PACED, FLOOD = 0.02, 100, 1000  # seconds between two frames, and frames a stream
CALLS, CALLERS = 2000, 20
SSE = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: title\ndata: {"session_id": "s"}\n\n'
CALL = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\r\n{"ok":true}'

T = TypeVar("T")
Serve = Callable[[str, Callable[[str], None]], Coroutine[Any, Any, None]]


async def backend(_upstream: str, started: Callable[[str], None]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while b"/api/chat/stream" not in (head := await reader.readuntil(b"\r\n\r\n")):
                writer.write(CALL)
            await stream(writer, *((PACE, PACED) if b"paced" in head else (0.0, FLOOD)))
        writer.close()

    async def stream(writer: asyncio.StreamWriter, pace: float, frames: int) -> None:
        writer.write(SSE)
        for _ in range(frames):
            writer.write(b'id: x:1\nevent: token\ndata: {"text": "A1 ", "at": %.6f}\n\n' % time.monotonic())
            await writer.drain()
            await asyncio.sleep(pace)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=256)
    started(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


async def guard(upstream: str, started: Callable[[str], None]) -> None:
    settings = Settings(listen=ListenSettings(port=0), upstream=UpstreamSettings(url=upstream))
    async with running(settings, lambda _event, /, **_fields: None) as proxy:
        started(proxy.url)
        await asyncio.Event().wait()


async def naive(upstream: str, started: Callable[[str], None]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            async with session.request(request.method, upstream + request.path_qs, data=request.content) as answer:
                response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response

        server = await asyncio.get_running_loop().create_server(web.Server(forward), "127.0.0.1", 0, backlog=256)
        started(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()


async def watch(port: int, query: str) -> list[float]:
    """Seconds that each frame of one stream was under way; HTTP/1.0, so that no chunk splits one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/chat/stream?stream_id={query} HTTP/1.0\r\nHost: hermes\r\n\r\n".encode())
    delays, rest = [], b""
    while data := await reader.read(65_536):
        whole, _, rest = (rest + data).rpartition(b"\n\n")
        now = time.monotonic()
        delays += [now - float(at) for at in re.findall(rb'"at": ([\d.]+)', whole)]
    writer.close()
    return delays


async def call(port: int, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(b"GET /api/auth/status HTTP/1.1\r\nHost: hermes\r\n\r\n")
        await reader.readuntil(b'{"ok":true}')
    writer.close()


def cpu(process: int) -> float:
    """Seconds of processor time that it took so far (proc(5))."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


async def timed(process: int, *works: Coroutine[Any, Any, T]) -> tuple[list[T], float, float]:
    """What the works done at once gave, the seconds that they took, and those that the process worked."""
    begun, worked = time.monotonic(), cpu(process)
    done = await asyncio.gather(*works)
    return done, time.monotonic() - begun, cpu(process) - worked


async def measure(process: int, port: int) -> dict[str, float]:
    paced, _, working = await timed(process, *(watch(port, f"paced{n}") for n in range(STREAMS)))
    _, flooded, _ = await timed(process, *(watch(port, f"flood{n}") for n in range(STREAMS)))
    _, called, calling = await timed(process, *(call(port, CALLS // CALLERS) for _ in range(CALLERS)))
    delays = sorted(chain.from_iterable(paced))
    return {
        "p50 ms/frame": delays[len(delays) // 2] * 1e3,
        "p99 ms/frame": delays[len(delays) * 99 // 100] * 1e3,
        "CPU us/frame": working / len(delays) * 1e6,
        "frames/s": STREAMS * FLOOD / flooded,
        "CPU us/call": calling / CALLS * 1e6,
        "calls/s": CALLS / called,
    }


def play(serve: Serve, upstream: str, pipe: Connection) -> None:
    asyncio.run(serve(upstream, pipe.send))


def begin(serve: Serve, upstream: str = "") -> tuple[int, str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=play, args=(serve, upstream, theirs), daemon=True)
    process.start()
    return process.pid or 0, str(ours.recv())


if __name__ == "__main__":
    direct = begin(backend)
    served = {"direct": direct, "naive": begin(naive, direct[1]), "guard": begin(guard, direct[1])}
    ports = {who: (process, int(url.rpartition(":")[2])) for who, (process, url) in served.items()}
    runs = [{who: asyncio.run(measure(*port)) for who, port in ports.items()} for _ in range(ROUNDS)]
    for what in runs[0]["direct"]:
        said = {who: statistics.median(run[who][what] for run in runs) for who in served}
        ratios = f"{said['guard'] / said['direct']:.2f} of direct, {said['guard'] / said['naive']:.2f} of naive"
        print(f"{what:13}" + "".join(f"{who} {value:9.2f}  " for who, value in said.items()) + ratios)  # noqa: T201
