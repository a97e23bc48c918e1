"""Sockets to listen on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.places import both_families, takes_ipv4_as_well, unix_socket

if TYPE_CHECKING:
    from pathlib import Path

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
"""A container often has no IPv6 at all: no socket can be bound to ``::`` there, so there is nothing to look at."""


@needs_ipv6
def test_every_address_is_for_ipv4_too() -> None:
    sock = both_families("::", 0)
    assert sock is not None
    with sock:
        assert takes_ipv4_as_well(sock)
        sock.listen()
        with pytest.raises(OSError, match="in use"):
            both_families("::", sock.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost"])
def test_other_addresses_are_what_they_are(host: str) -> None:
    assert both_families(host, 0) is None


@needs_ipv6
def test_ipv6_alone_and_ipv4_are_one_family_each() -> None:
    with socket.socket(socket.AF_INET6) as six, socket.socket() as four:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", 0))
        assert not takes_ipv4_as_well(six)
        assert not takes_ipv4_as_well(four)


def test_a_unix_socket_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_may_be_a_groups(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path, mode=0o660, group=os.getgid()):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, os.getgid())


def test_a_dead_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    unix_socket(path).close()
    with unix_socket(path) as sock:
        sock.listen()


def test_one_that_somebody_listens_on_is_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as sock:
        sock.listen()
        with pytest.raises(OSError, match="in use") as taken:
            unix_socket(path)
        assert taken.value.errno == errno.EADDRINUSE


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(FileExistsError):
        unix_socket(path)
    assert path.exists()


def test_nothing_is_left_of_one_that_could_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
        unix_socket(tmp_path / "missing" / "socket")
