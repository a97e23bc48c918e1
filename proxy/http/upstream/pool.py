"""Idle connections to the backend: few, and not for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.upstream.connection import UpstreamConnection


class IdlePool:
    """Connections that wait for another request, each perhaps holding a backend thread (F7).

    Args:
        limit: Says how many connections may be kept now.
        timeout: Seconds one is kept. Hermes drops them after 30, and one that is closed under
            a request costs a repetition.
    """

    def __init__(self, *, limit: Callable[[], int], timeout: float) -> None:
        self._limit = limit
        self._timeout = timeout
        self._idle: dict[UpstreamConnection, asyncio.TimerHandle] = {}

    def take(self) -> UpstreamConnection | None:
        """The connection used last, if one is left that the backend has neither closed nor used."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            if connection.is_connected and not connection.has_unsolicited_data:
                return connection
            connection.abort()
        return None

    def put(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose exchange is complete, or close it."""
        if len(self._idle) >= self._limit() or not connection.is_connected:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.call_later(self._timeout, self._expire, connection)

    def close(self) -> None:
        """Close every connection."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            connection.close()

    def _expire(self, connection: UpstreamConnection) -> None:
        del self._idle[connection]
        connection.close()
