"""Good traces, recorded by `traces/record.py`, to be doctored so that one promise is broken."""

import json
from pathlib import Path
from typing import Any

from proxy.verify import Violation, verify

TRACES = Path(__file__).parent / "traces"


class Doctored:
    """A good trace, to be edited line by line."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    def find(self, event: str, *, after: int = 0, **fields: Any) -> int:
        """The first such line, from 0."""
        for index, line in enumerate(self.lines[after:], after):
            if line["event"] == event and fields.items() <= line.items():
                return index
        raise AssertionError(f"no {event} with {fields}")

    def last(self, event: str, *, before: int | None = None, **fields: Any) -> int:
        """The last such line, from 0."""
        for index in reversed(range(len(self.lines[:before]))):
            line = self.lines[index]
            if line["event"] == event and fields.items() <= line.items():
                return index
        raise AssertionError(f"no {event} with {fields}")

    def drop(self, event: str, **fields: Any) -> None:
        del self.lines[self.find(event, **fields)]

    def drop_all(self, prefix: str) -> None:
        """Takes out every line whose event begins like that."""
        self.lines = [line for line in self.lines if not line["event"].startswith(prefix)]

    def edit(self, index: int, **fields: Any) -> None:
        self.lines[index].update(fields)

    def insert(self, index: int, event: str, **fields: Any) -> None:
        """Adds a line before `index`, at the time of the one before that, whatever `t` is given."""
        self.lines.insert(index, {**fields, "event": event, "t": self.lines[index - 1]["t"]})

    def append(self, seconds: float, event: str, /, **fields: Any) -> None:
        """Adds a last line, so much later."""
        self.lines.append({"t": self.lines[-1]["t"] + seconds, "event": event, **fields})

    def delay(self, index: int, seconds: float) -> None:
        """Has the line, and all that follows, happen so much later."""
        for line in self.lines[index:]:
            line["t"] += seconds

    def cut(self, index: int) -> None:
        """Ends the trace before the line."""
        del self.lines[index:]

    def hide_end(self) -> None:
        """Has the first worker that was stopped stay in `/health`, whatever the guard makes of it."""
        there = self.lines[self.find("workers_listed", unnamed=1)]
        self.edit(self.last_look(), **{name: there[name] for name in ("unnamed", "began", "cancelled")})

    def last_look(self) -> int:
        """The first `/health` that shows a stopped worker gone."""
        return self.find("workers_listed", after=self.find("cancel_said"), unnamed=0)

    def hide_belief(self) -> int:
        """Takes out what shows that the first stopped turn has settled, and all that follows the start held for it."""
        del self.lines[self.last_look()]
        self.drop("observed", what="SlotSeen", slot="free")
        self.drop("cancel_settled")
        forwarded = self.find("start_forwarded", held=True)
        self.cut(forwarded + 1)
        return forwarded

    def violations(self) -> list[Violation]:
        return verify(json.dumps(line) for line in self.lines)

    def only(self, promise: str, *lines: int) -> str:
        """The sentence of the one violation there is; it is of this promise, and shown by these lines (from 0)."""
        (violation,) = self.violations()
        assert violation.promise == promise
        assert violation.lines == tuple(line + 1 for line in lines)
        return violation.sentence


def read(release: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TRACES / f"{release}.jsonl").read_text().splitlines()]


def stream_of(trace: Doctored, index: int) -> str:
    """The stream that a line is about."""
    line = trace.lines[index]
    return str(line.get("stream") or line["stream_id"])


def promises(violations: list[Violation]) -> list[str]:
    """Which were broken, in the order of the lines."""
    return [violation.promise for violation in violations]


def open_upstream(trace: Doctored, upstream: str = "u-1", *, stream: str = "old", seconds: float = 0.0) -> int:
    """A connection to Hermes, so much later; where it opens."""
    trace.append(seconds, "upstream_opened", upstream=upstream, stream=stream, call="OpenStream")
    return len(trace.lines) - 1


def join(
    trace: Doctored,
    relay: str = "r-1",
    *,
    upstream: str = "u-1",
    stream: str = "old",
    joined: str = "now",
    seconds: float = 0.0,
) -> int:
    """A browser that follows an upstream from now on; where it does."""
    about = {"relay": relay, "upstream": upstream, "stream": stream}
    trace.append(seconds, "relay_opened", **about, call="OpenStream", joined=joined, behind=0)
    return len(trace.lines) - 1


def open_relay(
    trace: Doctored, relay: str = "r-1", *, upstream: str = "u-1", stream: str = "old", seconds: float = 0.0
) -> int:
    """A browser for which an upstream is opened; where it follows that."""
    open_upstream(trace, upstream, stream=stream, seconds=seconds)
    return join(trace, relay, upstream=upstream, stream=stream, joined="opened")


def hear(
    trace: Doctored, *events: str, upstream: str = "u-1", stream: str = "old", count: int = 1, seconds: float = 0.0
) -> int:
    """Hermes says that; where it does."""
    trace.append(seconds, "upstream_heard", upstream=upstream, stream=stream, events=list(events), count=count)
    return len(trace.lines) - 1


def write(
    trace: Doctored, *events: str, relay: str = "r-1", upstream: str = "u-1", stream: str = "old", seconds: float = 0.0
) -> int:
    """A browser is sent that; where it is."""
    about = {"relay": relay, "upstream": upstream, "stream": stream}
    trace.append(seconds, "relay_wrote", **about, events=list(events), count=1)
    return len(trace.lines) - 1


def close(
    trace: Doctored,
    why: str | None,
    *,
    overdue: str | None = None,
    upstream: str = "u-1",
    stream: str = "old",
    seconds: float = 0.0,
) -> int:
    """The connection to Hermes is closed; where it is."""
    trace.append(seconds, "upstream_closed", upstream=upstream, stream=stream, why=why, overdue=overdue)
    return len(trace.lines) - 1


def end(
    trace: Doctored,
    why: str = "terminal event",
    *,
    relay: str = "r-1",
    upstream: str = "u-1",
    stream: str = "old",
    seconds: float = 0.0,
) -> int:
    """A relay is over; where it is."""
    trace.append(seconds, "relay_ended", relay=relay, upstream=upstream, stream=stream, why=why)
    return len(trace.lines) - 1


def leave(
    trace: Doctored, relay: str = "r-1", *, upstream: str = "u-1", stream: str = "old", seconds: float = 0.0
) -> int:
    """A browser leaves; where it does."""
    trace.append(seconds, "browser_left", relay=relay, upstream=upstream, stream=stream)
    end(trace, "the browser left", relay=relay, upstream=upstream, stream=stream)
    return len(trace.lines) - 2


def keep(trace: Doctored, held: float, *, upstream: str = "u-1", stream: str = "old") -> int:
    """An upstream stays open for so long at most, for a browser to come back; where that is told."""
    trace.append(0, "upstream_kept", upstream=upstream, stream=stream, seconds=held)
    return len(trace.lines) - 1
