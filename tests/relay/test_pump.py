"""A relay's bytes on their way, and every way in which it ends."""

import asyncio

import pytest

from proxy.core.records import Ending
from proxy.http.errors import BackendBrokenError, BackendError
from proxy.http.upstream.stream import Sink
from proxy.relay.alarms import FarAlarms
from proxy.relay.ends import Over, Piece
from proxy.relay.pump import Pump
from proxy.relay.watch import Due
from tests.support.virtual_time import in_virtual_time

IDLE = 90.0
LAST = b"<ending>"

Said = float | bytes | Exception | None


class Upstream:
    """What the backend says, and when: seconds of silence, bytes, an error, or None for its end."""

    def __init__(self, *said: Said) -> None:
        self.aborted = False
        self.pauses = 0
        self._said = list(said)
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._speaking: asyncio.Task[None] | None = None

    def follow(self, sink: Sink) -> None:
        self._speaking = asyncio.create_task(self._speak(sink))

    async def _speak(self, sink: Sink) -> None:
        for word in self._said:
            await self._may_go_on.wait()
            if isinstance(word, float):
                await asyncio.sleep(word)
            elif isinstance(word, bytes):
                sink.data(word)
            else:
                sink.ended(word)

    def pause(self) -> None:
        self.pauses += self._may_go_on.is_set()
        self._may_go_on.clear()

    def resume(self) -> None:
        self._may_go_on.set()

    def abort(self) -> None:
        self.aborted = True
        if self._speaking is not None:
            self._speaking.cancel()


class Watch:
    """Ends a stream at `|`, adds to a `+`, keeps a `-` to itself, and lets what is lower case pass.

    It has an ending to give when it is due, or at the end.
    """

    def __init__(self, *, due: Due | None = None, at_eof: bytes = b"") -> None:
        self.told = False
        self.now_due = due
        self.resumed = 0.0
        self.seen: list[bytes] = []
        self._at_eof = at_eof

    def written(self) -> None:
        raise AssertionError("only one of several browsers is sent such things")

    def close(self) -> None:
        pass

    def passes(self, chunk: bytes, _now: float, /) -> bool:
        return chunk.islower()

    async def see(self, chunk: bytes, /) -> int | None:
        self.seen.append(chunk)
        end = chunk.find(b"|")
        self.told = self.told or end >= 0
        return end + 1 if end >= 0 else None

    def amend(self, chunk: bytes, /) -> list[Piece]:
        data = chunk.replace(b"+", b"plus ").replace(b"-", b"")
        return [Piece(data)] if data else []

    async def due(self, resumed: float, /) -> Due | None:
        self.resumed = resumed
        return self.now_due

    async def ending(self, overdue: Due | None, /) -> tuple[Piece, ...]:
        last = LAST if overdue else self._at_eof
        return (Piece(last),) if last else ()


class Browser:
    """Takes so many bytes at once, and needs `pause` seconds before it takes more."""

    def __init__(self, *, takes: int = 1000, pause: float = 0.0) -> None:
        self.got: list[bytes] = []
        self.gone: ConnectionError | None = None
        self._takes = takes
        self._pause = pause
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        return self._waiting >= self._takes

    def send(self, chunk: bytes) -> bool:
        if self.gone is not None:
            raise self.gone
        self.got.append(chunk)
        self._waiting += len(chunk)
        return not self.is_full

    def give(self, piece: Piece) -> None:
        self.send(piece.data)

    async def drain(self) -> None:
        await asyncio.sleep(self._pause)
        if self.gone is not None:
            raise self.gone
        self._waiting = 0


class Played:
    """A pump between its upstream and its browser."""

    def __init__(
        self, upstream: Upstream, watch: Watch | None = None, browser: Browser | None = None, *, buffer: int = 1000
    ) -> None:
        self.upstream = upstream
        self.watch = watch or Watch()
        self.browser = browser or Browser()
        self.closed: list[tuple[Over, float]] = []
        self.overdue: Ending | None = None
        self.told: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.pump = Pump(
            upstream,
            self.browser,
            self.watch,
            alarms=FarAlarms(),
            clock=self.loop.time,
            idle_timeout=IDLE,
            buffer=buffer,
            closed=self._note_closed,
        )

    def _note_closed(self, why: Over, overdue: Ending | None) -> None:
        self.overdue = overdue
        self.closed.append((why, self.loop.time()))

    @property
    def got(self) -> bytes:
        return b"".join(self.browser.got)

    async def run(self) -> None:
        try:
            await self.pump.run(lambda: self.told.append(self.loop.time()))
        finally:
            assert self.upstream.aborted, "P6: no orphan"
            assert len(self.closed) == 1

    async def until_over(self) -> tuple[Over, float]:
        """Why and when its upstream was closed."""
        await self.run()
        assert self.closed[0][0] is self.pump.over
        return self.closed[0]


@in_virtual_time
async def test_a_terminal_event_is_the_last_that_is_sent() -> None:
    """P4: whatever follows it, even in the same chunk."""
    played = Played(Upstream(b"One ", 2.0, b"Two|three", b"four", None))

    assert await played.until_over() == (Over.TERMINAL, 2)
    assert played.got == b"One Two|"
    assert played.told[0] == 2


@in_virtual_time
async def test_what_is_looked_at_may_be_added_to_or_kept_back() -> None:
    played = Played(Upstream(b"One+", b"-", 1.0, b"-Two|", None))

    await played.run()

    assert played.browser.got == [b"Oneplus ", b"Two|"], "nothing is sent where nothing goes on"


@in_virtual_time
async def test_what_passes_goes_on_in_the_call_that_it_arrives_in() -> None:
    """Nobody looks at it, and it is not mixed up with what is looked at."""
    played = Played(Upstream(1.0, b"one ", b"two ", b"Three ", b"four ", 1.0, b"five ", b"SIX|"))

    assert await played.until_over() == (Over.TERMINAL, 2)
    assert played.browser.got[:2] == [b"one ", b"two "]
    assert played.got == b"one two Three four five SIX|"
    assert played.watch.seen == [b"Three ", b"four ", b"SIX|"]


@in_virtual_time
async def test_an_end_of_file_passes_as_it_is() -> None:
    played = Played(Upstream(b"one ", 1.0, b"two", None))

    assert await played.until_over() == (Over.EOF, 1)
    assert played.got == b"one two"


@in_virtual_time
async def test_an_end_of_file_is_given_an_ending_where_one_is_due() -> None:
    """P5: a stream that was being cancelled."""
    played = Played(Upstream(b"one", None), Watch(at_eof=LAST))

    assert (await played.until_over())[0] is Over.EOF
    assert played.got == b"one" + LAST


@in_virtual_time
async def test_a_stream_that_breaks_off_breaks_off() -> None:
    """It must not look whole."""
    played = Played(Upstream(b"one", BackendBrokenError("gone")))

    with pytest.raises(BackendError, match="gone"):
        await played.run()
    assert played.pump.over is Over.BROKEN
    assert played.got == b"one"


@in_virtual_time
async def test_a_stream_that_breaks_off_is_whole_with_the_ending_it_was_due() -> None:
    played = Played(Upstream(b"one", BackendBrokenError("gone")), Watch(at_eof=LAST))

    assert (await played.until_over())[0] is Over.BROKEN
    assert played.got == b"one" + LAST


@pytest.mark.parametrize("heartbeat", [b":", b"passing"], ids=["seen", "passed"])
@in_virtual_time
async def test_silence_ends_it_and_a_heartbeat_breaks_the_silence(heartbeat: bytes) -> None:
    played = Played(Upstream(60.0, heartbeat, 60.0, heartbeat, 1000.0))

    assert await played.until_over() == (Over.IDLE, 120 + IDLE)
    assert played.got == 2 * heartbeat


@in_virtual_time
async def test_it_ends_when_it_is_due() -> None:
    """P5, P6: with the ending that it was to be given."""
    played = Played(Upstream(b"one", 1000.0), Watch(due=Due(5.0, Ending.CANCELLED)))

    assert await played.until_over() == (Over.OVERDUE, 5)
    assert played.got == b"one" + LAST
    assert played.overdue is Ending.CANCELLED


@in_virtual_time
async def test_it_ends_at_once_when_it_was_due_before_it_began() -> None:
    played = Played(Upstream(b"one"), Watch(due=Due(0.0, Ending.CANCELLED)))

    assert await played.until_over() == (Over.OVERDUE, 0)
    assert played.got == LAST


@in_virtual_time
async def test_a_limit_that_comes_up_is_kept_after_a_revision() -> None:
    played = Played(Upstream(b"one", 1000.0))
    played.loop.call_later(3, _set_due, played, 4.0)

    assert await played.until_over() == (Over.OVERDUE, 4)


def _set_due(played: Played, at: float) -> None:
    played.watch.now_due = Due(at, Ending.SUPERSEDED)
    played.pump.revise()


@in_virtual_time
async def test_a_limit_that_was_put_off_is_looked_at_again() -> None:
    played = Played(Upstream(b"one ", 20.0, b"TWO|"), Watch(due=Due(5.0, Ending.FINISHED)))
    played.loop.call_later(4, setattr, played.watch, "now_due", None)

    assert await played.until_over() == (Over.TERMINAL, 20)


@in_virtual_time
async def test_revisions_may_come_at_any_moment() -> None:
    """Before it runs, one after another while it does, and when it is over; without a limit they change nothing."""
    played = Played(Upstream(b"one ", 10.0, b"TWO|"))
    played.pump.revise()
    played.loop.call_at(3, _revise_in_every_iteration, played.pump, 5)

    assert await played.until_over() == (Over.TERMINAL, 10)
    played.pump.revise()
    assert played.got == b"one TWO|"


def _revise_in_every_iteration(pump: Pump, count: int) -> None:
    pump.revise()
    if count:
        asyncio.get_running_loop().call_soon(_revise_in_every_iteration, pump, count - 1)


@pytest.mark.parametrize("word", [b"%04d", b"w%03d"], ids=["seen", "passed"])
@in_virtual_time
async def test_a_slow_browser_holds_the_upstream_back_and_loses_nothing(word: bytes) -> None:
    """P7: neither revisions nor the wait cost a byte, and no more waits than the buffer takes."""
    chunks: list[Said] = [word % number for number in range(100)]
    played = Played(Upstream(*chunks, b"|"), browser=Browser(takes=8, pause=1.0), buffer=16)
    for at in range(1, 30):
        played.loop.call_at(at + 0.5, played.pump.revise)

    assert (await played.until_over())[0] is Over.TERMINAL
    assert played.got == b"".join(word % number for number in range(100)) + b"|"
    assert played.upstream.pauses > 10
    assert max(map(len, played.browser.got)) <= 16 + 4


@in_virtual_time
async def test_an_upstream_that_is_held_back_is_not_silent() -> None:
    """`idle_timeout` is the backend's silence: here it has more to say than the browser takes."""
    chunks: list[Said] = [b"%04d" % number for number in range(8)]
    played = Played(Upstream(*chunks, 1.0, b"|"), browser=Browser(takes=4, pause=2 * IDLE), buffer=4)

    why, at = await played.until_over()
    assert why is Over.TERMINAL
    assert played.watch.resumed == at - 1, "its silence is counted from when it could be read again"


@in_virtual_time
async def test_a_limit_is_kept_though_the_browser_is_slow() -> None:
    """P6: the upstream is closed when it is due; the browser takes what it was sent, in its time."""
    played = Played(
        Upstream(b"one", b"two", 1000.0), Watch(due=Due(5.0, Ending.CANCELLED)), Browser(takes=1, pause=60.0)
    )

    assert await played.until_over() == (Over.OVERDUE, 5)
    assert played.got == b"onetwo" + LAST
    assert played.loop.time() == 60


@in_virtual_time
async def test_a_stream_that_a_slow_browser_holds_back_is_not_cut_when_it_is_due() -> None:
    """There is more of it to come than the browser has taken; its silence counts from when it was read to its end."""
    chunks: list[Said] = [b"%04d" % number for number in range(8)]
    played = Played(
        Upstream(*chunks, 1.0, b"|"),
        Watch(due=Due(5.0, Ending.SUPERSEDED)),
        Browser(takes=4, pause=20.0),
        buffer=4,
    )
    played.loop.call_at(100.0, _set_due, played, 1000.0)

    assert (await played.until_over())[0] is Over.TERMINAL
    assert played.got == b"".join(b"%04d" % number for number in range(8)) + b"|"


@in_virtual_time
async def test_a_browser_is_told_once_it_has_taken_what_came_before() -> None:
    """F5: the answer of a Stop waits for it."""
    played = Played(Upstream(b"One", 1.0, b"Two|"), browser=Browser(takes=1, pause=10.0))

    await played.until_over()
    assert played.told[0] == 10
    assert played.closed == [(Over.TERMINAL, 1)]


@in_virtual_time
async def test_a_browser_that_leaves_closes_the_upstream() -> None:
    """P6: breaking off the run is all it takes."""
    played = Played(Upstream(b"one", 1000.0))
    running = asyncio.create_task(played.run())
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert played.closed == [(Over.LEFT, 1)]


@pytest.mark.parametrize("word", [b"seen", b"Passed"], ids=["passed", "seen"])
@in_virtual_time
async def test_a_browser_that_takes_nothing_any_more_closes_the_upstream(word: bytes) -> None:
    """As its connection says, which has a limit for it (P7)."""
    played = Played(Upstream(word, word, 1000.0), browser=Browser(takes=1, pause=30.0))
    played.loop.call_at(10, setattr, played.browser, "gone", ConnectionResetError("stalled"))

    with pytest.raises(ConnectionResetError, match="stalled"):
        await played.run()
    assert played.closed == [(Over.LEFT, 30)]


@in_virtual_time
async def test_what_passes_to_a_browser_that_is_gone_is_nobodys_mistake() -> None:
    """Its connection is about to end the run; the upstream's must not be hurt by it."""
    played = Played(Upstream(1.0, b"one", b"two", 1000.0))
    played.browser.gone = ConnectionResetError("gone")
    running = asyncio.create_task(played.run())
    await asyncio.sleep(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert played.got == b""


@pytest.mark.parametrize("last", [b"", LAST])
@in_virtual_time
async def test_the_proxys_end_ends_it_as_the_backends_would(last: bytes) -> None:
    """What was being cancelled is told so; any other page comes back, as after every end of file."""
    played = Played(Upstream(b"one ", 1000.0), Watch(at_eof=last))
    played.loop.call_later(3, played.pump.drain)

    assert await played.until_over() == (Over.DRAINED, 3)
    assert played.got == b"one " + last


@in_virtual_time
async def test_a_slow_browser_is_sent_what_it_has_coming_before_the_end() -> None:
    played = Played(Upstream(b"one ", b"two ", b"three ", 1000.0), browser=Browser(takes=4, pause=10.0))
    played.loop.call_later(3, played.pump.drain)

    assert await played.until_over() == (Over.DRAINED, 3)
    assert played.got == b"one two three "


def _mistake(*_: object) -> None:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize("place", ["see", "due"])
@in_virtual_time
async def test_a_mistake_ends_it(place: str) -> None:
    """Nothing is left open, and the browser does not wait for ever."""
    played = Played(Upstream(b"One", 1000.0))
    setattr(played.watch, place, _mistake)

    with pytest.raises(RuntimeError, match="a mistake"):
        await played.run()
    assert played.closed == [(Over.FAILED, 0)]
