"""The guard, put together from its parts."""

import asyncio
from dataclasses import dataclass

from proxy.app.gate import gate_rules
from proxy.backend.backend import Backend
from proxy.backend.health import Health
from proxy.backend.reach import Reach
from proxy.config import Settings
from proxy.core.effects import Settled
from proxy.gate.authentication import Authentication
from proxy.gate.gate import Gate
from proxy.gate.login import LoginGuard
from proxy.gate.pages import Pages
from proxy.guard.cancel import CancelGuard
from proxy.guard.changes import ChangeGuard
from proxy.guard.drain import Drain
from proxy.guard.effects import Effects
from proxy.guard.evidence import Evidence
from proxy.guard.handler import Handler
from proxy.guard.listening import Listening
from proxy.guard.once import Once
from proxy.guard.sending import Sending
from proxy.guard.spool import Spool
from proxy.guard.start import StartGuard
from proxy.guard.steer import SteerGuard
from proxy.guard.stopping import Stopping
from proxy.guard.turns import Turns
from proxy.http.upstream.upstream import Upstream
from proxy.ops.receipts import Receipt, Receipts
from proxy.ownership.limits import Limits, Live
from proxy.ownership.ownership import Ownership
from proxy.relay.logs import Logs
from proxy.relay.opening import Opening
from proxy.relay.pumps import Pumps
from proxy.relay.relay import RelayGuard
from proxy.relay.relays import Relays
from proxy.relay.sharing import SharedRelays
from proxy.relay.steers import Steers
from proxy.reporting import Report
from proxy.store.memory import MemoryStore
from proxy.tasks import Tasks

ANSWER_LIMIT = 8 << 20
"""Largest answer to a guarded call that is held; they are a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What answers requests, and those of its parts that are looked at or steered from outside."""

    gate: Gate
    handler: Handler
    live: Live
    store: MemoryStore
    ownership: Ownership
    relays: Relays
    logs: Logs
    drain: Drain
    reach: Reach


def limits_of(settings: Settings) -> Limits:
    """The guard's limits, as the settings have them."""
    own, relay = settings.ownership, settings.relay
    return Limits(
        settle_timeout=own.settle_timeout,
        linger=own.linger,
        answer_timeout=own.answer_timeout,
        answer_gap=own.answer_gap,
        stop_timeout=own.stop_timeout,
        idle_timeout=relay.idle_timeout,
        buffer=relay.buffer,
        log=relay.log,
        log_keep=relay.log_keep,
        reattach=relay.reattach,
        start_body_limit=own.start_body_limit,
        repeat_starts=own.repeat_starts,
    )


def compose(settings: Settings, upstream: Upstream, tasks: Tasks, receipts: Receipts, *, report: Report) -> Guard:
    """The guard, on the running loop.

    Args:
        settings: Its limits.
        upstream: The backend.
        tasks: Owns what goes on without a browser.
        receipts: Get one of every cancel that has settled.
        report: Told what happens.
    """
    clock = asyncio.get_running_loop().time
    live = Live(limits_of(settings))
    store = MemoryStore(clock, sessions=settings.ownership.sessions, forget_after=settings.ownership.forget_after)
    ownership = Ownership(store, clock, report)
    relays = Relays()
    backend = Backend(upstream, answer_limit=ANSWER_LIMIT)
    health = Health(backend, tasks, clock, ownership.lose_running, report=report)
    listening = Listening(backend, ownership)
    apart = Turns()
    stopping = Stopping(backend, ownership, relays, health=health, apart=apart, tasks=tasks, live=live, report=report)
    evidence = Evidence(backend, ownership, health, live)
    sending = Sending(
        backend,
        ownership,
        relays,
        listening=listening,
        stopping=stopping,
        evidence=evidence,
        tasks=tasks,
        live=live,
        report=report,
    )
    cancels = CancelGuard(backend, ownership, sending=sending, stopping=stopping, evidence=evidence, report=report)

    def settled(effect: Settled) -> None:
        receipt = Receipt.of(effect.stream_id, effect.cancel, effect.ending)
        receipts.add(receipt)
        report(receipt.event())

    ownership.carry_out = Effects(relays, sending, stopping, settled).carry_out
    starts = StartGuard(backend, ownership, apart=apart, tasks=tasks, live=live, report=report)
    steers, logs, pumps = Steers(report), Logs(live), Pumps(live, clock)
    opening = Opening(ownership, steers, logs, live=live, pumps=pumps, tasks=tasks, report=report)
    shared = SharedRelays(backend, relays, opening, logs, live=live, report=report)
    ends = settings.drain
    drain = Drain(
        backend, health, ownership, relays, starts, tasks, timeout=ends.timeout, hold=ends.hold, report=report
    )
    handler = Handler(
        upstream,
        ownership,
        health,
        cancels,
        starts,
        Once(starts, backend, ownership, live=live, report=report),
        ChangeGuard(upstream, ownership, starts.order, live, report),
        SteerGuard(backend, ownership, steers, tasks, report=report),
        RelayGuard(upstream, ownership, shared, pumps, report),
        Spool(live, report),
        report,
    )
    authentication = Authentication(backend, tasks, clock)
    logins, pages = LoginGuard(backend, tasks, clock), Pages(backend, clock)
    gate = Gate(handler, authentication, logins, pages, gate_rules(settings), report=report)
    reach = Reach(backend, health, tasks, clock)
    return Guard(gate, handler, live, store, ownership, relays, logs, drain, reach)
