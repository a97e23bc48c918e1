"""What a socket tells that its transport does not."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from proxy.http.sockets import give_up_after, peer_hung_up, reset_on_close, unacknowledged, unread_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def test_what_the_peer_has_not_acknowledged_is_known() -> None:
    """On its way it waits for the peer's kernel, whose buffer is full."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            ours.setblocking(False)  # noqa: FBT003 - its only argument
            sent = ours.send(bytes(1 << 22))
            left = unacknowledged(Transport(ours))
            assert 0 < left <= sent
            taken = len(theirs.recv(1 << 16))
            assert taken
            assert unacknowledged(Transport(ours)) <= left


def test_socket_that_is_closed_already_is_no_error() -> None:
    sock = socket.socket()
    sock.close()
    reset_on_close(Transport(sock))
    assert unacknowledged(Transport(sock)) == unacknowledged(None) == 0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_transport_that_was_aborted_already_is_no_error(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Each event loop lends another kind of socket, and has another way to say that it is gone."""

    async def abort_twice() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *server.sockets[0].getsockname()
            )
            for _ in range(2):
                reset_on_close(transport)
                transport.abort()
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(abort_twice())
