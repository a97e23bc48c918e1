"""What a socket tells that its transport does not."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from proxy.http.sockets import give_up_after, peer_hung_up, reset_on_close, unread_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator


class Transport(asyncio.Transport):
    """Just enough of one to ask for its socket."""

    def __init__(self, sock: socket.socket, *, tls: bool = False) -> None:
        super().__init__({"socket": sock, "sslcontext": tls or None})


@pytest.fixture(params=[socket.AF_UNIX, socket.AF_INET])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    if request.param == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def test_hang_up_is_seen_behind_unread_bytes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"unread")
    assert not peer_hung_up(Transport(ours))
    theirs.close()
    assert peer_hung_up(Transport(ours))


def test_last_words_are_read_up_to_a_limit(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"last words")
    assert unread_bytes(Transport(ours), 4) == b"last"
    assert unread_bytes(Transport(ours), 100) == b" words"
    assert unread_bytes(Transport(ours), 100) == b""


def test_encrypted_last_words_are_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"gibberish")
    assert unread_bytes(Transport(ours, tls=True), 100) == b""


def test_silent_peer_is_probed_and_given_up_in_the_stated_time() -> None:
    with socket.socket() as sock:
        give_up_after(Transport(sock), 30.0)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        idle, interval, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= 30


def test_socket_that_is_closed_already_is_no_error() -> None:
    sock = socket.socket()
    sock.close()
    reset_on_close(Transport(sock))
