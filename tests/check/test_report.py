"""A whole check, for scripts and for people."""

from dataclasses import replace

import pytest

from proxy.check.evidence import Evidence, Outcome, Streaming, Tried, Unreachable
from proxy.check.findings import ERROR, NOTE, WARNING, Finding, Severity
from proxy.check.report import Report, as_json
from proxy.check.text import as_text
from proxy.check.threads import Threads
from proxy.config import Settings
from proxy.hermes.answers import Login
from proxy.hermes.probe import HEALTH, Forwarded, Identity, questions
from proxy.hermes.releases import Span

SEEN = Evidence(
    is_hermes=True,
    release=Span((0, 51, 285), (0, 51, 340)),
    server="HermesWebUI Python/3.12.1",
    login=Login(needed=False, done=False, knows_oidc=False),
    tried=(
        Tried(HEALTH, Outcome.AS_EXPECTED, "200 (application/json)"),
        Tried(questions("check-1")[1], Outcome.DIFFERENT, "404 (text/html)"),
    ),
    streaming=Streaming(0.0123, ""),
    forwarded=Forwarded.IGNORED,
    identity=Identity.NOT_BELIEVED,
    skew=-0.25,
)


def finding(severity: Severity) -> Finding:
    return Finding("some_code", severity, "What.", "Why.", "Do.")


def plain(text: str, _severity: str) -> str:
    return text


def text(seen: Evidence, *findings: Finding) -> str:
    return as_text(Report(seen, findings), plain)


@pytest.mark.parametrize(("severity", "fine"), [(NOTE, True), (WARNING, False), (ERROR, False)])
def test_notes_leave_it_fine(
    severity: Severity,
    fine: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    assert Report(SEEN, (finding(NOTE), finding(severity))).is_fine == fine
    assert Report(SEEN, ()).is_fine


def test_scripts_get_all_of_it() -> None:
    report = as_json(Report(SEEN, (finding(WARNING),), Threads(4, 2)))
    facts = report.pop("facts")
    assert report == {
        "fine": False,
        "next": "Do.",
        "backend": {
            "reachable": True,
            "is_hermes": True,
            "release": "from v0.51.285 on, before v0.51.340",
            "release_is_said": False,
            "login_needed": False,
            "logged_in": False,
            "forwarded_for": "ignored",
            "identity_header": "not_believed",
            "first_event_after": 0.012,
            "event_stream_encoding": "",
            "clock_ahead": -0.2,
        },
        "threads": {"first_tab": 4, "further_tab": 2},
        "calls": [
            {"call": "Health", "request": "GET /health", "outcome": "as_expected", "answer": "200 (application/json)"},
            {
                "call": "Cancel",
                "request": "GET /api/chat/cancel",
                "outcome": "different",
                "answer": "404 (text/html)",
            },
        ],
        "findings": [{"code": "some_code", "severity": "warning", "what": "What.", "why": "Why.", "todo": "Do."}],
    }
    assert {fact["fact"]: fact["applies"] for fact in facts if fact["applies"] != "yes"} == {
        "F1": "perhaps",
        "F2": "perhaps",
        "F7": "no",
        "F14": "no",
        "F15": "no",
    }
    assert set(facts[0]) == {"fact", "applies", "hermes", "proxy"}


def test_scripts_get_null_for_what_was_not_seen() -> None:
    report = as_json(Report(Evidence(unreachable=Unreachable.SILENT), ()))
    assert report["backend"] == {
        "reachable": False,
        "is_hermes": False,
        **dict.fromkeys(("release", "login_needed", "logged_in", "forwarded_for", "identity_header")),
        "release_is_said": False,
        **dict.fromkeys(("first_event_after", "event_stream_encoding", "clock_ahead")),
    }
    assert (report["calls"], report["facts"]) == ([], [])


def test_people_get_what_was_seen_what_to_do_and_what_is_done() -> None:
    seen, facts, advice, following = text(SEEN, finding(WARNING)).split("\n\n")
    assert seen.splitlines() == [
        "release          from v0.51.285 on, before v0.51.340, by what it does; it does not say",
        "login            none",
        "calls            1 as expected, 1 different",
        "streams          first event after 12 ms, not compressed",
        "threads          not known",
        "X-Forwarded-For  ignored",
        "clock            -0.2 s",
    ]
    assert advice.splitlines() == ["warning: some_code  What.", "    why  Why.", "    do   Do."]
    assert facts.splitlines()[1].startswith("F1   (perhaps) a start right after a cancel")
    assert "F7" not in facts
    assert following == "Next: Do."


def test_a_release_that_says_what_it_is_is_taken_at_its_word() -> None:
    seen = replace(SEEN, server="HermesWebUI/0.51.300", release=Span((0, 51, 300), (0, 51, 301)))
    assert text(seen).splitlines()[0] == "release          v0.51.300"


@pytest.mark.parametrize(
    ("login", "said", "forwarded"),
    [
        (None, "not known", "not known"),
        (Login(needed=True, done=False, knows_oidc=True), "needed", "does not matter, as a login is needed"),
        (
            Login(needed=True, done=True, knows_oidc=True),
            "needed, and there is one",
            "does not matter, as a login is needed",
        ),
    ],
)
def test_a_login_decides_what_else_can_be_said(login: Login | None, said: str, forwarded: str) -> None:
    lines = text(replace(SEEN, login=login, forwarded=None)).splitlines()
    assert lines[1] == f"login            {said}"
    assert lines[5] == f"X-Forwarded-For  {forwarded}"


@pytest.mark.parametrize(
    ("streaming", "said"),
    [
        (None, "not looked at"),
        (Streaming(None, ""), "nothing arrived"),
        (Streaming(1.5, "gzip"), "first event after 1500 ms, gzip"),
    ],
)
def test_how_streams_arrive(streaming: Streaming | None, said: str) -> None:
    lines = text(replace(SEEN, streaming=streaming, skew=None)).splitlines()
    assert lines[3] == f"streams          {said}"
    assert lines[6] == "clock            not looked at"


@pytest.mark.parametrize("findings", [(), (finding(NOTE),)])
def test_without_grave_findings_nothing_has_to_be_changed(findings: tuple[Finding, ...]) -> None:
    assert text(SEEN, *findings).splitlines()[-1].startswith("Next: Nothing has to be changed; run hermes-stream-guard")


def test_it_ends_with_the_one_thing_to_do_next() -> None:
    """Of several the gravest, which comes first."""
    settings = Settings.model_validate({"client": {"trusted_proxies": ["0.0.0.0/0"]}})
    report = Report.of(settings, Evidence(unreachable=Unreachable.NOT_THERE))
    assert [one.code for one in report.findings] == ["unreachable", "trusted_proxies_wide"]
    assert as_text(report, plain).splitlines()[-1] == "Next: Start Hermes, or correct upstream.url."
    assert as_json(report)["next"] == "Start Hermes, or correct upstream.url."


def test_of_what_is_no_hermes_only_that_is_said() -> None:
    lines = ["error: some_code  What.", "    why  Why.", "    do   Do.", "", "Next: Do."]
    assert text(Evidence(), finding(ERROR)).splitlines() == lines


def test_what_is_grave_is_painted() -> None:
    painted = as_text(Report(SEEN, (finding(ERROR),)), lambda text, severity: f"<{severity}>{text}")
    assert "<error>error: some_code  What." in painted


def test_it_is_made_of_settings_and_what_was_seen() -> None:
    report = Report.of(Settings(), SEEN)
    assert [finding.code for finding in report.findings] == ["call_differs", "no_login", "forwarded_for_ignored"]
