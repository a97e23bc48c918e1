"""What a service tells systemd and is given by it, with a socket in systemd's place."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ops import systemd
from tests.support.virtual_time import in_virtual_time

HIGH = 200
"""A descriptor that nobody else has, with some after it."""


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Hears what is told to systemd."""
    name = f"@{secrets.token_hex(8)}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


def test_systemd_is_told(manager: socket.socket) -> None:
    systemd.notify("READY=1", "STATUS=Guarding.")
    assert manager.recv(1000) == b"READY=1\nSTATUS=Guarding."


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    """Or systemd could take a READY=1 of before for its end."""
    systemd.notify_reloading()
    reloading, began = manager.recv(1000).decode().split("\n")
    assert reloading == "RELOADING=1"
    assert began.removeprefix("MONOTONIC_USEC=").isdecimal()


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@nobody-listens", "x" * 1000])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")


def test_a_manager_that_hears_nothing_is_not_waited_for(manager: socket.socket) -> None:
    for _ in range(10_000):
        systemd.notify("WATCHDOG=1")


# -- the watchdog ---------------------------------------------------------------------------------


async def told_in(seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """What is told while the watchdog is fed for so long."""
    told: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(systemd, "notify", lambda state: told.append((loop.time(), state)))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await systemd.feed_watchdog()
    return told


@in_virtual_time
async def test_the_watchdog_is_fed_twice_as_often_as_it_asks() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        told = await told_in(40, monkeypatch)
    assert told == [(0, "WATCHDOG=1"), (15, "WATCHDOG=1"), (30, "WATCHDOG=1")]


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}])
@in_virtual_time
async def test_nobody_elses_watchdog_is_fed(variables: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert await told_in(40, monkeypatch) == []


# -- sockets --------------------------------------------------------------------------------------


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Two sockets that listen, as this process' first inherited ones."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for number, sock in enumerate(sockets):
        os.dup2(sock.fileno(), HIGH + number)
    monkeypatch.setattr(systemd, "FIRST_SOCKET", HIGH)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    yield sockets
    for sock in sockets:
        sock.close()
    for number in range(2):
        with contextlib.suppress(OSError):
            os.close(HIGH + number)


def names_of(sockets: list[socket.socket]) -> list[object]:
    """Their addresses; they are closed."""
    names = [sock.getsockname() for sock in sockets]
    for sock in sockets:
        sock.close()
    return names


def test_sockets_are_found_by_their_names(hand_over: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDNAMES", "public:admin")
    found = systemd.inherited_sockets()
    assert {name: names_of(sockets) for name, sockets in found.items()} == {
        "public": [hand_over[0].getsockname()],
        "admin": [hand_over[1].getsockname()],
    }


@pytest.mark.parametrize("names", [None, "web:web"])
def test_sockets_may_share_a_name_or_have_none(
    hand_over: list[socket.socket], monkeypatch: pytest.MonkeyPatch, names: str | None
) -> None:
    if names is not None:
        monkeypatch.setenv("LISTEN_FDNAMES", names)
    ((name, sockets),) = systemd.inherited_sockets().items()
    assert name == ("web" if names else "")
    assert names_of(sockets) == [sock.getsockname() for sock in hand_over]


def test_what_was_taken_is_nobody_elses(hand_over: list[socket.socket]) -> None:
    """Neither a child's nor taken twice."""
    (sockets,) = systemd.inherited_sockets().values()
    assert not any(sock.get_inheritable() for sock in sockets)
    assert not [name for name in os.environ if name.startswith("LISTEN_")]
    assert systemd.inherited_sockets() == {}
    names_of(sockets)


@pytest.mark.parametrize("pid", ["1", "", "me"])
def test_another_processes_sockets_are_left_alone(
    hand_over: list[socket.socket], monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setenv("LISTEN_PID", pid)
    assert systemd.inherited_sockets() == {}


@pytest.mark.parametrize("kind", ["datagram", "connection", "file", "nothing"])
def test_what_is_no_listening_socket_is_an_error(
    hand_over: list[socket.socket], monkeypatch: pytest.MonkeyPatch, kind: str, tmp_path: Path
) -> None:
    os.close(HIGH)
    if kind == "file":
        descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
        os.dup2(descriptor, HIGH)
        os.close(descriptor)
    elif kind != "nothing":
        with socket.socket(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM) as sock:
            os.dup2(sock.fileno(), HIGH)
    monkeypatch.setenv("LISTEN_FDS", "1")

    with pytest.raises(ValueError, match="descriptor 200, given by LISTEN_FDS, should be a stream socket that listens"):
        systemd.inherited_sockets()
