"""Sockets to listen on, where the event loop's own way to make one would not do."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OWNER: Final = 0o600
"""Who may connect to a Unix socket: to do so is to write to it (unix(7))."""

_NOBODY_THERE: Final = frozenset({errno.ECONNREFUSED, errno.ENOENT})


def both_families(host: str, port: int) -> socket.socket | None:
    """A socket for every address of this host, IPv4 and IPv6; None where ``host`` or the system does not stand for it.

    The event loops would have ``::`` take IPv6 only, whatever the system says (ipv6(7), IPV6_V6ONLY).

    Raises:
        OSError: the port is taken.
    """
    if not (_is_every_address(host) and socket.has_dualstack_ipv6()):
        return None
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def takes_ipv4_as_well(sock: socket.socket) -> bool:
    """Whether a socket at ``::`` is for IPv4 too."""
    if sock.family is not socket.AF_INET6 or not _is_every_address(sock.getsockname()[0]):
        return False
    return not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def unix_socket(path: Path, *, mode: int = OWNER, group: int | None = None) -> socket.socket:
    """A socket at ``path``, in place of one that nobody listens on any more.

    Nobody can connect before ``mode`` and ``group`` hold: it does not listen yet.

    Raises:
        OSError: somebody listens there (EADDRINUSE), something else is there (EEXIST), the folder cannot be written to
            (EACCES), or the group is not one of this user's (EPERM).
    """
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        sock.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear(path: Path) -> None:
    """Remove a dead socket."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        if _is_served(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))
        path.unlink()


def _is_served(path: Path) -> bool:
    """Whether anybody listens; that nobody may connect, or many wait for it, says so too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)  # noqa: FBT003 - its only argument
        return caller.connect_ex(str(path)) not in _NOBODY_THERE


def _is_every_address(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return isinstance(address, IPv6Address) and address.is_unspecified
