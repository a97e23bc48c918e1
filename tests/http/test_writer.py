"""Writing to a peer that takes nothing, little, or is gone."""

from __future__ import annotations

import asyncio

import pytest

from proxy.http.pace import Pace
from proxy.http.writer import PeerCrowdedOutError, PeerStalledError, Writer
from tests.support.transport import Transport, turns
from tests.support.virtual_time import in_virtual_time

PATIENCE = 30.0


class Written:
    """A writer whose peer has left some bytes untaken."""

    def __init__(self, unsent: int = 100) -> None:
        self.writer, self.transport = Writer(PATIENCE), Transport()
        self.writer.made(self.transport)
        self.transport.unsent = unsent
        self.writer.pause()

    def drain(self, pace: Pace | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(self.writer.drain(pace))


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("is_closing", [False, True])
def test_a_connection_that_is_gone_or_going_takes_nothing(*, is_closing: bool) -> None:
    writer = Writer(PATIENCE)
    if is_closing:
        transport = Transport()
        writer.made(transport)
        writer.write(b"a")
        assert transport.took() == b"a"
        transport.close()
    with pytest.raises(ConnectionResetError):
        writer.write(b"b")


@in_virtual_time
async def test_there_is_nothing_to_wait_for_while_the_peer_takes_all() -> None:
    written = Written()
    written.writer.resume()
    assert not written.writer.is_full
    await written.writer.drain()


@in_virtual_time
async def test_a_connection_that_is_gone_is_not_waited_for() -> None:
    with pytest.raises(ConnectionResetError):
        await Writer(PATIENCE).drain()


@in_virtual_time
async def test_whoever_waits_goes_on_once_the_peer_takes_more() -> None:
    written = Written()
    first, second = written.drain(), written.drain()
    await turns()
    written.writer.resume()
    await asyncio.gather(first, second)
    assert now() == 0.0


@in_virtual_time
async def test_a_peer_that_takes_nothing_is_given_up() -> None:
    written = Written()
    with pytest.raises(PeerStalledError, match="nothing for 30 s") as stalled:
        await written.writer.drain()
    assert (stalled.value.code, now()) == ("browser_stalled", PATIENCE)


@in_virtual_time
async def test_a_peer_that_takes_a_little_is_waited_for() -> None:
    written = Written(3)
    draining = written.drain()
    for _ in range(3):
        await asyncio.sleep(PATIENCE - 1)
        written.transport.unsent -= 1
    with pytest.raises(PeerStalledError):
        await draining
    assert now() == pytest.approx(4 * PATIENCE)


@in_virtual_time
async def test_a_connection_that_is_lost_ends_the_wait() -> None:
    written = Written()
    draining = written.drain()
    await turns()
    written.writer.lost()
    with pytest.raises(ConnectionResetError):
        await draining


@in_virtual_time
async def test_a_peer_that_others_wait_for_is_given_up_at_once() -> None:
    written = Written()
    draining = written.drain()
    await turns()
    written.writer.give_up()
    with pytest.raises(PeerCrowdedOutError) as given_up:
        await draining
    assert given_up.value.code == "crowded_out"
    written.writer.give_up()  # nobody waits any more


@in_virtual_time
async def test_whoever_leaves_the_wait_ends_it_for_nobody_else() -> None:
    written = Written()
    leaving, staying = written.drain(), written.drain()
    await turns()
    leaving.cancel()
    await asyncio.wait({leaving})
    written.writer.resume()
    await staying


@in_virtual_time
async def test_the_wait_counts_as_the_peers_less_what_it_takes_meanwhile() -> None:
    written, pace = Written(1 << 20), Pace(now)
    draining = written.drain(pace)
    await asyncio.sleep(2.0)
    assert pace.lateness == 2.0
    written.transport.unsent -= 16_384
    assert pace.lateness == 1.0
    written.writer.resume()
    await draining
    assert pace.lateness == 0.0
