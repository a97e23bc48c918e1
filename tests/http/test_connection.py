"""A connection that is gone says so."""

from __future__ import annotations

import asyncio

import pytest

from proxy.http.connection import Connection
from proxy.http.writer import PatientWriter


async def test_a_request_on_a_closed_connection_fails_before_it_is_sent() -> None:
    connection = Connection(asyncio.get_running_loop())
    with pytest.raises(ConnectionResetError):
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", method="GET", silence=1.0)


async def test_a_closed_connection_is_not_waited_for() -> None:
    loop = asyncio.get_running_loop()
    await PatientWriter(Connection(loop), loop, 60.0).drain()
