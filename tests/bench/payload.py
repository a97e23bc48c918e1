"""The file that is downloaded and uploaded: a hundred megabytes whose every byte is known."""

import asyncio
import random

SIZE = 100_000_000
BLOCK = 1 << 18
_PERIOD = 1 << 20
_PATTERN = random.Random(0).randbytes(_PERIOD)  # noqa: S311 - anything but repetitive will do
_TWICE = _PATTERN * 2
"""The file repeats its pattern; any stretch of up to one period lies whole in two of them."""


class Payload:
    """The file as it arrives.

    Attributes:
        size: Bytes that have arrived.
        intact: Whether they were the file's.
    """

    def __init__(self) -> None:
        self.size = 0
        self.intact = True

    @property
    def complete(self) -> bool:
        return self.intact and self.size == SIZE

    def feed(self, data: bytes) -> None:
        """Compare the next bytes, up to a megabyte of them."""
        offset = self.size % _PERIOD
        self.intact = self.intact and data == _TWICE[offset : offset + len(data)]
        self.size += len(data)


async def send_payload(transport: asyncio.WriteTransport, writable: asyncio.Event, head: bytes) -> None:
    """Send a message whose body is the file, no faster than the peer takes it.

    Args:
        transport: Where to.
        writable: Whether the transport has room for more.
        head: The message's lines before its length.
    """
    transport.write(b"%bContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % (head, SIZE))
    for offset in range(0, SIZE, BLOCK):
        begin = offset % _PERIOD
        transport.write(_TWICE[begin : begin + min(BLOCK, SIZE - offset)])
        await writable.wait()
