"""Bodies that arrive whole before they go on: in memory if they are small, else on disk."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import IO

from proxy.events.starts import BodyNotKept
from proxy.hermes.contract import session_of_start
from proxy.hermes.scanning import FieldScanner
from proxy.http.message import Body, resumed
from proxy.ownership.limits import Live
from proxy.reporting import Report, failing_open

MOST_OF_ONE = 64 << 20
"""Bytes of the largest body that is kept on disk; Hermes takes none over 20 MiB."""

MOST_OF_ALL = 256 << 20
"""Bytes on disk at once, of all bodies together."""

MOST_AT_ONCE = 8
"""Bodies on disk at once."""

_PIECE = 1 << 20
"""Bytes that are written or read in one go, in a thread."""


class Spooled:
    """A body on disk, in a file without a name.

    Args:
        length: Its size in bytes.
        room: Given back once the last who shares this has closed it.
        report: Told of internal errors.

    Attributes:
        session_id: The session that its JSON names; None where it names none.
    """

    def __init__(self, length: int, room: "Spool", report: Report) -> None:
        self.session_id: str | None = None
        self.length = length
        self._room = room
        self._report = report
        self._file: IO[bytes] | None = None
        self._written = 0
        self._users = 1
        self._hash = hashlib.blake2b()

    @property
    def digest(self) -> bytes:
        """Of what was written to the disk, by BLAKE2b."""
        return self._hash.digest()

    def share(self) -> None:
        """One more will close this; it lasts until all have."""
        self._users += 1

    def close(self) -> None:
        """The caller needs this no more."""
        self._users -= 1
        if self._users:
            return
        self._room.give_back(self.length)
        if self._file is not None:
            with suppress(OSError):  # of a disk that is full: what could not be written is not needed any more
                self._file.close()

    def body(self) -> Body:
        """The body from its beginning, as often as it is asked for."""
        return Body(self.length, self._read(), is_whole=True)

    async def fill(self, body: Body) -> "Spooled | Body":
        """This, once it holds all of `body`; or that same body, still to be streamed, if the disk does not take it."""
        scanner = FieldScanner("session_id")
        async for piece in _pieces(body.chunks):
            try:
                await asyncio.to_thread(self._write, piece)
            except OSError:
                return replace(body, chunks=self._and_then(piece, body.chunks))
            body.passed(len(piece))
            with failing_open(self._report, "reading a large body"):
                await asyncio.to_thread(scanner.feed, piece)
        self.session_id = scanner.finish()
        return self

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever needs it last
        self._file.write(piece)
        self._file.flush()
        self._hash.update(piece)
        self._written += len(piece)

    async def _read(self) -> AsyncIterator[bytes]:
        at = 0
        while at < self._written and self._file is not None:
            piece = await asyncio.to_thread(os.pread, self._file.fileno(), min(_PIECE, self._written - at), at)
            at += len(piece)
            yield piece

    async def _and_then(self, piece: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for written in self._read():
            yield written
        yield piece
        async for chunk in rest:
            yield chunk


Whole = bytes | Spooled
"""A body that has arrived whole."""


class Spool:
    """Has bodies arrive whole, within the bounds above (P7).

    Args:
        live: Says up to which size they are held in memory.
        report: Told of bodies that could not be kept, and of internal errors.
    """

    def __init__(self, live: Live, report: Report) -> None:
        self._live = live
        self._report = report
        self._bytes = 0
        self._count = 0

    @asynccontextmanager
    async def taking(self, body: Body) -> AsyncIterator[Whole | Body]:
        """The body once it has arrived whole; or the same body, still to be streamed, where there is no room for it.

        On disk it is kept while the context lasts, and as long as somebody else shares it.

        Raises:
            BrowserError: it did not arrive.
        """
        held = await in_memory(body, self._live.now.start_body_limit)
        if isinstance(held, bytes):
            yield held
            return
        if (length := self._room_for(held)) is None:
            yield held
            return
        spooled = Spooled(length, self, self._report)
        try:
            whole = await spooled.fill(held)
            if whole is not spooled:
                self._report(BodyNotKept("disk", length))
            yield whole
        finally:
            spooled.close()

    def give_back(self, length: int) -> None:
        """One body of that size is gone from the disk."""
        self._bytes -= length
        self._count -= 1

    def _room_for(self, body: Body) -> int | None:
        """The body's size if there is room for it on disk, which it has then taken."""
        length = body.length
        if length is None or length > MOST_OF_ONE:
            self._report(BodyNotKept("length", length))
        elif self._count >= MOST_AT_ONCE or self._bytes + length > MOST_OF_ALL:
            self._report(BodyNotKept("room", length))
        else:
            self._bytes += length
            self._count += 1
            return length
        return None


def body_of(whole: Whole) -> Body:
    """A body that has arrived whole, to be sent."""
    return Body.of(whole) if isinstance(whole, bytes) else whole.body()


def session_of(whole: Whole) -> str | None:
    """The session that a body's JSON names; None where Hermes would find none."""
    return session_of_start(whole) if isinstance(whole, bytes) else whole.session_id


def digest_of(whole: Whole) -> bytes:
    """The BLAKE2b digest of a body that has arrived whole; equal for equal bodies only, wherever they are kept."""
    return hashlib.blake2b(whole).digest() if isinstance(whole, bytes) else whole.digest


async def in_memory(body: Body, limit: int) -> bytes | Body:
    """The body in whole; or, if it is over `limit` bytes, the same body still to be streamed."""
    if body.length is not None and body.length > limit:
        return body
    held = bytearray()
    async for chunk in body.chunks:
        held += chunk
        if len(held) > limit:
            return replace(body, chunks=resumed(bytes(held), body.chunks))
    return bytes(held)


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces large enough to be worth a thread."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
