"""Log lines: one JSON object each, or text for a terminal; nothing in them that must not be."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from proxy.core.observations import SessionRotated, StreamSpoke
from proxy.events.cancels import CancelAnswered, CancelForwarded
from proxy.events.event import Event
from proxy.events.guard import Observed
from proxy.events.starts import StartReceived
from proxy.ops.log import LogReport, configure
from tests.support.happenings import happened

ID = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Logging is configured for a process; the next test's has to be pytest's again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_a_report_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    LogReport()(CancelAnswered("x", "c-1", None, "stale", None, 200, cancelled=False))

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "cancel_answered",
        "level": "info",
        "stream": "x",
        "cancel": "c-1",
        "first": None,
        "verdict": "stale",
        "reason": None,
        "status": 200,
        "cancelled": False,
    }


def test_any_librarys_line_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logging.getLogger("aiohttp.server").warning("%d of %d", 1, 2)

    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("1 of 2", "warning")


def test_a_mistake_is_logged_with_its_traceback_on_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logging.getLogger("proxy.guard").error("it failed", exc_info=ValueError("a mistake"))

    (line,) = lines(capsys)
    assert line["event"] == "it failed"
    assert "ValueError: a mistake" in line["exception"]


@pytest.mark.parametrize(
    ("field", "event"),
    [
        ("session", StartReceived("s-1", ID)),
        ("stream", CancelForwarded(ID, "c-1")),
        ("stream_id", Observed("s", StreamSpoke(0.0, ID))),
        ("new_session_id", Observed("s", SessionRotated(0.0, ID))),
    ],
)
def test_an_id_is_only_begun(capsys: pytest.CaptureFixture[str], field: str, event: Event) -> None:
    """Whoever knows a stream's id may stop it."""
    configure("json", "debug")
    LogReport()(event)

    (line,) = lines(capsys)
    assert line[field] == ID[:8]


def test_an_id_that_is_not_known_stays_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    LogReport()(happened("relay_opened", stream=None))

    (line,) = lines(capsys)
    assert line["stream"] is None


TRACED = (
    "observed",
    "relay_wrote",
    "upstream_opened",
    "upstream_heard",
    "upstream_kept",
    "upstream_closed",
    "browser_left",
    "cancel_repeated",
    "cancel_said",
)


@pytest.mark.parametrize("event", [*TRACED, "workers_listed", "workers_unknown"])
def test_what_is_the_traces_business_is_for_debugging(capsys: pytest.CaptureFixture[str], event: str) -> None:
    configure("json", "info")
    LogReport()(happened(event))
    assert lines(capsys) == []

    configure("json", "debug")
    LogReport()(happened(event))
    (line,) = lines(capsys)
    assert line["level"] == "debug"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_what_is_below_the_level_is_left_out(capsys: pytest.CaptureFixture[str], level: str) -> None:
    levels = ["debug", "info", "warning", "error"]
    configure("json", level)
    for each in levels:
        logging.getLogger("proxy").log(getattr(logging, each.upper()), "said")

    assert [line["level"] for line in lines(capsys)] == levels[levels.index(level) :]


def test_text_is_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    LogReport()(happened("relay_ended", why="terminal event", stream=ID))

    text = capsys.readouterr().err
    assert "relay_ended" in text
    assert "terminal event" in text
    assert ID not in text
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(text)


def test_a_line_begins_with_when_how_grave_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    """And goes on as it was reported, so that lines can be read below each other."""
    configure("json", "info")
    LogReport()(happened("request_refused", code="cross_site", path="/", client="10.0.0.1"))

    (line,) = lines(capsys)
    assert list(line) == ["timestamp", "level", "event", "code", "path", "client"]


def test_text_leaves_out_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    LogReport()(happened("steer_unremembered", stream=None, length=4))

    assert capsys.readouterr().err.rstrip().endswith("steer_unremembered             length=4")


def test_what_is_slow_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "warning")
    LogReport()(happened("request_ended"))
    LogReport()(happened("request_slow"))

    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("request_slow", "warning")


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_is_given_colours(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure("console", "info")
    LogReport()(happened("relay_ended"))

    assert ("\x1b[" in capsys.readouterr().err) == terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_code_and_no_variables(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    """Whatever structlog finds installed that would show them."""
    cookie = "secret" * 2
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure("console", "info")
    try:
        cookie.index("none")
    except ValueError:
        logging.getLogger("proxy").exception("it failed")

    text = capsys.readouterr().err
    assert 'cookie.index("none")' in text
    assert cookie not in text


@pytest.mark.parametrize(("terminal", "log_format"), [(True, "console"), (False, "json")])
def test_a_terminal_gets_text_and_anything_else_json(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001 - a test's parameter
    log_format: Literal["console", "json"],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure(None, "info")
    LogReport()(happened("relay_ended"))

    assert capsys.readouterr().err.startswith("{") == (log_format == "json")


def test_configuring_again_replaces_and_does_not_add(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    configure("json", "info")
    LogReport()(happened("relay_ended"))

    assert len(lines(capsys)) == 1
