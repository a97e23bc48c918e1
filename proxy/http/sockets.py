"""What only the socket itself can tell: that nobody is at its other end any more."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

PROBES: Final = 3
"""Keep-alive probes that go unanswered before a silent peer is given up."""


def peer_hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has closed, even behind bytes that were not read yet.

    A transport that does not read never meets the FIN. ``POLLRDHUP`` reports it, and a reset,
    from the socket's state, on TCP and on Unix sockets alike (poll(2)).
    """
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def is_waited_at(listening: socket.socket) -> bool:
    """Whether a connection waits to be accepted on a socket that listens."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return bool(poll.poll(0))


def give_up_after(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the kernel drop a TCP peer that acknowledges nothing for ``seconds``.

    ``TCP_USER_TIMEOUT`` (RFC 5482, tcp(7)) covers bytes in flight and a window that stays shut;
    the keep-alive probes cover a connection on which nothing is said.
    """
    sock = transport.get_extra_info("socket")
    if sock.family == socket.AF_UNIX:
        return
    interval = max(1, int(seconds / (PROBES + 1)))
    with suppress(OSError):  # the peer may be gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Have the connection end with an RST instead of a FIN.

    A FIN would be the proper end of a body without framing, whole or not (RFC 9112 §6.3), and it
    queues behind everything the peer has not read yet.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:  # it is closed already; uvloop would raise a ValueError
        return
    with suppress(OSError):  # the peer may be gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unacknowledged(transport: asyncio.BaseTransport | None) -> int:
    """Bytes that the kernel was given and the peer's has not acknowledged (``SIOCOUTQ``, tcp(7)); 0 if nobody tells."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.fileno() < 0:
        return 0
    with suppress(OSError):
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    return 0


def unread_bytes(transport: asyncio.BaseTransport, limit: int) -> bytes:
    """Up to ``limit`` bytes that the peer sent before its connection broke.

    A failed write makes the event loop forget the socket without reading it once more, though
    the kernel still holds what the peer said before it hung up.
    """
    if transport.get_extra_info("sslcontext"):
        return b""  # what lies there is encrypted
    received = bytearray()
    descriptor = socket.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as last, suppress(OSError):
        last.settimeout(0.0)
        while len(received) < limit and (chunk := last.recv(limit - len(received))):
            received += chunk
    return bytes(received)
