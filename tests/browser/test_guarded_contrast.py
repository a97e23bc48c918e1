"""The rounds of Stop, then send, without the proxy: they go wrong as recorded, so the tests through it can fail."""

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend, Fate, Faults, Pace
from tests.browser.test_guarded import LAPSE, Second, begin, press

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage

SLOW = Pace(unwind=1.5, spoil=0.1)
"""The stopped turn's worker unwinds long after the next message is sent (F1, F2)."""
LATE = Pace(unwind=0, gap=0.25)
"""The Stop's answer comes long after its event, when the next turn runs already (F5)."""


@pytest.mark.parametrize(
    ("release", "pace", "fate", "complaint"),
    [
        ("v0.51.195", SLOW, Fate.LEAK, "died: No response from provider."),
        ("v0.51.195", LATE, None, LAPSE),
        ("v0.51.265", SLOW, Fate.SILENCE, "no end, page busy: True"),
        ("v0.51.265", SLOW, Fate.UNFINISHED, "no end, page busy: True"),
        ("v0.52.262", SLOW, Fate.REFUSED, "refused with 409"),
    ],
    ids=["F1-leak", "F5", "F1-silence", "F1-unfinished", "F2"],
)
async def test_without_the_proxy_the_next_turn_is_lost(
    page: "DemoPage", backend: Backend, fate: Fate | None, complaint: str
) -> None:
    """Stop and Send in the same tick, at the backend itself, with a fate that was recorded of the release.

    Of all these the proxy cannot keep F5 alone from the old page, where the backend itself answers so late.
    """
    backend.faults = Faults(fate=fate)
    page.expected.append("409")
    await begin(page)
    await press(page, 0)
    assert complaint in await Second(page, backend).complaints(patience=2.0)
