"""Everything that is reported: named once, explained, and safe to be written as JSON."""

import json
import re
from pathlib import Path

import pytest

from proxy.core.observations import SessionRotated, StatusSeen, StreamsAdopted
from proxy.core.records import Ending, Slot
from proxy.events import catalogue
from proxy.events.cancels import CancelSaid, CancelSettled
from proxy.events.catalogue import KINDS
from proxy.events.event import Event
from proxy.events.guard import InternalError, Observed
from proxy.events.steers import SteerLost
from tests.support.happenings import happened

PROXY = Path(catalogue.__file__).parents[1]


def classes_below(kind: type[Event]) -> set[type[Event]]:
    """All of them; each is there under its name, as one with slots is made twice and the first is dropped."""
    below = [one for child in kind.__subclasses__() for one in (child, *classes_below(child))]
    return {one for one in below if getattr(__import__(one.__module__, fromlist=["_"]), one.__name__) is one}


def test_the_name_and_the_fields_are_those_of_the_class() -> None:
    said = CancelSaid("x", "c-1", 200, cancelled=True)

    assert said.name == CancelSaid.name == "cancel_said"
    assert said.fields() == {"stream": "x", "cancel": "c-1", "status": 200, "cancelled": True}
    assert list(said.fields()) == ["stream", "cancel", "status", "cancelled"]


def test_every_event_is_in_the_catalogue_and_has_a_name_of_its_own() -> None:
    public = {kind for kind in classes_below(Event) if not kind.__name__.startswith("_")}

    assert set(KINDS.values()) == public
    assert len(KINDS) == len(public)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_an_event_is_explained_small_and_never_changes(name: str) -> None:
    kind = KINDS[name]
    sentence = (kind.__doc__ or "").strip()

    assert not sentence.startswith(f"{kind.__name__}("), "dataclass writes that where there is no docstring"
    assert sentence.endswith((".", ")"))
    assert not hasattr(happened(name), "__dict__"), "slots"
    assert vars(kind)["__dataclass_params__"].frozen


@pytest.mark.parametrize("name", KINDS)
def test_the_fields_are_json_values_whatever_is_in_them(name: str) -> None:
    fields = happened(name).fields()

    assert json.loads(json.dumps(fields)) == fields


@pytest.mark.parametrize("name", KINDS)
def test_an_event_is_reported_by_somebody(name: str) -> None:
    """One that nobody makes any more is not left here."""
    makes = re.compile(rf"\b{KINDS[name].__name__}\b")
    files = [file for file in PROXY.rglob("*.py") if file.parent.name not in ("events", "ops", "verify")]
    makers = [*files, PROXY / "ops" / "trace.py", PROXY / "ops" / "receipts.py", PROXY / "ops/admin/listener.py"]

    assert [file for file in makers if makes.search(file.read_text())]


def test_what_is_unknown_of_a_settled_cancel_is_left_out() -> None:
    settled = CancelSettled("c-1", "x", None, 0.1, None, None, None, Slot.FENCED, None, None, 0, ("answered",))

    assert list(settled.fields().items()) == [
        *[("cancel", "c-1"), ("stream", "x"), ("ending", None), ("backend_acked", 0.1), ("slot", "fenced")],
        *[("repeats", 0), ("missing", ["answered"])],
    ]


def test_texts_that_are_lost_for_want_of_a_browser_are_of_no_relay() -> None:
    lost = SteerLost(None, "x", 2, None, "nobody came back")

    assert lost.fields() == {"stream": "x", "count": 2, "why": "nobody came back"}


def test_an_observation_is_told_without_its_times() -> None:
    seen = StatusSeen(2.0, 1.0, "x", active=False, ending=Ending.FAILED)

    assert list(Observed("s", seen).fields().items()) == [
        *[("session", "s"), ("what", "StatusSeen"), ("stream_id", "x"), ("active", False), ("ending", "failed")],
    ]
    assert Observed("s", SessionRotated(1.0, "t")).fields()["new_session_id"] == "t"
    assert Observed("s", StreamsAdopted(1.0, ())).fields() == {"session": "s", "what": "StreamsAdopted"}


def test_an_internal_error_tells_what_has_a_number_before_its_step() -> None:
    of_a_start = InternalError("holding a start", {"start": "s-1", "session": "s"})
    of_a_cancel = InternalError("judging a cancel", {"stream": "x", "cancel": "c-1"})

    assert list(of_a_start.fields()) == ["start", "session", "step"]
    assert list(of_a_cancel.fields()) == ["step", "stream", "cancel"]
    assert InternalError("draining", {}).fields() == {"step": "draining"}
