"""What a service tells systemd and is given by it: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).

Without systemd's variables in the environment all of it does nothing.
"""

import asyncio
import os
import socket
import time
from collections import defaultdict
from contextlib import suppress
from typing import Final

FIRST_SOCKET: Final = 3
"""The descriptor of the first socket that is handed over (SD_LISTEN_FDS_START)."""

_LISTENING: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def notify(*states: str) -> None:
    """Tells systemd of a change, such as ``READY=1``; never raises, never waits."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # in Linux' abstract namespace (unix(7))
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.0)
        sock.sendto("\n".join(states).encode(), address)


def notify_reloading() -> None:
    """Tells that a reload begins; it has ended at the next ``READY=1``."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


async def feed_watchdog() -> None:
    """Tells systemd, twice as often as it wants to hear it, that the event loop turns."""
    interval = _number("WATCHDOG_USEC") / 1e6
    if not interval or _number("WATCHDOG_PID", os.getpid()) != os.getpid():
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval / 2)


def inherited_sockets() -> dict[str, list[socket.socket]]:
    """The sockets that systemd listens on for this process, by their ``FileDescriptorName``; to be asked for once.

    Raises:
        ValueError: one of them is not a stream socket that listens.
    """
    count = _number("LISTEN_FDS") if _number("LISTEN_PID") == os.getpid() else 0
    names = [*os.environ.get("LISTEN_FDNAMES", "").split(":"), *[""] * count]
    for variable in _LISTENING:
        os.environ.pop(variable, None)  # they are not meant for a child
    found = defaultdict(list)
    for number, name in enumerate(names[:count]):
        found[name].append(_listening(FIRST_SOCKET + number))
    return dict(found)


def _listening(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keywords
        sock = socket.socket(fileno=descriptor)
        if sock.type is socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return sock
        sock.detach()
    except OSError:
        pass
    raise ValueError(f"descriptor {descriptor}, given by LISTEN_FDS, should be a stream socket that listens")


def _number(variable: str, default: int = 0) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default
