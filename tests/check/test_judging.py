"""What is found in what was seen: works, does not work, and is not known."""

from dataclasses import replace

import pytest

from proxy.check.evidence import Evidence, Outcome, Streaming, Tried, Unreachable
from proxy.check.findings import ERROR, NOTE, WARNING, Finding, Severity
from proxy.check.judging import judge
from proxy.config import ListenSettings, Settings, UpstreamSettings
from proxy.hermes.answers import Login
from proxy.hermes.probe import HEALTH, Forwarded, questions
from proxy.hermes.releases import Span

CALLS = (HEALTH, *questions("check-1"))

GOOD = Evidence(
    is_hermes=True,
    release=Span((0, 52, 262), (0, 52, 263)),
    server="HermesWebUI/0.52.262 Python/3.12.1",
    peer="127.0.0.1",
    login=Login(needed=True, done=True, knows_oidc=True),
    tried=tuple(Tried(question, Outcome.AS_EXPECTED, "200 (application/json)") for question in CALLS),
    streaming=Streaming(0.01, ""),
    forwarded=Forwarded.BELIEVED,
    skew=0.4,
    has_cookie=True,
)
"""Nothing can be said against it."""


def found(seen: Evidence, settings: Settings | None = None) -> dict[str, Finding]:
    """By code; what is always said is left out."""
    findings = judge(settings or Settings(), seen)
    return {finding.code: finding for finding in findings if finding.code != "reachable_directly"}


def severity(seen: Evidence) -> dict[str, Severity]:
    return {code: finding.severity for code, finding in found(seen).items()}


def trying(call: str, outcome: Outcome, answer: str) -> Evidence:
    return replace(
        GOOD,
        tried=tuple(Tried(q, outcome, answer) if q.call == call else Tried(q, Outcome.AS_EXPECTED, "") for q in CALLS),
    )


def test_a_good_one_leaves_one_thing_to_look_at() -> None:
    (finding,) = judge(Settings(), GOOD)
    assert (finding.code, finding.severity) == ("reachable_directly", NOTE)


@pytest.mark.parametrize("why", Unreachable)
def test_each_way_to_be_unreachable_says_what_to_do(why: Unreachable) -> None:
    (finding,) = found(Evidence(unreachable=why, detail="Because.")).values()
    assert (finding.code, finding.severity) == ("unreachable", ERROR)
    assert why.value in finding.what
    assert "http://127.0.0.1:8787" in finding.what
    assert "Because." in finding.why
    assert finding.todo.endswith(".")


def test_something_else_is_named() -> None:
    (finding,) = found(Evidence(detail="404 (text/html)", server="nginx")).values()
    assert (finding.code, finding.severity) == ("not_hermes", ERROR)
    assert "404 (text/html) by nginx" in finding.what
    assert "404 (text/html)." in found(Evidence(detail="404 (text/html)"))["not_hermes"].what


def test_a_call_that_differs_is_named_with_what_was_expected() -> None:
    finding = found(trying("Cancel", Outcome.DIFFERENT, "404 (text/html)"))["call_differs"]
    assert finding.severity is ERROR
    assert finding.what == "To GET /api/chat/cancel came 404 (text/html), and not 200 with cancelled: false."
    assert "Cancel" in finding.why


def test_a_backend_without_threads_is_busy_not_different() -> None:
    """F7."""
    assert severity(trying("Status", Outcome.BUSY, "503")) == {"backend_busy": ERROR}
    all_are_taken = Evidence(tried=(Tried(HEALTH, Outcome.BUSY, "503"),))
    assert severity(all_are_taken) == {"backend_busy": ERROR}


def test_what_a_login_hid_is_said() -> None:
    seen = replace(
        trying("Cancel", Outcome.NOT_LOOKED_AT, "401"), login=Login(needed=True, done=False, knows_oidc=True)
    )
    finding = found(replace(seen, has_cookie=False))["not_looked_at"]
    assert finding.severity is NOTE
    assert "1 of 7" in finding.what
    assert "HERMES_COOKIE" in finding.todo
    assert "the one that was given is not" in found(seen)["not_looked_at"].todo


def test_a_stream_that_is_held_back_is_not_told_as_a_call_that_differs() -> None:
    held_back = replace(trying("EventStream", Outcome.HELD_BACK, "nothing"), streaming=Streaming(None, ""))
    assert severity(held_back) == {"stream_buffered": ERROR}


def test_a_guard_in_front_of_a_guard_is_a_mistake() -> None:
    assert severity(replace(GOOD, is_guard=True)) == {"is_stream_guard": ERROR}


@pytest.mark.parametrize(
    ("release", "untried"),
    [
        (Span((0, 51, 194), (0, 51, 195)), True),
        (Span((0, 51, 195), (0, 51, 196)), False),
        (Span((0, 52, 262), (0, 52, 263)), False),
        (Span((0, 52, 263), (0, 52, 264)), True),
        (Span((0, 53, 0), (0, 53, 1)), True),
        (Span(first=(0, 52, 7)), False),
        (Span(until=(0, 51, 285)), False),
        (Span(), False),
    ],
)
def test_a_release_that_was_never_tried_is_worth_knowing(
    release: Span,
    untried: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    assert severity(replace(GOOD, release=release)) == ({"release_untried": NOTE} if untried else {})


@pytest.mark.parametrize(
    ("streaming", "expected"),
    [
        (None, {}),
        (Streaming(0.9, ""), {}),
        (Streaming(1.1, ""), {"stream_buffered": ERROR}),
        (Streaming(None, ""), {"stream_buffered": ERROR}),
        (Streaming(0.1, "br"), {"stream_compressed": WARNING}),
    ],
)
def test_a_stream_that_does_not_arrive_as_it_was_sent(
    streaming: Streaming | None, expected: dict[str, Severity]
) -> None:
    assert severity(replace(GOOD, streaming=streaming)) == expected


@pytest.mark.parametrize(
    ("server", "via", "named"), [("nginx", "", "nginx"), (GOOD.server, "1.1 a", "1.1 a"), ("", "", "hides")]
)
def test_whoever_is_in_between_is_named(server: str, via: str, named: str) -> None:
    finding = found(replace(GOOD, server=server, via=via))["in_between"]
    assert finding.severity is NOTE
    assert named in finding.what


@pytest.mark.parametrize(
    ("unstopped", "said"),
    [
        ((), None),
        ((29.0, 0.2), None),
        ((31.4,), "a run that was cancelled 31 s ago"),
        ((31.0, 2.0, 95.0), "2 runs that were cancelled 95 s ago"),
    ],
)
def test_what_was_stopped_has_stopped_after_a_while(unstopped: tuple[float, ...], said: str | None) -> None:
    """P11."""
    findings = found(replace(GOOD, unstopped=unstopped))
    assert [(code, said in one.what) for code, one in findings.items()] == (  # type: ignore[operator]
        [("stop_not_taken", True)] if said else []
    )


@pytest.mark.parametrize(("skew", "said"), [(60.4, "60 s ahead of"), (-7.0, "7 s behind"), (4.9, None), (None, None)])
def test_clocks_that_differ(skew: float | None, said: str | None) -> None:
    findings = found(replace(GOOD, skew=skew))
    assert [said in finding.what for finding in findings.values()] == ([True] if said else [])  # type: ignore[operator]


def test_the_gravest_comes_first() -> None:
    seen = replace(GOOD, login=Login(needed=False, done=False, knows_oidc=True), skew=60, is_guard=True)
    order = [finding.severity for finding in judge(Settings(), seen)]
    assert order == sorted(order, key=list(Severity).index)
    assert order[0] is ERROR
    assert order[-1] is NOTE


def test_every_finding_is_three_sentences_for_people() -> None:
    exposed = Settings(listen=ListenSettings(host="0.0.0.0"), upstream=UpstreamSettings(url="http://hermes"))
    seen = replace(
        trying("Cancel", Outcome.DIFFERENT, "404"),
        is_guard=True,
        login=None,
        forwarded=Forwarded.REFUSED,
        streaming=Streaming(None, "gzip"),
        via="a",
        skew=60,
        unstopped=(60.0,),
        peer="203.0.113.1",
        release=Span(first=(1, 0, 0)),
    )
    for finding in judge(exposed, seen):
        for sentence in (finding.what, finding.why, finding.todo):
            assert sentence[0].isupper(), sentence
            assert sentence.endswith("."), sentence
            assert len(sentence) < 150, sentence
            assert "\n" not in sentence
