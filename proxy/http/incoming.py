"""The body of a request while it comes: with a limit on patience, and counted in the room for bodies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from proxy.http.errors import BadRequestError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.streams import StreamReader

    from proxy.http.errors import ProxyError
    from proxy.http.pace import Pace
    from proxy.http.room import Room
    from proxy.http.rules import Rules


class Incoming:
    """One body.

    Args:
        payload: What of it has arrived.
        rules: How long it is waited for.
        room: Where it counts until it has gone on, or was closed.
        pace: Told of the waits for it.

    Attributes:
        held: Its part of the room.
    """

    def __init__(self, payload: StreamReader, rules: Rules, room: Room, pace: Pace) -> None:
        self.held = room.held(self.give_way)
        self._payload = payload
        self._rules = rules
        self._pace = pace
        self._waiting: asyncio.Timeout | None = None
        self._gave_way: ProxyError | None = None

    def give_way(self, error: ProxyError) -> None:
        """Wait for no more of it: whoever reads it gets ``error``."""
        self._gave_way = error
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def chunks(self, begin: Callable[[], None]) -> AsyncIterator[bytes]:
        """The body as it comes: waiting for it spends seconds, of which every byte earns some back.

        Args:
            begin: Called before it is waited for.

        Raises:
            RequestTimeoutError, BadRequestError: it did not arrive.
            NoCapacityError: nothing more can be held, or others wait.
        """
        begin()
        time, left = asyncio.get_running_loop().time, self._rules.patience
        while True:
            asked = time()
            chunk = await self._next(left)
            if not chunk:
                self.held.complete()
                return
            self.held.grow(len(chunk))
            self._pace.moved(len(chunk))
            left = min(left + asked - time() + len(chunk) / self._rules.body_rate, self._rules.patience)
            yield chunk

    async def _next(self, within: float) -> bytes:
        try:
            if self._gave_way is None:
                with self._pace.waiting():
                    async with asyncio.timeout(within) as self._waiting:
                        return await self._payload.readany()
        except TimeoutError:
            pass
        except (RequestPayloadError, HttpProcessingError) as error:
            raise BadRequestError("The request's body is malformed.") from error
        except ConnectionError as error:
            raise BadRequestError("The request's body broke off.") from error
        finally:
            self._waiting = None
        raise self._why_no_longer()

    def _why_no_longer(self) -> ProxyError:
        # Kept, it would keep the frames that it passes, and all that they hold.
        error, self._gave_way = self._gave_way, None
        return error or RequestTimeoutError("The request's body arrives too slowly, or not at all.")
