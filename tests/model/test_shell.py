"""The whole guard over random interleavings, in virtual time: P1 to P11, as `verify` finds them in its own trace.

Tabs open, read and leave; turns are started and stopped; the backend unwinds late, never, or in the wrong order;
the proxy is restarted in mid-turn. Only sockets are left out: everything from verdicts to broadcast is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from proxy.app import compose
from proxy.config import OwnershipSettings, Settings
from proxy.events.guard import InternalError
from proxy.hermes.contract import Change, OpenStream
from proxy.http.account import Account
from proxy.http.errors import BackendBrokenError, BackendUnreachableError
from proxy.http.message import RequestHead
from proxy.ops.receipts import Receipts
from proxy.tasks import Tasks
from proxy.verify import verify
from tests.model.hermes import Habits, Hermes
from tests.support.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.events.event import Event
    from proxy.guard.handler import Handler
    from proxy.guard.label import Judged
    from proxy.http.headers import RawHeaders

T = TypeVar("T")
P = ParamSpec("P")
Step = tuple[str, dict[str, Any]]
OWNERSHIP = OwnershipSettings()
SESSIONS = ("s", "t")
_PAGES_END = frozenset({"done", "stream_end", "cancel"})
AT_LAST = 95.0
"""Seconds after which everything that is bounded has come to its end."""

picks = st.integers(0, 1 << 16)
lengths = st.sampled_from([0.3, 1.5, 60.0])
spans = st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.3, 1.0, 6.0])


@dataclass(eq=False)
class Tab:
    """What one browser was given of one stream."""

    stream_id: str
    opened_at: float
    replay: bool = False
    """It was opened after its turn had ended: it is shown what the journal holds."""
    received: bytearray = field(default_factory=bytearray)
    left: bool = False
    whole: bool = False
    told_at: float | None = None
    """When it was given the event that ends its turn for a page."""

    rest: Any = None

    is_full = False

    def send(self, chunk: bytes) -> bool:
        assert not self.left
        self.received += chunk
        if self.told_at is None and not _PAGES_END.isdisjoint(self.events):
            self.told_at = asyncio.get_running_loop().time()
        return True

    def end(self, _trailers: RawHeaders = ()) -> None:
        self.whole = True

    @property
    def events(self) -> list[str]:
        lines = bytes(self.received).decode().split("\n")
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


@dataclass(eq=False)
class Asked:
    """A start or a cancel, and what its browser was told."""

    number: int
    call: str
    caller: str
    at: float
    stream_id: str = ""
    answer: Judged | None = None
    broken: bool = False
    """The proxy ended while it was under way."""


def recorded(rule_of: Callable[P, None]) -> Callable[P, None]:
    """A rule that notes that it was played, and how; not those that it plays itself."""

    @functools.wraps(rule_of)
    def play(*args: P.args, **kwargs: P.kwargs) -> None:
        shell: Any = args[0]
        if not shell.is_playing:
            Shell.played.append((rule_of.__name__, kwargs))
        before, shell.is_playing = shell.is_playing, True
        try:
            rule_of(*args, **kwargs)
        finally:
            shell.is_playing = before

    return play


class Shell(RuleBasedStateMachine):
    """Browsers, the guard, and a backend, on one loop.

    Attributes:
        given: Habits of the backend that are not drawn.
        played: The steps of the latest run, by name and arguments.
        is_playing: Whether one is under way.
    """

    given: ClassVar[dict[str, Any]] = {}
    played: ClassVar[list[Step]] = []

    def __init__(self) -> None:
        super().__init__()
        self.is_playing = False
        Shell.played = []

    @initialize(
        fences=st.booleans(),
        repeats=st.booleans(),
        unwind=st.sampled_from([0.05, 0.4, 3.0, None]),
        event_after=st.sampled_from([0.0, 0.01, 0.3, 2.0, None]),
        answer_after=st.sampled_from([0.0, 0.01, 0.3, 2.0]),
        finishes=st.booleans(),
        lingers=st.booleans(),
        health=st.booleans(),
        deaf=st.sampled_from([0.0, 0.3, 2.0, 7.0, 22.0]),
        tail=st.sampled_from([0.01, 0.4]),
        runner=st.sampled_from([False, False, False, True]),
    )
    @recorded
    def begin(self, **habits: Any) -> None:
        self.loop = VirtualTimeLoop()
        self.stack = ExitStack()
        self.stack.enter_context(patch("proxy.relay.sharing.begin", self._begin_tab))
        self.stack.enter_context(patch("proxy.relay.relay.stream_back", self._refuse_tab))
        self.stack.enter_context(patch("proxy.guard.changes.stream_back", self._pass_back))
        self.reports: list[str] = []
        self.mistakes: list[dict[str, object]] = []
        self.stopped: dict[str, float] = {}
        self.disorder: list[tuple[Asked, Tab, float | None]] = []
        habits |= self.given
        habits["repeats"] |= habits["fences"]  # every release that fences repeats
        if habits["unwind"] not in (0.05, 0.4):  # nobody can know a long one's last moments
            habits["tail"] = 0.01
        if not habits["repeats"]:  # with one shot only, nothing helps a Stop that is lost (F14)
            habits["deaf"] = min(habits["deaf"], 2.0)
        self.hermes = Hermes(Habits(**habits))
        self.tabs: dict[Tab, asyncio.Task[Any]] = {}
        self.requests: list[asyncio.Task[Any]] = []
        self.asked: list[Asked] = []
        self.restarts = self.failures = 0
        self._run(self._open_proxy())

    # -- what happens -----------------------------------------------------------------------------

    @rule(session=st.sampled_from(SESSIONS), length=lengths)
    @recorded
    def start(self, session: str, length: float) -> None:
        body = json.dumps({"session_id": session, "length": length, "number": len(self.asked)}).encode()
        asked = Asked(len(self.asked), "start", "me", self.loop.time())
        self._ask(asked, self._start(_head("POST", "/api/chat/start"), body))

    @precondition(lambda self: self.hermes.turns)
    @rule(pick=picks, caller=st.sampled_from(["me", "you"]))
    @recorded
    def stop(self, pick: int, caller: str) -> None:
        self._stop(self._pick(pick), caller)

    @rule(
        session=st.sampled_from(SESSIONS),
        watched=st.sampled_from([0.02, 0.5]),
        presses=st.integers(1, 3),
        before=spans,
        length=lengths,
    )
    @recorded
    def stop_then_send(self, session: str, watched: float, presses: int, before: float, length: float) -> None:
        """What people do, at any speed: a turn is watched, stopped, and followed by another one."""
        self.start(session, 60.0)
        self._run(asyncio.sleep(watched))
        if not self.hermes.turns:
            return
        turn = list(self.hermes.turns.values())[-1]
        self.open_tab(pick=1)
        self._run(asyncio.sleep(watched))
        for _ in range(presses):
            self._stop(turn.stream_id, "me")
        self._run(asyncio.sleep(before))
        self.start(turn.session_id, length)

    @rule(session=st.sampled_from(SESSIONS))
    @recorded
    def undo(self, session: str) -> None:
        """Whatever changes a session waits as a start does (F17)."""
        body = json.dumps({"session_id": session}).encode()
        head = _head("POST", "/api/session/undo")
        request: Any = SimpleNamespace(head=lambda: head, account=Account(self.loop.time))
        change, free = Change(head.target.decode()), self.handler.starts.admission.free()
        self.requests.append(self._spawn(self.handler.changes.answer(request, change, body, free)))
        self._run(asyncio.sleep(0))

    @precondition(lambda self: self.hermes.turns)
    @rule(presses=st.integers(1, 2), pick=picks)
    @recorded
    def meddle(self, presses: int, pick: int) -> None:
        """Somebody else presses Stop, on whatever they know of."""
        for _ in range(presses):
            self._stop(self._pick(pick), "stranger")

    @precondition(lambda self: self.hermes.turns)
    @rule(pick=picks)
    @recorded
    def open_tab(self, pick: int) -> None:
        stream_id = self._pick(pick)
        tab = Tab(stream_id, self.loop.time())
        head = _head("GET", f"/api/chat/stream?stream_id={stream_id}")
        account = Account(self.loop.time)
        request: Any = SimpleNamespace(
            head=lambda: head,
            method="GET",
            target=head.target,
            raw_headers=head.headers,
            body=lambda: None,
            outlast=lambda: None,
            account=account,
            tab=tab,
        )
        self.tabs[tab] = self._spawn(self._relay(request, stream_id))

    @precondition(lambda self: self.tabs)
    @rule(pick=picks)
    @recorded
    def leave(self, pick: int) -> None:
        tab = list(self.tabs)[pick % len(self.tabs)]
        tab.left = not tab.whole
        self.tabs.pop(tab).cancel()

    @precondition(lambda self: self.requests)
    @rule(pick=picks)
    @recorded
    def give_up(self, pick: int) -> None:
        """A browser goes away while its start or cancel is under way (P10)."""
        self.requests.pop(pick % len(self.requests)).cancel()

    @rule(count=st.integers(1, 3))
    @recorded
    def find_no_connection(self, count: int) -> None:
        """For a moment the backend takes none, and goes on working; that proves nothing."""
        self.failures += 1
        self.hermes.unreachable = count

    @rule(span=spans)
    @recorded
    def wait(self, span: float) -> None:
        self._run(asyncio.sleep(span))

    @rule(chance=st.integers(0, 9))
    @recorded
    def restart_the_proxy(self, chance: int) -> None:
        if chance:
            return
        self._close_proxy()
        self.restarts += 1
        self._run(self._open_proxy())

    # -- what must hold ---------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "hermes"):
            return
        try:
            self._run(asyncio.sleep(AT_LAST))
            self.reports.append(_line(self.loop, "looked_at_last"))
            self._check()
        finally:
            self._close_proxy()
            self._run(self.hermes.close())
            self._end_tasks()
            self.stack.close()
            self.loop.close()

    def _end_tasks(self) -> None:
        """A mutant leaves some that nobody owns; a task that is collected as rubbish may break what runs just then."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self._run(asyncio.wait(left))

    def _check(self) -> None:
        assert not self.mistakes, "the guard made a mistake, and went on without (P8)"
        assert not self.disorder, "an event did not come just before its Stop's answer (F5)"
        broken = [f"{violation.promise}: {violation.sentence}" for violation in verify(self.reports)]
        assert not broken, "; ".join(broken)
        assert '"BackendRestarted"' not in "".join(self.reports), "a backend that ran on was taken for restarted (F20)"
        assert all(request.done() for request in self.requests), "something waits for ever (P7)"
        for asked in self.asked:
            self._check_answer(asked)
        self._check_overlaps()
        self._check_order()
        self._check_fates()
        self._check_stops()
        for tab in self.tabs:
            self._check_tab(tab)

    def _check_answer(self, asked: Asked) -> None:
        if asked.call == "start" and not (asked.broken or self.failures):
            assert asked.number in self.hermes.started, "a start was lost with its browser (P10)"
        if asked.answer is None:
            return
        if asked.caller != "stranger":
            assert asked.answer.answer.status != 401, "somebody was given a stranger's refusal (P9)"
        else:
            assert asked.answer.answer.status == 401, "a stranger was answered (P9)"
        fields = json.loads(asked.answer.answer.body)
        unwinds = self.hermes.habits.unwind is not None and self.hermes.habits.unwind < 1.0
        patient = unwinds and self.hermes.habits.answer_after < 1.0 and not (self.restarts or self.failures)
        if asked.call == "start" and asked.answer.answer.status == 409 and patient:
            assert fields["real"], f"a spurious 409, for {fields['active_stream_id']} (F2)"

    def _check_overlaps(self) -> None:
        unordered = any('"start_unordered"' in line for line in self.reports)
        assert unordered or self.restarts or not self.hermes.overlapping, "starts ran side by side (P3)"

    def _check_order(self) -> None:
        """F5: no turn begins before a page can have read the answer to the Stop of the one before."""
        if self.restarts or self.failures or '"start_hold_expired"' in "".join(self.reports):
            return
        for stream_id, at in self.stopped.items():
            same = [
                turn
                for turn in self.hermes.turns.values()
                if turn.session_id == self.hermes.turns[stream_id].session_id
            ]
            early = any(0 <= turn.asked_at - at < 0.5 * OWNERSHIP.answer_gap for turn in same)
            assert not early, "a turn began right behind the answer to a Stop (F5)"

    def _check_fates(self) -> None:
        """F1, F13: where a worker goes in time and `/health` tells of it, no turn shares its fate or waits in vain."""
        habits, told = self.hermes.habits, "".join(self.reports)
        late = habits.unwind is None or habits.unwind > 1.0 or habits.answer_after > 1.0 or habits.event_after is None
        late |= habits.deaf > 20.0  # a Stop does not wait for longer, and a worker that did not hear has no mark (F15)
        if late or not habits.health or self.restarts or '"start_unordered"' in told:
            return
        if self.failures or habits.runner:
            return
        assert '"start_hold_expired"' not in told, "a start waited in vain (F13)"
        assert '"change_unordered"' in told or not self.hermes.undone, "a change was undone (F17)"
        assert not any(turn.poisoned for turn in self.hermes.turns.values()), "a turn shares another's fate (F1)"
        # Whoever has other credentials is never kept from Hermes, not even in a worker's last moments.
        others = any(asked.caller == "you" and asked.call == "cancel" for asked in self.asked)
        assert others or not any(turn.spoiled for turn in self.hermes.turns.values()), "a Stop too many (F23)"

    def _check_stops(self) -> None:
        """P11: a worker that can be stopped does not run on; a runner's turn goes on to its end (F20)."""
        habits, turns = self.hermes.habits, self.hermes.turns.values()
        cut = habits.runner and not habits.lingers and any(b"synthesized_by" in tab.received for tab in self.tabs)
        assert not cut, "a runner's turn was cut (F20)"
        stoppable = habits.health and (habits.repeats or not self.failures)
        stoppable &= habits.deaf <= 20.0 or habits.answer_after <= 1.0  # the next turn may begin before it can hear
        if stoppable and habits.unwind is not None and not self.restarts:
            assert not any(turn.ran_on and turn.length > _LONG for turn in turns), "a stopped worker ran on (P11)"

    def _check_tab(self, tab: Tab) -> None:
        if self.failures and not tab.received:
            return  # it was told that the backend takes no connection
        endings = [event for event in tab.events if event in {"stream_end", "cancel"}]
        turn = self.hermes.turns[tab.stream_id]
        least = 0 if turn.active or tab.replay else 1  # the backend's journal may end without one
        most = 0 if turn.active else 1
        assert least <= len(endings) <= most, (tab.events, "exactly one ending (P5)")
        assert not endings or tab.events[-1] == endings[0], "terminal last (P4)"
        assert not tab.received or f'"text": "{tab.stream_id} "'.encode() in tab.received or endings

    # -- how it is done ---------------------------------------------------------------------------

    async def _open_proxy(self) -> None:
        run = f"run-{len(self.reports)}"
        self.reports.append(_line(self.loop, "trace_begun", run=run, part=1, time=0.0, settings=_BOUNDS))
        self.tasks = await Tasks().__aenter__()
        upstream: Any = self.hermes
        guard = compose(Settings(ownership=OWNERSHIP), upstream, self.tasks, Receipts(), report=self._report)
        self.handler: Handler = guard.handler

    async def _relay(self, request: Any, stream_id: str) -> None:
        """As the server does: what lasts is passed on once whoever handled the request is done."""
        response = await self._watched(self.handler.relays.relay(request, OpenStream(stream_id)))
        if response.rest is not None:
            await response.rest()

    def _close_proxy(self) -> None:
        for task in (*self.tabs.values(), *self.requests):
            task.cancel()
        for asked in self.asked:
            asked.broken = asked.broken or asked.answer is None
        self._run(asyncio.wait([*self.tabs.values(), *self.requests, self._spawn(asyncio.sleep(0))]))
        self.tabs.clear()
        self.requests.clear()
        self._run(self.tasks.__aexit__())

    def _report(self, event: Event, /) -> None:
        self.reports.append(_line(self.loop, event.name, **event.fields()))
        if isinstance(event, InternalError):
            self.mistakes.append(event.fields())

    def _pick(self, pick: int) -> str:
        streams = list(self.hermes.turns)
        return streams[-1] if pick % 2 else streams[pick // 2 % len(streams)]

    def _stop(self, stream_id: str, caller: str) -> None:
        head = _head("GET", f"/api/chat/cancel?stream_id={stream_id}", ((b"Cookie", caller.encode()),))
        asked = Asked(len(self.asked), "cancel", caller, self.loop.time(), stream_id)
        self._ask(asked, self.handler.cancels.answer(head, stream_id))

    def _ask(self, asked: Asked, work: Coroutine[Any, Any, Judged]) -> None:
        self.asked.append(asked)
        self.requests.append(self._spawn(self._answered(asked, work)))
        self._run(asyncio.sleep(0))

    async def _answered(self, asked: Asked, work: Coroutine[Any, Any, Judged]) -> None:
        asked.answer = await self._watched(work)
        if asked.answer.verdict == "forwarded" and json.loads(asked.answer.answer.body).get("cancelled"):
            self._note_order(asked)

    async def _start(self, head: RequestHead, body: bytes) -> Judged:
        free = self.handler.starts.admission.free()
        async with self.handler.once.answered(head, body, free, takes_turn=True) as judged:
            return judged

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        """As the handler does: whether the backend answers is taken note of."""
        try:
            done = await work
        except (BackendUnreachableError, BackendBrokenError):
            self.handler.health.doubt()
            raise
        self.handler.health.answered()
        return done

    def _note_order(self, asked: Asked) -> None:
        """F5: a browser has its terminal event shortly before the answer of its Stop, unless one of them is late."""
        now = self.loop.time()
        if now > self.stopped.setdefault(asked.stream_id, now) or now - asked.at >= OWNERSHIP.answer_timeout:
            return
        for tab in self.tabs:
            watched = tab.stream_id == asked.stream_id and tab.opened_at < asked.at and not (tab.replay or tab.left)
            if tab.told_at is not None and tab.told_at <= asked.at:
                continue  # it asked again after the end, and may have to wait for the worker (F23)
            if watched and (tab.received or not self.failures):
                before = None if tab.told_at is None else now - tab.told_at
                if before is None or not 0.5 * OWNERSHIP.answer_gap < before < 0.1:
                    self.disorder.append((asked, tab, before))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.loop.create_task(work)

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(work)

    @staticmethod
    def _begin_tab(request: Any, stream: Any) -> Tab:
        tab: Tab = request.tab
        tab.replay = getattr(stream, "is_replay", False)  # what is joined is running
        return tab

    @staticmethod
    async def _pass_back(_request: Any, stream: Any, **_: Any) -> Any:
        return stream

    @staticmethod
    async def _refuse_tab(request: Any, _stream: Any) -> Tab:
        raise AssertionError(f"{request.tab.stream_id} was refused though it exists")


_BOUNDS = OWNERSHIP.model_dump()

_LONG = 30.0
"""Seconds that a turn takes which a cancel must end, however often one is lost on the way."""


def _line(loop: asyncio.AbstractEventLoop, event: str, **fields: object) -> str:
    return json.dumps({"t": loop.time(), "event": event, **fields})


def _head(method: str, target: str, headers: RawHeaders = ()) -> RequestHead:
    return replace(RequestHead(method, target.encode()), headers=headers)


def replay(steps: list[Step]) -> None:
    """Plays these steps once more, to the end, with what has to hold; a step that picks from nothing is left out.

    Raises:
        AssertionError: something does not hold.
    """
    shell = Shell()
    try:
        for name, arguments in steps:
            with contextlib.suppress(ZeroDivisionError):
                getattr(shell, name)(**arguments)
    finally:
        shell.teardown()


TestShell = Shell.TestCase
TestShell.settings = settings(
    derandomize=bool(os.environ.get("CI")),  # a build should not fail for what another one did not look at
    max_examples=120,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
