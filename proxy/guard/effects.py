"""Carrying out what a transition asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from proxy.core.effects import EndRelays, PursueStop, Settled, ShellEffect
from proxy.guard.sending import Sending
from proxy.guard.stopping import Stopping
from proxy.relay.relays import Relays


@dataclass(frozen=True, slots=True)
class Effects:
    """Hands each effect to the part that carries it out.

    Args:
        relays: Has open relays look at their limits again.
        sending: Forgets the answers of cancels that are over.
        stopping: Goes on with accepted cancels.
        settled: Told of every cancel that is over.
    """

    relays: Relays
    sending: Sending
    stopping: Stopping
    settled: Callable[[Settled], None]

    def carry_out(self, effect: ShellEffect) -> None:
        """Does what `effect` says; whatever takes time is left to a task."""
        match effect:
            case EndRelays(stream_id=stream_id):
                self.relays.revise(stream_id)
            case PursueStop():
                self.stopping.pursue(effect)
            case Settled(cancel=cancel):
                self.sending.forget(cancel.cancel_id)
                self.settled(effect)
            case _:
                assert_never(effect)
