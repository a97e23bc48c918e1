"""One connection to the backend: its answers, its silence, and its end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import BackendBrokenError
from proxy.http.inflow import BUFFER
from proxy.http.upstream.connection import UpstreamConnection
from proxy.http.upstream.exchange import ignored
from tests.http.upstream.backend import EVENTS, OK, PATIENCE, Wire
from tests.support.transport import Transport
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.upstream.arriving import Arriving

ASKED = b"GET / HTTP/1.1\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def ask(wire: Wire) -> Arriving:
    return wire.connection.ask(ASKED, "GET", ignored)


@in_virtual_time
async def test_it_is_asked_and_it_answers() -> None:
    wire = Wire()
    arriving = ask(wire)
    assert await wire.hear() == ASKED
    assert not wire.connection.heard
    await wire.say(OK)
    assert wire.connection.heard
    assert (await arriving.head()).status == 200
    assert arriving.is_complete
    wire.connection.done()
    assert not wire.connection.has_unsolicited_data


@in_virtual_time
async def test_what_nobody_asked_for_is_noticed() -> None:
    wire = Wire()
    await wire.say(OK)
    assert wire.connection.has_unsolicited_data


def test_one_that_was_never_made_cannot_be_asked() -> None:
    connection = UpstreamConnection(PATIENCE)
    assert not connection.is_connected
    connection.pause()
    connection.close()


@in_virtual_time
async def test_what_is_no_answer_breaks_it_off() -> None:
    wire = Wire()
    arriving = ask(wire)
    await wire.say(b"SSH-2.0\r\n")
    assert wire.transport.was_aborted
    with pytest.raises(BackendBrokenError):
        await arriving.head()


# -- silence --------------------------------------------------------------------------------------


@in_virtual_time
async def test_silence_breaks_it_off() -> None:
    wire = Wire()
    arriving = ask(wire)
    wire.connection.limit_silence(PATIENCE)
    with pytest.raises(TimeoutError):
        await arriving.head()
    assert asyncio.get_running_loop().time() == PATIENCE
    assert wire.transport.was_aborted


@in_virtual_time
async def test_every_byte_of_an_answer_is_progress() -> None:
    wire = Wire()
    arriving = ask(wire)
    wire.connection.limit_silence(PATIENCE)
    await wire.say(LONG)
    for _ in range(4):
        await asyncio.sleep(PATIENCE - 1)
        await wire.say(b"x")
    assert wire.is_open
    await asyncio.sleep(PATIENCE + 1)
    assert isinstance(arriving.body.error, TimeoutError)


@in_virtual_time
async def test_interim_answers_are_no_progress() -> None:
    wire = Wire()
    ask(wire)
    wire.connection.limit_silence(PATIENCE)
    await asyncio.sleep(PATIENCE - 1)
    await wire.say(b"HTTP/1.1 102 Processing\r\n\r\n")
    await asyncio.sleep(1.1)
    assert wire.transport.was_aborted


@in_virtual_time
async def test_a_pause_from_here_is_not_its_silence() -> None:
    wire = Wire()
    arriving = ask(wire)
    wire.connection.limit_silence(PATIENCE)
    await wire.say(LONG + bytes(BUFFER))
    assert not wire.transport.is_read
    await asyncio.sleep(5 * PATIENCE)
    assert wire.is_open
    arriving.body.take()
    assert wire.transport.is_read
    await asyncio.sleep(PATIENCE - 1)
    assert wire.is_open
    await asyncio.sleep(PATIENCE / 2)
    assert wire.transport.was_aborted


@in_virtual_time
async def test_without_a_limit_it_may_be_silent() -> None:
    wire = Wire()
    ask(wire)
    wire.connection.limit_silence(PATIENCE)
    wire.connection.limit_silence(None)
    await asyncio.sleep(10 * PATIENCE)
    wire.connection.limit_silence(PATIENCE)
    wire.connection.done()
    await asyncio.sleep(10 * PATIENCE)
    assert wire.is_open


# -- followers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alone", [True, False])
@in_virtual_time
async def test_a_stream_goes_to_its_follower_for_as_long_as_it_lasts(*, alone: bool) -> None:
    wire, got, ends = Wire(), list[bytes](), list[BaseException | None]()
    arriving = ask(wire)
    wire.connection.limit_silence(PATIENCE)
    await wire.say(EVENTS + b"data: 1\n\n")
    wire.connection.follow(arriving, got.append, ends.append, alone=alone)
    await asyncio.sleep(10 * PATIENCE)
    await wire.say(b"data: 2\n\n")
    await wire.hang_up()
    assert (got, ends) == ([b"data: 1\n\n", b"data: 2\n\n"], [None])


@in_virtual_time
async def test_a_follower_of_an_answer_that_is_aborted_is_told_nothing() -> None:
    wire, ends = Wire(), list[BaseException | None]()
    arriving = ask(wire)
    await wire.say(EVENTS)
    wire.connection.follow(arriving, lambda _: None, ends.append, alone=True)
    wire.connection.abort()
    await wire.say(b"more")
    assert ends == []
    assert wire.transport.was_aborted


# -- its end --------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_end_within_an_answer_breaks_it() -> None:
    wire = Wire()
    arriving = ask(wire)
    wire.connection.limit_silence(PATIENCE)
    await wire.hang_up(error := ConnectionResetError())
    with pytest.raises(ConnectionResetError) as raised:
        await arriving.head()
    assert raised.value is error
    with pytest.raises(ConnectionResetError):
        ask(wire)


@in_virtual_time
async def test_an_end_between_two_answers_is_nobodys() -> None:
    wire = Wire()
    ask(wire)
    await wire.say(OK)
    wire.connection.done()
    await wire.hang_up()
    assert not wire.connection.is_connected
    wire.connection.abort()


def reset_behind(words: bytes) -> Arriving:
    """Have the backend say these and reset, all before the event loop reads."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = UpstreamConnection(PATIENCE)
        connection.connection_made(Transport(connection, socket=ours))
        arriving = connection.ask(ASKED, "POST", ignored)
        theirs.sendall(words)
        connection.connection_lost(ConnectionResetError())
    return arriving


@in_virtual_time
async def test_the_last_words_of_a_backend_that_resets_are_heard() -> None:
    """A backend that refuses an upload answers and closes with the body unread."""
    arriving = reset_behind(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert (await arriving.head()).status == 413


@in_virtual_time
async def test_last_words_that_are_no_answer_are_the_backends_fault() -> None:
    arriving = reset_behind(b"no\r\n")
    with pytest.raises(BackendBrokenError):
        await arriving.head()


@in_virtual_time
async def test_what_was_sent_is_taken_before_it_is_closed() -> None:
    wire = Wire()
    wire.connection.close()
    assert not wire.is_open
    assert not wire.transport.was_aborted
