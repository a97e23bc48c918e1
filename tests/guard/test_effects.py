"""Each effect reaches the part that carries it out."""

from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.core.effects import EndRelays, PursueStop, Settled, ShellEffect
from proxy.core.records import Cancel, Ending
from proxy.guard.effects import Effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.guard.sending import Sending
    from proxy.guard.stopping import Stopping
    from proxy.relay.relays import Relays

CANCEL = Cancel("c-1", "credentials", sent_at=1.0)
PURSUE, SETTLED = PursueStop("x", CANCEL), Settled("x", CANCEL, Ending.CANCELLED)


class Parts:
    """Takes note of what it is asked to do, whichever part it stands for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> "Callable[[Any], None]":
        return lambda argument: self.asked.append((name, argument))


@pytest.mark.parametrize(
    ("effect", "asked"),
    [
        (EndRelays("x"), [("revise", "x")]),
        (PURSUE, [("pursue", PURSUE)]),
        (SETTLED, [("forget", "c-1"), ("settled", SETTLED)]),
    ],
)
def test_an_effect_is_carried_out(effect: ShellEffect, asked: list[tuple[str, Any]]) -> None:
    parts = Parts()
    effects = Effects(cast("Relays", parts), cast("Sending", parts), cast("Stopping", parts), parts.settled)

    effects.carry_out(effect)

    assert parts.asked == asked
