"""From what was seen, and how the proxy is set, to findings. Pure."""

from collections.abc import Iterator
from typing import Final

from proxy.check.evidence import Evidence, Outcome, Unreachable
from proxy.check.findings import ERROR, NOTE, WARNING, Finding, Severity
from proxy.check.safety import of_access, of_place, of_settings
from proxy.config import Settings
from proxy.hermes.releases import FIRST_TRIED, LAST_TRIED, Span, is_hermes, name

_SKEW: Final = 5.0
"""Seconds by which two clocks may differ before it shows."""

_SLOW: Final = 1.0
"""Seconds until the first bytes of a stream from which on something holds them back."""

_STOPPING: Final = 30.0
"""Seconds in which whoever was stopped has stopped."""

_UNTRIED: Final = (Span(until=FIRST_TRIED), Span(first=(*LAST_TRIED[:2], LAST_TRIED[2] + 1)))
"""Releases on which the proxy was never tried."""


def judge(settings: Settings, seen: Evidence) -> list[Finding]:
    """What there is to know about a deployment, the gravest first."""
    found = [*of_settings(settings)]
    if seen.unreachable is not None:
        found.append(_unreachable(settings.upstream.url, seen.unreachable, seen.detail))
    elif not seen.is_hermes:
        found += [*_of_threads(seen)] or [_not_hermes(settings.upstream.url, seen)]
    else:
        found += [*_of_contract(seen), *_of_stops(seen), *_of_streams(seen)]
        found += [*of_access(settings, seen), *of_place(settings, seen)]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _unreachable(url: str, why: Unreachable, detail: str) -> Finding:
    todo = {
        Unreachable.NOT_THERE: "Start Hermes, or correct upstream.url.",
        Unreachable.UNTRUSTED: "Set upstream.ca to the authority that signed its certificate.",
        Unreachable.NOT_TLS: "Write http:// in upstream.url if it speaks plain HTTP.",
        Unreachable.NOT_HTTP: "Write https:// in upstream.url if it speaks TLS; else correct it.",
        Unreachable.SILENT: "Look whether Hermes hangs or a firewall drops packets; else correct upstream.url.",
    }
    return Finding(
        "unreachable",
        ERROR,
        f"Hermes does not answer at {url}: {why.value}.",
        f"Every browser gets a 502 or 504 until it does. ({detail})",
        todo[why],
    )


def _not_hermes(url: str, seen: Evidence) -> Finding:
    by = f" by {seen.server}" if seen.server else ""
    return Finding(
        "not_hermes",
        ERROR,
        f"What answers at {url} is not Hermes: /health was answered {seen.detail}{by}.",
        "The proxy passes everything through and guards nothing.",
        "Correct upstream.url, or let the proxy past whatever asks for a login in front of Hermes.",
    )


def _of_contract(seen: Evidence) -> Iterator[Finding]:
    """Whether it can be guarded."""
    if seen.is_guard:
        yield Finding(
            "is_stream_guard",
            ERROR,
            "What answers there is a Stream Guard itself.",
            "Two in a row hold and answer the same calls twice; one in front of itself is a loop.",
            "Set upstream.url to Hermes' own address.",
        )
    for one in seen.tried:
        request = f"{one.question.method} {one.question.target.partition('?')[0]}"
        if one.outcome is Outcome.DIFFERENT:
            yield Finding(
                "call_differs",
                ERROR,
                f"To {request} came {one.answer}, and not {one.question.expected}.",
                f"The proxy does not understand such an answer, and passes {one.question.call} calls on unguarded.",
                "Look for something in between that changes answers; else report the release of this Hermes.",
            )
    yield from _of_threads(seen)
    yield from _of_what_was_not_looked_at(seen)
    yield from _of_release(seen.release)


def _of_threads(seen: Evidence) -> Iterator[Finding]:
    busy = [one.question.call for one in seen.tried if one.outcome is Outcome.BUSY]
    if busy:
        yield Finding(
            "backend_busy",
            ERROR,
            f"Hermes answers 503, to {', '.join(busy)}.",
            "All of its threads are in use (F7), by something that does not go through this proxy.",
            "Have every browser go through the proxy, and restart Hermes.",
        )


def _of_what_was_not_looked_at(seen: Evidence) -> Iterator[Finding]:
    hidden = [one.question.call for one in seen.tried if one.outcome is Outcome.NOT_LOOKED_AT]
    if hidden:
        yield Finding(
            "not_looked_at",
            NOTE,
            f"Hermes wants a login, so that {len(hidden)} of {len(seen.tried)} calls were not looked at.",
            f"Nothing can be said of {', '.join(hidden)}.",
            "Take the cookie of a browser that is logged in; the one that was given is not."
            if seen.has_cookie
            else "Set HERMES_COOKIE to the Cookie header of a browser that is logged in, and check again.",
        )


def _of_release(found: Span) -> Iterator[Finding]:
    if any(untried.holds_for(found) for untried in _UNTRIED):
        yield Finding(
            "release_untried",
            NOTE,
            f"This Hermes is {found}; the proxy was tried on {name(FIRST_TRIED)} to {name(LAST_TRIED)}.",
            "What it knows of Hermes may not hold for this release.",
            "Watch the log for internal_error and *_unguarded, and report what differs.",
        )


def _of_stops(seen: Evidence) -> Iterator[Finding]:
    """Whether what was stopped has stopped."""
    running = [seconds for seconds in seen.unstopped if seconds > _STOPPING]
    if running:
        runs = "a run that was" if len(running) == 1 else f"{len(running)} runs that were"
        yield Finding(
            "stop_not_taken",
            WARNING,
            f"Hermes lists {runs} cancelled {max(running):.0f} s ago: it did not stop.",
            "It goes on unseen: it costs money, and may write itself back into its conversation (F17).",
            "Press Stop again; if it stays, see what its tool waits for, and start Hermes anew.",
        )


def _of_streams(seen: Evidence) -> Iterator[Finding]:
    """Whether events arrive when they are sent."""
    arrived = seen.streaming
    if arrived is not None and (arrived.first_bytes is None or arrived.first_bytes > _SLOW):
        yield Finding(
            "stream_buffered",
            ERROR,
            "The first event of a stream does not arrive, though Hermes sends it at once.",
            "Something between the proxy and Hermes buffers: text comes in lumps, and Stops seem to hang.",
            "Set upstream.url to Hermes' own address, or turn buffering off in between.",
        )
    if arrived is not None and arrived.encoding:
        yield Finding(
            "stream_compressed",
            WARNING,
            f"Event streams arrive compressed ({arrived.encoding}), which Hermes does not do.",
            "The proxy cannot read events in them, so it cannot tell when a turn ends.",
            "Turn compression of text/event-stream off in what is between the proxy and Hermes.",
        )
    if seen.via or not is_hermes(seen.server):
        yield Finding(
            "in_between",
            NOTE,
            f"Something is between the proxy and Hermes: {seen.via or seen.server or 'it hides what answers'}.",
            "It may time streams out, and what it keeps open holds Hermes' threads (F7).",
            "Set upstream.url to Hermes' own address, unless it has to be there.",
        )
    if seen.skew is not None and abs(seen.skew) > _SKEW:
        ahead = "ahead of" if seen.skew > 0 else "behind"
        yield Finding(
            "clock_skew",
            WARNING,
            f"Hermes' clock is {abs(seen.skew):.0f} s {ahead} this one.",
            "Lines of the two logs cannot be put side by side, and logins expire at the wrong time.",
            "Synchronize both clocks by NTP.",
        )
