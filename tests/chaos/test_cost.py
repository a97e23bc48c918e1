"""What honesty costs: an answer that waits for its event waits for little more."""

import statistics

import pytest

from proxy.demo import RELEASES, CancelOrder, Pace
from tests.chaos.conftest import MakeStage, Measure

TURNS = 15
PROMPT = Pace(token=0.02, first_token=0.01, unwind=0.05, spoil=0.02, gap=0.005)


@pytest.mark.parametrize("order", [CancelOrder.EVENT_FIRST, CancelOrder.ANSWER_FIRST], ids=lambda order: order.value)
@pytest.mark.parametrize("release", sorted(RELEASES))
async def test_an_accepted_cancel_is_answered_within_50_ms_of_its_event(
    make_stage: MakeStage, measure: Measure, release: str, order: CancelOrder
) -> None:
    """F5: 15 ms of them are `answer_gap`. The event is timed at the backend, by somebody who watches it there."""
    stage = await make_stage(release, pace=PROMPT, order=order)
    late = []
    for _ in range(TURNS):
        _, stream_id, _ = await stage.browser.turn()
        witness = await stage.direct.open(stream_id).until(lambda tab: "token" in tab.names)

        answer = await stage.browser.cancel(stream_id)

        late.append(answer.at - (await witness.ended()).at("cancel"))
        measure("a Stop's answer after its event", late[-1])
    assert statistics.median(late) < 0.050
