"""The alerts and the dashboard: that they can be loaded, fire when they should, and ask for what the proxy tells."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from proxy.ops.metrics import LaneUse, Levels, Metrics
from tests.deploy.conftest import DEPLOY
from tests.deploy.programs import need, run
from tests.deploy.promql import LABELS_OF_PROMETHEUS, named
from tests.support.happenings import happened

RULES, DASHBOARD = DEPLOY / "prometheus/rules.yml", DEPLOY / "grafana/dashboard.json"
TRIED = Path(__file__).parent / "alerts.yml"
GUIDE = DEPLOY.parent / "docs/operating.md"
SEVERITIES = {"critical", "warning"}
TOLD_BY_PROMETHEUS = {"up"}
WIDTH = 24
"""Columns of a dashboard."""

LEVELS = Levels(streams={"running": 1}, lanes={"control": LaneUse(1, 16)}, logs=0, reachable=True, draining=False)
HAPPENED: list[tuple[str, dict[str, Any]]] = [
    ("cancel_answered", {"verdict": "forwarded", "reason": None}),
    ("cancel_repeated", {"cancelled": True}),
    ("cancel_settled", {"took": 0.1, "slot_free": 0.1, "missing": []}),
    ("start_answered", {"held": True, "waited": 0.1}),
    ("start_replayed", {"why": "connection_lost"}),
    ("hold_ended", {"outcome": "let_in"}),
    ("upstream_closed", {"why": None}),
    ("relay_opened", {"joined": "cursor", "behind": 100}),
    ("request_refused", {"code": "cross_site"}),
    ("request_ended", {"call": "Page", "status": 200, "ended_by": "proxy", "error": "no_room", "seconds": 0.1}),
    ("operator_dropped", {"why": "slow"}),
]
"""Something of every kind that is counted by labels: series with labels begin with their first event."""


def exposed() -> dict[str, set[str]]:
    """Every series that the proxy tells a scraper, with its labels."""
    metrics = Metrics("1.2.3")
    for event, fields in HAPPENED:
        metrics(happened(event, **fields))
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition(LEVELS, "")[0].decode()):
        assert family.samples, f"nothing in HAPPENED is counted as {family.name}"
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


EXPOSED = exposed()


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def board() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def asked() -> Iterator[tuple[str, str]]:
    """Each expression of both files, and the texts that are filled in from its labels."""
    for rule in rules():
        yield rule["expr"], " ".join(rule["annotations"].values())
    yield from shown()


def shown() -> Iterator[tuple[str, str]]:
    """The same of the dashboard only."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for variable in board()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"], ""


def test_prometheus_can_load_the_rules() -> None:
    code, said = run(need("promtool"), "check", "rules", RULES)
    assert code == 0, said


def test_alerts_fire_when_they_should_and_not_before() -> None:
    code, said = run(need("promtool"), "test", "rules", TRIED)
    assert code == 0, said


def test_every_alert_was_seen_to_fire() -> None:
    text = TRIED.read_text()
    untried = [rule["alert"] for rule in rules() if not re.search(rf'name(="|: ){rule["alert"]}\b', text)]
    assert untried == []


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in SEVERITIES, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def test_the_guide_explains_every_alert() -> None:
    guide = GUIDE.read_text()
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in guide] == []


@pytest.mark.parametrize(("expression", "filled_in"), list(asked()))
def test_only_what_the_proxy_tells_is_asked_for(expression: str, filled_in: str) -> None:
    asks = named(expression)
    metrics = asks.metrics - TOLD_BY_PROMETHEUS
    assert metrics <= EXPOSED.keys()
    labels = {label for metric in metrics for label in EXPOSED[metric]} | LABELS_OF_PROMETHEUS
    told = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", filled_in))
    assert asks.labels | told <= labels


def test_a_step_of_a_stop_that_an_alert_goes_by_is_counted() -> None:
    values = {pair for expression, _ in asked() for pair in named(expression).values if pair[0] == "missing"}
    body = Metrics("1.2.3").exposition(LEVELS, "")[0].decode()
    assert values
    assert all(f'{label}="{value}"' in body for label, value in values)


def test_a_metric_or_label_that_is_not_there_would_be_noticed() -> None:
    asks = named('sum by (lane, le) (rate(guard_x{a!="b", instance=~"$c"}[5m])) >= on (job) guard_y offset 1h')
    assert asks.metrics == {"guard_x", "guard_y"}
    assert asks.labels == {"lane", "le", "a"}
    assert asks.values == {("a", "b")}


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    texts = [target["expr"] for panel in panels() for target in panel["targets"]]
    filled_in = [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in texts]
    assert not [text for text in filled_in if "$" in text]
    recorded = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(filled_in)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    code, said = run(need("promtool"), "check", "rules", file)
    assert code == 0, said


def test_the_dashboard_shows_every_metric_of_the_proxy() -> None:
    asks = {metric for expression, _ in shown() for metric in named(expression).metrics}
    part = re.compile(r"_(bucket|sum|count|created|total)$")
    told = {part.sub("", name) for name in EXPOSED if name.startswith("stream_guard_")}
    assert told - {part.sub("", name) for name in asks} == set()


def test_every_panel_says_what_it_shows_and_takes_the_chosen_prometheus() -> None:
    assert [panel["title"] for panel in panels() if not panel["description"]] == []
    sources = [target["datasource"]["uid"] for panel in panels() for target in panel["targets"]]
    assert {*sources, *(panel["datasource"]["uid"] for panel in panels())} == {"${datasource}"}


def test_no_panel_lies_on_another() -> None:
    cells = []
    for panel in board()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells += [
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in board()["panels"]}) == len(board()["panels"])
