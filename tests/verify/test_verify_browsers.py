"""`verify` on browsers that share an upstream: what each is promised (P4, P5), and when the upstream goes (P6)."""

import pytest

from proxy.verify import feeds
from tests.verify.doctored import (
    Doctored,
    close,
    end,
    hear,
    join,
    keep,
    leave,
    open_relay,
    open_upstream,
    promises,
    read,
    write,
)


@pytest.fixture
def began() -> Doctored:
    """A trace of a proxy that has just begun, in which a turn runs; nobody looks at it."""
    trace = Doctored(read("v0.52.262"))
    trace.cut(1)
    trace.append(0, "observed", session="s", what="TurnStarted", stream_id="old", hosted=True)
    return trace


@pytest.fixture
def shared(began: Doctored) -> Doctored:
    """Two browsers follow it, by one upstream."""
    open_relay(began)
    join(began, "r-2", seconds=0.1)
    hear(began, "token", seconds=0.1)
    for relay in ("r-1", "r-2"):
        write(began, "token", relay=relay)
    return began


def finish(trace: Doctored, *, upstream: str = "u-1") -> int:
    """The turn ends by itself; where its upstream is closed."""
    trace.append(0.1, "observed", session="s", what="StreamEnded", stream_id="old", ending="finished")
    hear(trace, "done", "stream_end", upstream=upstream)
    return close(trace, "terminal event", upstream=upstream)


# -- P4: terminal last ----------------------------------------------------------------------------


@pytest.mark.parametrize("relay", ["r-1", "r-2"])
def test_p4_one_of_two_browsers_is_given_something_after_the_terminal_event(shared: Doctored, relay: str) -> None:
    finish(shared)
    terminal = {name: write(shared, "done", "stream_end", relay=name) for name in ("r-1", "r-2")}
    assert shared.violations() == []
    more = write(shared, "title", relay=relay)
    assert f"relay {relay} was given title" in shared.only("P4", terminal[relay], more)


def test_p4_what_one_browser_is_given_does_not_follow_the_terminal_event_of_the_other(shared: Doctored) -> None:
    """Each is sent the turn at its own pace."""
    finish(shared)
    write(shared, "done", "stream_end")
    end(shared)
    for events in (("reasoning", "token"), ("done", "stream_end")):
        write(shared, *events, relay="r-2", seconds=0.5)
    end(shared, relay="r-2")
    assert shared.violations() == []


# -- P5: exactly one ending -----------------------------------------------------------------------


@pytest.mark.parametrize("without", ["r-1", "r-2"])
def test_p5_one_of_two_browsers_is_given_no_ending(shared: Doctored, without: str) -> None:
    finish(shared)
    ended = {}
    for relay in ("r-1", "r-2"):
        write(shared, "done", *([] if relay == without else ["stream_end"]), relay=relay)
        ended[relay] = end(shared, relay=relay)
    sentence = shared.only("P5", shared.find("relay_opened", relay=without), ended[without])
    assert f"relay {without} of old ended (terminal event) without a terminal event" in sentence


@pytest.mark.parametrize("twice", ["r-1", "r-2"])
def test_p5_one_of_two_browsers_is_given_two_endings(shared: Doctored, twice: str) -> None:
    finish(shared)
    terminal = {name: write(shared, "done", "stream_end", relay=name) for name in ("r-1", "r-2")}
    again = write(shared, "cancel", relay=twice)
    assert f"relay {twice} was given 2 terminal events" in shared.only("P5", terminal[twice], again)


def stop(trace: Doctored) -> None:
    """A cancel that the backend accepts."""
    trace.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="forward", first=None, shared=None)
    trace.append(0, "cancel_forwarded", stream="old", cancel="c-1")
    trace.append(0, "cancel_said", stream="old", cancel="c-1", status=200, cancelled=True)
    trace.append(0, "observed", session="s", what="CancelAccepted", stream_id="old", cancel_id="c-1")


@pytest.mark.parametrize("why", ["the backend closed it", "the backend broke off"])
def test_p5_every_browser_of_a_stopped_turn_is_owed_an_ending_at_its_eof(shared: Doctored, why: str) -> None:
    stop(shared)
    close(shared, why)
    ended = [end(shared, why, relay=relay) for relay in ("r-1", "r-2")]
    found = shared.violations()
    assert promises(found) == ["P5", "P5"]
    assert [violation.lines[-1] - 1 for violation in found] == ended


def test_p5_a_browser_that_left_before_its_turns_end_is_owed_none_and_the_other_is(shared: Doctored) -> None:
    leave(shared)
    finish(shared)
    ended = end(shared, relay="r-2")
    shared.only("P5", shared.find("relay_opened", relay="r-2"), ended)


def test_p5_an_ending_is_owed_by_the_upstream_that_a_browser_follows_and_by_no_other(shared: Doctored) -> None:
    """One that asked for the turn from its beginning has its own."""
    open_relay(shared, "r-3", upstream="u-2")
    stop(shared)
    close(shared, "the backend closed it", upstream="u-2")
    for relay in ("r-1", "r-2"):
        end(shared, "the proxy ends", relay=relay)
    close(shared, "the proxy ends")
    assert shared.violations() == []
    shared.only("P5", shared.find("relay_opened", relay="r-3"), end(shared, "the backend closed it", relay="r-3"))


@pytest.mark.parametrize("ending", [["stream_end"], []])
def test_p5_a_browser_that_joins_once_the_upstream_was_closed_is_owed_an_ending(
    shared: Doctored, ending: list[str]
) -> None:
    """It is served from the log."""
    finish(shared)
    for relay in ("r-1", "r-2"):
        write(shared, "done", "stream_end", relay=relay)
        end(shared, relay=relay)
    joined = join(shared, "r-3", joined="cursor", seconds=3)
    write(shared, "done", *ending, relay="r-3")
    ended = end(shared, relay="r-3")
    if ending:
        assert shared.violations() == []
    else:
        assert "relay r-3" in shared.only("P5", joined, ended)


def test_p5_after_an_internal_error_about_an_upstream_none_of_its_browsers_is_owed_an_ending(shared: Doctored) -> None:
    open_relay(shared, "r-3", upstream="u-2")
    shared.append(0, "internal_error", step="watching a stream", upstream="u-1")
    for upstream, relays in (("u-1", ("r-1", "r-2")), ("u-2", ("r-3",))):
        finish(shared, upstream=upstream)
        for relay in relays:
            end(shared, relay=relay, upstream=upstream)
    shared.only("P5", shared.find("relay_opened", relay="r-3"), len(shared.lines) - 1)


# -- P6: no orphan --------------------------------------------------------------------------------


def test_p6_an_upstream_goes_when_its_last_browser_has_left_and_not_when_its_first_has(shared: Doctored) -> None:
    leave(shared)
    leave(shared, "r-2", seconds=9)
    close(shared, None, seconds=0.05)
    assert shared.violations() == []


@pytest.mark.parametrize("order", [("r-1", "r-2"), ("r-2", "r-1")])
def test_p6_an_upstream_outlives_its_last_browser(shared: Doctored, order: tuple[str, str]) -> None:
    leave(shared, order[0])
    left = leave(shared, order[1], seconds=9)
    closed = close(shared, None, seconds=0.11)
    assert "upstream u-1 outlived its last browser by 0.110s" in shared.only("P6", left, closed)


def test_p6_an_upstream_is_left_open_by_its_last_browser(shared: Doctored) -> None:
    leave(shared)
    shared.append(9, "cancel_pondered")
    assert shared.violations() == []
    left = leave(shared, "r-2")
    shared.append(0.11, "cancel_pondered")
    shared.only("P6", left, len(shared.lines) - 1)


@pytest.mark.parametrize(("seconds", "broken"), [(5.099, False), (5.101, True)])
@pytest.mark.parametrize("is_closed", [True, False])
def test_p6_an_upstream_that_is_kept_for_a_browser_to_come_back_goes_in_time(
    shared: Doctored,
    seconds: float,
    broken: bool,  # noqa: FBT001 - a test's parameter
    is_closed: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    leave(shared)
    left = leave(shared, "r-2")
    keep(shared, 5)
    if is_closed:
        close(shared, None, seconds=seconds)
    else:
        shared.append(seconds, "cancel_pondered")
    if broken:
        assert f"by {seconds:.3f}s" in shared.only("P6", left, len(shared.lines) - 1)
    else:
        assert shared.violations() == []


def test_p6_a_browser_that_comes_back_in_time_makes_an_upstream_no_orphan(shared: Doctored) -> None:
    leave(shared)
    leave(shared, "r-2")
    keep(shared, 5)
    join(shared, "r-3", seconds=4)
    shared.append(60, "cancel_pondered")
    assert shared.violations() == []


def test_p6_an_upstream_is_not_kept_once_more_for_what_it_was_kept_for_before(shared: Doctored) -> None:
    leave(shared)
    leave(shared, "r-2")
    keep(shared, 5)
    join(shared, "r-3", seconds=4)
    left = leave(shared, "r-3", seconds=1)
    closed = close(shared, None, seconds=0.2)
    assert "by 0.200s" in shared.only("P6", left, closed)


def test_p6_an_upstream_that_is_kept_for_no_time_that_is_told_goes_at_once(shared: Doctored) -> None:
    leave(shared)
    left = leave(shared, "r-2")
    shared.append(0, "upstream_kept", upstream="u-1", stream="old", seconds=None)
    shared.only("P6", left, close(shared, None, seconds=0.2))


def test_p6_an_upstream_to_which_no_browser_has_come_has_lost_none(began: Doctored) -> None:
    open_upstream(began)
    close(began, None, seconds=9)
    assert began.violations() == []


def test_p6_a_browser_that_follows_another_upstream_of_the_turn_keeps_none_open(shared: Doctored) -> None:
    open_relay(shared, "r-3", upstream="u-2")
    leave(shared)
    left = leave(shared, "r-2")
    shared.only("P6", left, close(shared, None, seconds=1))


# -- what the trace does not tell -----------------------------------------------------------------


def test_a_relay_whose_opening_is_not_in_the_trace_is_owed_no_ending(began: Doctored) -> None:
    """What it was given before is not known."""
    open_upstream(began)
    write(began, "token")
    stop(began)
    close(began, "the backend closed it")
    end(began, "the backend closed it")
    end(began, relay="r-0", upstream="u-0")
    assert began.violations() == []


def test_a_relay_whose_opening_is_not_in_the_trace_is_none_that_an_upstream_loses(began: Doctored) -> None:
    open_upstream(began)
    leave(began)
    close(began, None, seconds=9)
    assert began.violations() == []


def test_p4_a_relay_whose_opening_is_not_in_the_trace_is_given_something_after_its_terminal_event(
    began: Doctored,
) -> None:
    terminal = write(began, "stream_end")
    began.only("P4", terminal, write(began, "token"))


@pytest.mark.parametrize("about", [{"relay": "r-1"}, {"relay": "r-1", "upstream": None}])
def test_a_relay_that_does_not_tell_its_upstream_has_none(began: Doctored, about: dict[str, str | None]) -> None:
    began.append(0, "browser_left", **about, stream="old")
    began.append(0, "internal_error", step="watching a stream", upstream=None)
    began.append(9, "relay_ended", **about, stream="old", why="the browser left")
    assert began.violations() == []


def test_an_upstream_whose_opening_is_not_in_the_trace_causes_nothing(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="new", hosted=True)
    hear(began, "token", seconds=1)
    join(began)
    leave(began)
    keep(began, 0)
    close(began, "no terminal event in time", overdue="superseded", seconds=9)
    assert began.violations() == []


@pytest.mark.parametrize(("remembered", "broken"), [(1, []), (2, ["P6"])])
def test_p6_an_upstream_of_long_ago_is_forgotten(
    began: Doctored, monkeypatch: pytest.MonkeyPatch, remembered: int, broken: list[str]
) -> None:
    monkeypatch.setattr(feeds, "_MOST", remembered)
    open_relay(began)
    leave(began)
    open_upstream(began, "u-2")
    close(began, None, seconds=1)
    assert promises(began.violations()) == broken


@pytest.mark.parametrize(("remembered", "broken"), [(1, []), (2, ["P5"])])
def test_p5_a_relay_of_long_ago_is_forgotten(
    began: Doctored, monkeypatch: pytest.MonkeyPatch, remembered: int, broken: list[str]
) -> None:
    monkeypatch.setattr(feeds, "_MOST", remembered)
    open_relay(began)
    join(began, "r-2")
    finish(began)
    end(began)
    assert promises(began.violations()) == broken
