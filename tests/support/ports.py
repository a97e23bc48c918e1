"""Ports for programs that cannot be given port 0."""

import random
import socket
from pathlib import Path
from typing import Final

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 10_000
"""Below it are the ports that are known for something."""


def free_port() -> int:
    """A port of the loopback interface that nothing uses just now.

    It is not one of those that the system gives away by itself: until the program listens, another connection of this
    machine could be given the same one.
    """
    first_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    ports = range(_FIRST, max(first_ephemeral, 2 * _FIRST))
    return next(filter(_is_free, random.sample(ports, len(ports))))  # as several test runs seldom try the same


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
