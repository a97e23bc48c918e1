"""The upstream side of a relay, and every way in which it ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.core.records import Ending
from proxy.guard.broadcast import Broadcast
from proxy.guard.source import Over, Source
from proxy.guard.watch import Due
from proxy.http.errors import BackendBrokenError, BackendError
from tests.support.virtual_time import in_virtual_time

IDLE = 90.0
LAST = b"<ending>"


class Upstream:
    """What the backend says, and when: seconds of silence, bytes, or an error."""

    def __init__(self, *said: float | bytes | Exception) -> None:
        self.aborted = False
        self._said = list(said)

    async def chunks(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while self._said:
            word = self._said[0]
            if isinstance(word, float):
                until = loop.time() + word
                try:
                    await asyncio.sleep(word)
                except asyncio.CancelledError:
                    self._said[0] = until - loop.time()
                    raise
            self._said.pop(0)
            if isinstance(word, Exception):
                raise word
            if isinstance(word, bytes):
                yield word

    def abort(self) -> None:
        self.aborted = True


class Watch:
    """Ends a stream at `|`, and has an ending to give when it is due or at the end of file."""

    told = False

    def __init__(self, *, due: Due | None = None, at_eof: bytes = b"") -> None:
        self.now_due = due
        self.resumed = 0.0
        self._at_eof = at_eof

    async def see(self, chunk: bytes, /) -> int | None:
        end = chunk.find(b"|")
        return end + 1 if end >= 0 else None

    async def due(self, resumed: float, /) -> Due | None:
        self.resumed = resumed
        return self.now_due

    async def ending(self, overdue: Due | None, /) -> bytes:
        return LAST if overdue else self._at_eof


class Played:
    """A source between its upstream and one browser, which takes `pause` seconds over each piece."""

    def __init__(self, upstream: Upstream, watch: Watch, *, buffer: int = 1000, pause: float = 0.0) -> None:
        self.upstream = upstream
        self.closed: list[tuple[Over | None, float]] = []
        self.overdue: Ending | None = None
        self.seen = b""
        self.error: Exception | None = None
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        broadcast = Broadcast()
        self._subscription = broadcast.subscribe(buffer)
        self.source = Source(
            upstream, broadcast, watch, clock=self._loop.time, idle_timeout=IDLE, closed=self._note_closed
        )

    async def until_over(self) -> tuple[Over, float]:
        """Why and when it ended."""
        browser = asyncio.create_task(self._browse())
        why = await self.source.run()
        at = self._loop.time()
        await browser
        assert self.closed == [(why, at)]
        assert self.upstream.aborted, "P6: no orphan"
        return why, at

    async def _browse(self) -> None:
        try:
            async for piece in self._subscription.chunks():
                self.seen += piece
                await asyncio.sleep(self._pause)
        except BackendError as error:
            self.error = error

    def _note_closed(self, why: Over | None, overdue: Ending | None) -> None:
        self.overdue = overdue
        self.closed.append((why, self._loop.time()))


@in_virtual_time
async def test_a_terminal_event_is_the_last_that_is_written() -> None:
    """P4: whatever follows it, even in the same chunk."""
    played = Played(Upstream(b"one ", 2.0, b"two|three", b"four"), Watch())

    assert await played.until_over() == (Over.TERMINAL, 2)
    assert played.seen == b"one two|"
    assert played.overdue is None


@in_virtual_time
async def test_an_end_of_file_passes_as_it_is() -> None:
    played = Played(Upstream(b"one ", 1.0, b"two"), Watch())

    assert await played.until_over() == (Over.EOF, 1)
    assert played.seen == b"one two"
    assert played.error is None


@in_virtual_time
async def test_an_end_of_file_is_given_an_ending_where_one_is_due() -> None:
    """P5: a stream that was being cancelled."""
    played = Played(Upstream(b"one"), Watch(at_eof=LAST))

    assert (await played.until_over())[0] is Over.EOF
    assert played.seen == b"one" + LAST


@in_virtual_time
async def test_a_stream_that_breaks_off_breaks_off() -> None:
    """It must not look whole."""
    played = Played(Upstream(b"one", BackendBrokenError("gone")), Watch())

    assert (await played.until_over())[0] is Over.BROKEN
    assert played.seen == b"one"
    assert isinstance(played.error, BackendBrokenError)


@in_virtual_time
async def test_a_stream_that_breaks_off_is_whole_with_the_ending_it_was_due() -> None:
    played = Played(Upstream(b"one", BackendBrokenError("gone")), Watch(at_eof=LAST))

    assert (await played.until_over())[0] is Over.BROKEN
    assert played.seen == b"one" + LAST
    assert played.error is None


@in_virtual_time
async def test_silence_ends_it_and_a_heartbeat_breaks_the_silence() -> None:
    played = Played(Upstream(60.0, b":", 60.0, b":", 1000.0), Watch())

    assert await played.until_over() == (Over.IDLE, 120 + IDLE)
    assert played.seen == b"::"


@in_virtual_time
async def test_it_ends_when_it_is_due() -> None:
    """P5, P6: with the ending that it was to be given."""
    played = Played(Upstream(b"one", 1000.0), Watch(due=Due(5.0, Ending.CANCELLED)))

    assert await played.until_over() == (Over.OVERDUE, 5)
    assert played.seen == b"one" + LAST
    assert played.overdue is Ending.CANCELLED


@in_virtual_time
async def test_it_ends_at_once_when_it_was_due_before_it_began() -> None:
    played = Played(Upstream(b"one"), Watch(due=Due(0.0, Ending.CANCELLED)))

    assert await played.until_over() == (Over.OVERDUE, 0)
    assert played.seen == LAST


@in_virtual_time
async def test_a_limit_that_comes_up_is_kept_after_a_revision() -> None:
    watch = Watch()
    played = Played(Upstream(b"one", 1000.0), watch)
    asyncio.get_running_loop().call_later(3, _set_due, watch, played.source, 4.0)

    assert await played.until_over() == (Over.OVERDUE, 4)


def _set_due(watch: Watch, source: Source, at: float) -> None:
    watch.now_due = Due(at, Ending.SUPERSEDED)
    source.revise()


@in_virtual_time
async def test_a_revision_without_a_limit_changes_nothing() -> None:
    played = Played(Upstream(b"one ", 10.0, b"two|"), Watch())
    asyncio.get_running_loop().call_later(3, played.source.revise)

    assert await played.until_over() == (Over.TERMINAL, 10)
    assert played.seen == b"one two|"


@in_virtual_time
async def test_a_limit_that_was_put_off_is_looked_at_again() -> None:
    watch = Watch(due=Due(5.0, Ending.FINISHED))
    played = Played(Upstream(b"one ", 20.0, b"two|"), watch)
    asyncio.get_running_loop().call_later(4, setattr, watch, "now_due", None)

    assert await played.until_over() == (Over.TERMINAL, 20)


@in_virtual_time
async def test_revisions_may_come_at_any_moment() -> None:
    """Before it runs, in the instant in which its limit passes, one after another, and when it is over."""
    loop, watch = asyncio.get_running_loop(), Watch()
    played = Played(Upstream(b"one ", 10.0, b"two|"), watch)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(str(context.get("exception"))))
    played.source.revise()
    loop.call_at(3, _revise_in_every_iteration, played.source, 5)

    assert (await played.until_over())[0] is Over.TERMINAL
    played.source.revise()
    assert played.seen == b"one two|"
    assert complaints == []


def _revise_in_every_iteration(source: Source, count: int) -> None:
    source.revise()
    if count:
        asyncio.get_running_loop().call_soon(_revise_in_every_iteration, source, count - 1)


@in_virtual_time
async def test_a_slow_browser_holds_the_upstream_back_and_loses_nothing() -> None:
    """P7: neither revisions nor limits that are put off cost a byte."""
    chunks = [b"%04d" % number for number in range(100)]
    played = Played(Upstream(*chunks, b"|"), Watch(), buffer=16, pause=1.0)
    for at in range(1, 30):
        asyncio.get_running_loop().call_at(at + 0.5, played.source.revise)

    assert (await played.until_over())[0] is Over.TERMINAL
    assert played.seen == b"".join(chunks) + b"|"


@in_virtual_time
async def test_an_upstream_that_is_held_back_is_not_silent() -> None:
    """`idle_timeout` is the backend's silence: here it has more to say than the browser takes."""
    chunks, watch = [b"%04d" % number for number in range(8)], Watch()
    played = Played(Upstream(*chunks, 1.0, b"|"), watch, buffer=4, pause=2 * IDLE)

    why, at = await played.until_over()
    assert why is Over.TERMINAL
    assert watch.resumed == at - 1, "its silence is counted from when it could be read again"
    assert played.seen == b"".join(chunks) + b"|"


@in_virtual_time
async def test_a_browser_that_leaves_closes_the_upstream() -> None:
    """P6: breaking off the run is all it takes; there is no reason to give."""
    played = Played(Upstream(b"one", 1000.0), Watch())
    running = asyncio.create_task(played.source.run())
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert played.upstream.aborted
    assert played.closed == [(None, 1)]


@pytest.mark.parametrize("last", [b"", LAST])
@in_virtual_time
async def test_the_proxys_end_ends_it_as_the_backends_would(last: bytes) -> None:
    """What was being cancelled is told so; any other page comes back, as after every end of file."""
    played = Played(Upstream(b"one ", 1000.0), Watch(at_eof=last))
    asyncio.get_running_loop().call_later(3, played.source.drain)

    assert await played.until_over() == (Over.DRAINED, 3)
    assert played.seen == b"one " + last
    assert played.error is None


@in_virtual_time
async def test_a_slow_browser_is_given_what_it_has_coming_before_the_end() -> None:
    played = Played(Upstream(b"one ", b"two ", b"three ", 1000.0), Watch(), buffer=4, pause=10)
    asyncio.get_running_loop().call_later(3, played.source.drain)

    why, _ = await played.until_over()

    assert why is Over.DRAINED
    assert b"one two three ".startswith(played.seen)
    assert played.seen.startswith(b"one two ")


@in_virtual_time
async def test_a_mistake_ends_it_for_everybody() -> None:
    """Nothing is left open, and the browser does not wait for ever."""
    played = Played(Upstream(b"one", RuntimeError("a mistake")), Watch())
    browser = asyncio.create_task(played._browse())
    with pytest.raises(RuntimeError, match="a mistake"):
        await played.source.run()

    await browser
    assert played.upstream.aborted
    assert played.closed == [(None, 0)]
