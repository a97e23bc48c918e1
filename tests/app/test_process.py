"""The process as its service manager meets it: signals, readiness, reloads and upgrades, on both event loops."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from proxy.demo import Backend
from tests.support.lab import FAST, PATIENCE, Browser
from tests.support.processes import ON_ASYNCIO, ON_UVLOOP, Process

AS_SYSTEMD_DOES = (
    "import os; [os.dup2(fd, number) for number, fd in enumerate({fds}, 3)]; "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{count}', LISTEN_FDNAMES='{names}')"
)


Serve = Callable[..., Awaitable[Process]]


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend(pace=FAST) as running_backend:
        yield running_backend


@pytest.fixture(params=[ON_ASYNCIO, ON_UVLOOP], ids=["asyncio", "uvloop"])
async def serve(request: pytest.FixtureRequest, backend: Backend) -> AsyncIterator[Serve]:
    """Starts the proxy in front of the backend, and waits until it guards."""
    processes: list[Process] = []

    async def start(
        *options: str, listening: socket.socket | None = None, admin: socket.socket | None = None, **variables: str
    ) -> Process:
        code: str = request.param
        given = {name: sock.fileno() for name, sock in (("public", listening), ("admin", admin)) if sock is not None}
        descriptors = tuple(given.values())
        if given:
            as_systemd = AS_SYSTEMD_DOES.format(fds=descriptors, count=len(given), names=":".join(given))
            code = f"{as_systemd}; {code}"
        if listening is None:
            options = ("--listen=127.0.0.1:0", *options)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, "serve", f"--upstream={backend.url}", "--admin=127.0.0.1:0", *options),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **variables},
            pass_fds=descriptors,
        )
        processes.append(Process(process))
        await processes[-1].says("guarding ")
        return processes[-1]

    yield start
    for started in processes:
        await started.end()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        browser = Browser("", session)
        yield browser
        for tab in browser.tabs:
            await tab.leave()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_with_nothing_to_wait_for_it_ends_at_once(serve: Serve, number: signal.Signals) -> None:
    process = await serve()
    process.signal(number)
    assert await process.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_request_has_its_line_when_it_has_ended(
    serve: Serve, browser: Browser, number: signal.Signals
) -> None:
    """In order, though they are held for a moment to be written together."""
    process = await serve()
    browser.base = process.url
    for _ in range(70):
        await browser.call("GET", "/api/auth/status")
    process.signal(number)

    assert await process.exit_code() == 0
    await process.reading
    events = [str(line["event"]) for line in process.logged("")]
    assert events.count("request_ended") == 70
    assert next(i for i, event in enumerate(events) if event.startswith("stopping")) > 70


async def test_a_turn_that_runs_is_relayed_to_its_end(serve: Serve, browser: Browser) -> None:
    """And new turns are refused meanwhile, while everything else goes on."""
    process = await serve()
    browser.base = process.url
    session_id, _, tab = await browser.turn("n=100 d=0.02 tag=A")
    channel = browser.watch("/api/sessions/events")
    process.signal(signal.SIGTERM)
    await process.says("stopping")

    refused = await browser.start(session_id, "n=2 tag=B")
    called = await browser.call("GET", "/api/auth/status")
    await tab.ended()

    assert (refused.status, refused.json["code"], called.status) == (503, "draining", 200)
    assert tab.text == "".join(f"A{n} " for n in range(100))
    assert tab.endings == ["stream_end"]
    assert await process.exit_code() == 0
    assert not (await channel.ended()).broken, "it is ended properly, so that the page reconnects by itself"
    assert not process.logged("drain_timed_out")


async def test_a_turn_can_be_stopped_while_it_drains(serve: Serve, browser: Browser) -> None:
    process = await serve()
    browser.base = process.url
    _, stream_id, tab = await browser.turn()
    process.signal(signal.SIGTERM)
    await process.says("stopping")

    assert (await browser.cancel(stream_id)).json["cancelled"] is True
    assert (await tab.ended()).endings == ["cancel"]
    assert await process.exit_code() == 0


async def test_what_takes_too_long_is_ended_so_that_pages_reconnect(serve: Serve, browser: Browser) -> None:
    """At `drain.timeout`: with its end of file, not a reset, and without an ending, for the turn goes on."""
    process = await serve(STREAM_GUARD__DRAIN__TIMEOUT="300ms")
    browser.base = process.url
    _, _, tab = await browser.turn()
    process.signal(signal.SIGTERM)

    await tab.ended()

    assert not tab.broken
    assert tab.endings == []
    assert await process.exit_code() == 0
    assert process.logged("drain_timed_out")


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_second_signal_ends_it_now(serve: Serve, browser: Browser, second: signal.Signals, code: int) -> None:
    process = await serve()
    browser.base = process.url
    _, _, tab = await browser.turn()
    process.signal(signal.SIGTERM)
    await process.says("stopping")
    process.signal(second)

    assert await process.exit_code() == code
    await tab.ended()


async def test_sighup_reads_the_settings_again(serve: Serve) -> None:
    """Whether there is a file of them or not, and anything new in it."""
    process = await serve()
    process.signal(signal.SIGHUP)
    await process.says("reloaded")
    assert process.logged("reloaded")[0]["changed"] == []


async def test_a_file_that_changes_is_read_by_itself(serve: Serve, browser: Browser, tmp_path: Path) -> None:
    """A bad one changes nothing, and what is open stays open."""
    file = tmp_path / "guard.yaml"
    file.write_text("relay: {buffer: 1KiB}\n")
    process = await serve(f"--config={file}")
    browser.base = process.url
    _, _, tab = await browser.turn("n=100 d=0.02 tag=A")

    for text, said in (
        ("upstream: {lanes: {calls: 7}}\nlisten: {port: 1}\n", "reloaded"),
        ("relay: {bufer: 3KiB}\n", f"{file}:1: there is no setting relay.bufer; did you mean relay.buffer?"),
    ):
        file.write_text(text)
        await process.says(said)

    (reloaded,) = process.logged("reloaded")
    assert (reloaded["changed"], reloaded["restart"]) == (["upstream.lanes.calls", "relay.buffer"], [])
    assert (await tab.ended()).endings == ["stream_end"]
    process.signal(signal.SIGTERM)
    assert await process.exit_code() == 0


async def test_systemd_is_told_of_its_life(serve: Serve, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.0)
        process = await serve(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")

        async def told() -> str:
            """The next thing besides the watchdog's food."""
            async with asyncio.timeout(PATIENCE):
                while "WATCHDOG=1" in (said := (await loop.sock_recv(manager, 1000)).decode()):
                    pass
            return said.partition("\n")[0]

        assert await told() == "READY=1"
        async with asyncio.timeout(PATIENCE):
            assert {await loop.sock_recv(manager, 1000) for _ in range(3)} == {b"WATCHDOG=1"}
        process.signal(signal.SIGHUP)
        assert [await told(), await told()] == ["RELOADING=1", "READY=1"]
        process.signal(signal.SIGTERM)
        assert await told() == "STOPPING=1"
        assert await process.exit_code() == 0


async def test_an_upgrade_refuses_nobody(serve: Serve, browser: Browser) -> None:
    """One process drains while the next one serves, on a socket that neither of them made."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        old = await serve(listening=listening)
        browser.base = old.url
        _, _, tab = await browser.turn("n=150 d=0.02 tag=A")
        asking = asyncio.create_task(_ask_until(old.url, old.process))

        old.signal(signal.SIGTERM)
        await old.says("stopping")
        new = await serve(listening=listening)
        session_id = await browser.new_session()
        started = await browser.start(session_id, "n=2 tag=B")

        assert started.status == 200, "the old process takes no turn, so the new one did"
        assert (await browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "
        assert (await tab.ended()).text == "".join(f"A{n} " for n in range(150))
        assert await old.exit_code() == 0
        assert await asking > 10
        new.signal(signal.SIGTERM)
        assert await new.exit_code() == 0


async def test_an_inherited_socket_that_others_reach_is_warned_of(serve: Serve) -> None:
    """Wherever the settings say that it listens."""
    with socket.create_server(("0.0.0.0", 0)) as listening:
        process = await serve(listening=listening)
        port = listening.getsockname()[1]
        await process.says(
            f"WARNING: http://0.0.0.0:{port} can be reached from elsewhere, and Hermes asks for no login."
        )


async def test_a_restart_refuses_no_operator(serve: Serve) -> None:
    """On a socket named admin whoever asks between two processes waits for the next one."""
    with socket.create_server(("127.0.0.1", 0)) as admin:
        url = f"http://127.0.0.1:{admin.getsockname()[1]}"
        old = await serve(admin=admin)
        await old.says(f"a status page on {url}/")
        old.signal(signal.SIGTERM)
        assert await old.exit_code() == 0
        asking = asyncio.create_task(_ask_once(f"{url}/healthz"))
        new = await serve(admin=admin)
        await asking
        assert new.url != url, "the public listener is where it always is"


async def _ask_once(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200


async def _ask_until(url: str, process: asyncio.subprocess.Process) -> int:
    """How many new connections were served, each of them, until the process had ended."""
    served = 0
    while process.returncode is None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
            session.get(f"{url}/api/auth/status") as response,
        ):
            assert response.status == 200
            served += 1
    return served
