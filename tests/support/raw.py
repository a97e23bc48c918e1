"""A browser made of one bare socket, which can leave in every way there is."""

import asyncio
import contextlib
import ctypes
import socket
import struct

PATIENCE = 10.0


class RawBrowser:
    """One connection, written and read by hand.

    Args:
        port: On the loopback interface.
        receive_buffer: Bytes that the kernel keeps for it while it reads nothing.
    """

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.received = bytearray()
        self._port = port
        self._socket = socket.socket()
        self._socket.setblocking(False)  # noqa: FBT003 - its only argument
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    async def connect(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(self._socket, ("127.0.0.1", self._port))

    async def get(self, target: str, *headers: str) -> None:
        """Asks; what comes is to be read."""
        await self.send("\r\n".join([f"GET {target} HTTP/1.1", "Host: hermes", *headers, "", ""]).encode())

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_until_blocked(self, piece: bytes, *, blocked_for: float = 0.2) -> None:
        """Sends until nothing is taken for so many seconds."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(blocked_for):
                    await asyncio.get_running_loop().sock_sendall(self._socket, piece)

    async def read(self) -> bytes:
        """What comes next; nothing at the end."""
        async with asyncio.timeout(PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        self.received += data
        return data

    async def until(self, mark: bytes) -> bytes:
        """All that was received, once it holds `mark`."""
        while mark not in self.received:
            assert await self.read(), f"the connection ended after {bytes(self.received[-500:])!r}"
        return bytes(self.received)

    async def rest(self) -> bytes:
        """All that was received, once the connection has ended."""
        with contextlib.suppress(ConnectionError):
            while await self.read():
                pass
        return bytes(self.received)

    def leave_by_fin(self) -> None:
        """As a tab that is closed. With unread bytes the kernel makes an RST of it."""
        self._socket.close()

    def leave_by_rst(self) -> None:
        """As a browser that crashes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def leave_by_half_closing(self) -> None:
        """It says no more; whether it would still read nobody can tell."""
        self._socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """As a laptop that is shut: whatever arrives is dropped, so that nothing is acknowledged any more.

        A classic BPF program of one instruction, "accept 0 bytes" (socket(7), SO_ATTACH_FILTER).
        """
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        attached = struct.pack("HL", 1, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_ATTACH_FILTER", 26), attached)

    def close(self) -> None:
        self._socket.close()
