"""A browser that speaks HTTP/2: many requests on one connection, each of which it can let go of."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Self

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

PATIENCE = 10.0


class Http2Browser:
    """One connection.

    Args:
        authority: What its address bar says: a name and a port.

    Attributes:
        most_at_once: Requests that the server allows to be under way at once; 0 until it has said so.
    """

    def __init__(self, authority: str) -> None:
        self.authority = authority
        self.most_at_once = 0
        self.h2 = H2Connection()
        self._requests: dict[int, Request] = {}
        self._changed = asyncio.Event()
        self._lost = False

    async def connect(self, tls: ssl.SSLContext, *, source: str = "127.0.0.1") -> Self:
        """Connects from `source` to the port of `authority` on this host, by HTTP/2 or not at all."""
        name, _, port = self.authority.rpartition(":")
        async with asyncio.timeout(PATIENCE):
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", int(port), ssl=tls, server_hostname=name, local_addr=(source, 0)
            )
        assert self._writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self.h2.initiate_connection()
        await self.flush()
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: self.most_at_once > 0)
        return self

    async def close(self) -> None:
        """Leaves, with all that is under way."""
        self._writer.transport.abort()
        await asyncio.wait({self._reading})

    async def get(self, path: str, *headers: tuple[str, str]) -> "Request":
        """Asks for `path`."""
        return await self._ask("GET", path, headers, ended=True)

    async def post(self, path: str, length: int, *headers: tuple[str, str]) -> "Request":
        """Begins to post a body of `length` bytes, which is to be sent."""
        return await self._ask("POST", path, (("content-length", str(length)), *headers), ended=length == 0)

    async def flush(self) -> None:
        """Sends what there is to send."""
        self._writer.write(self.h2.data_to_send())
        async with asyncio.timeout(PATIENCE):
            await self._writer.drain()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` holds; it is looked at whenever something has come."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert not self._lost, "the connection ended"
                self._changed.clear()
                await self._changed.wait()

    async def _ask(self, method: str, path: str, headers: tuple[tuple[str, str], ...], *, ended: bool) -> "Request":
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        request = Request(self, self.h2.get_next_available_stream_id())
        self._requests[request.stream_id] = request
        self.h2.send_headers(request.stream_id, [*pseudo, *headers], end_stream=ended)
        await self.flush()
        return request

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65_536):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self._writer.write(self.h2.data_to_send())
                self._changed.set()
        except ConnectionError:
            pass
        self._lost = True
        self._changed.set()

    def _take(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged(changed_settings=changed):
                if SettingCodes.MAX_CONCURRENT_STREAMS in changed:
                    self.most_at_once = changed[SettingCodes.MAX_CONCURRENT_STREAMS].new_value
            case ResponseReceived(stream_id=number, headers=headers):
                self._requests[number].status = int(dict(headers)[b":status"])
            case DataReceived(stream_id=number, data=data, flow_controlled_length=length):
                self._requests[number].body += data
                self.h2.acknowledge_received_data(length, number)
            case StreamEnded(stream_id=number) | StreamReset(stream_id=number):
                self._requests[number].ended = True


class Request:
    """One request, and its answer as far as it has come."""

    def __init__(self, browser: Http2Browser, stream_id: int) -> None:
        self.stream_id = stream_id
        self.status = 0
        self.body = bytearray()
        self.ended = False
        self._browser = browser

    async def send(self, data: bytes, *, last: bool = False) -> None:
        """Sends a piece of its body, as fast as the other side takes it."""
        h2, rest = self._browser.h2, data
        while rest:
            await self._browser.until(lambda: h2.local_flow_control_window(self.stream_id) > 0)
            size = min(h2.local_flow_control_window(self.stream_id), h2.max_outbound_frame_size)
            piece, rest = rest[:size], rest[size:]
            h2.send_data(self.stream_id, piece, end_stream=last and not rest)
            await self._browser.flush()

    async def until(self, mark: bytes) -> bytes:
        """The body so far, once it holds `mark`."""
        await self._browser.until(lambda: mark in self.body or self.ended)
        assert mark in self.body, f"{self.status}: it ended after {bytes(self.body[-500:])!r}"
        return bytes(self.body)

    async def whole(self) -> bytes:
        """The body, once it has ended."""
        await self._browser.until(lambda: self.ended)
        return bytes(self.body)

    async def let_go(self) -> None:
        """Wants no more of it, as a tab that is closed; the connection stays, for the other tabs."""
        self._browser.h2.reset_stream(self.stream_id, ErrorCodes.CANCEL)
        await self._browser.flush()
