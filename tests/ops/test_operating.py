"""The guide for operators says what the code does."""

import re
from pathlib import Path

from proxy.ops.metrics import Levels, Metrics

GUIDE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def test_every_metric_is_explained() -> None:
    nothing = Levels(streams={}, lanes={}, logs=0, reachable=True, draining=False)
    body, _ = Metrics("1.2.3").exposition(nothing, "")
    names = set(re.findall(r"^# TYPE stream_guard_(\w+)", body.decode(), flags=re.MULTILINE))
    told = {name for name in names if not name.endswith("_created")}

    assert told
    assert [name for name in sorted(told) if f"`{name}`" not in GUIDE] == []


def test_every_step_cause_and_outcome_of_the_guide_has_words_on_the_page() -> None:
    words = (Path(__file__).parents[2] / "proxy/ops/admin/page/words.js").read_text()
    stops = (Path(__file__).parents[2] / "proxy/ops/admin/page/stops.js").read_text()

    for label in ("cause", "missing", "reason"):
        (values,) = re.findall(rf"`{label}`: ([\w, ]+)", GUIDE)
        assert [value for value in values.strip().split(", ") if f"  {value}: " not in words and value != "none"] == []
    (outcomes,) = re.findall(r"`outcome` of a cancel is one of ([^.]+)\.", GUIDE)
    for outcome in re.findall(r"`(\w+)`", outcomes):
        assert f"  {outcome}: [" in stops
