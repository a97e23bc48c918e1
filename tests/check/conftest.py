"""What a check looks at: the embedded backend, and servers that answer as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress

import pytest

Serve = Callable[..., Awaitable[str]]

SERVER = "HermesWebUI/0.52.262 Python/3.12.1"


def http(status: int, body: bytes = b"", *fields: str, kind: str = "application/json", server: str = SERVER) -> bytes:
    """A whole answer, as Hermes frames it."""
    head = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *fields]
    head += [f"Server: {server}"] if server else []
    return "\r\n".join([*head, "", ""]).encode() + body


def said(status: int = 200, *fields: str, **content: object) -> bytes:
    """A whole JSON answer."""
    return http(status, json.dumps(content).encode(), *fields)


def stream(first: bytes = b"event: initial\ndata: {}\n\n", *fields: str) -> bytes:
    """The beginning of an event stream, which stays open."""
    head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", f"Server: {SERVER}", *fields, "", ""]
    return "\r\n".join(head).encode() + first


HERMES: dict[str, bytes] = {
    "GET /health": said(runs=[], uptime_seconds=1, server_started_at=1),
    "GET /api/auth/status": said(auth_enabled=False, logged_in=False, oidc_enabled=False),
    "POST /api/chat/start": said(400, error="Missing required field(s): session_id"),
    "GET /api/chat/cancel": said(cancelled=False),
    "GET /api/chat/stream/status": said(active=False),
    "GET /api/chat/stream": said(404, error="stream not found"),
    "GET /api/session/stream": stream(),
    "GET /api/approval/stream": stream(),
    "OPTIONS /health": http(200),
    "POST /api/onboarding/probe": said(ok=False),
}
"""A Hermes that is as expected; a test replaces what it is about."""


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a Hermes with some of its answers replaced: an empty one hangs up, None never comes, a list in turn."""
    async with AsyncExitStack() as stack:
        running: set[asyncio.Task[None]] = set()

        async def start(answers: dict[str, bytes | list[bytes] | None] | None = None) -> str:
            told = {**HERMES, **(answers or {})}

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.current_task()
                assert task is not None
                running.add(task)
                with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
                    while True:
                        method, target = (await reader.readuntil(b"\r\n\r\n")).decode().split()[:2]
                        whole = told.get(f"{method} {target.partition('?')[0]}", http(404))
                        if isinstance(whole, list):
                            whole = whole.pop(0)
                        if whole is None:
                            await asyncio.Event().wait()
                        writer.write(whole or b"")
                        if whole and b"event-stream" in whole:
                            await reader.read()
                        if not whole or b"event-stream" in whole or method in {"POST", "OPTIONS"}:
                            return

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield start
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
