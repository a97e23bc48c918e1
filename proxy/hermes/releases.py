"""Hermes' releases: which one a backend seems to be, by what it says of itself and by what it does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

Release = tuple[int, int, int]

_REPEATS: Final[Release] = (0, 51, 237)
"""From this one on, a cancel finds a worker that its stream has left behind, so it can be repeated (F14)."""

FIRST_TRIED: Final[Release] = (0, 51, 195)
LAST_TRIED: Final[Release] = (0, 52, 262)
"""Between these the proxy was tried on real releases."""

_SERVER: Final = re.compile(r"HermesWebUI(?:/(?:exp-)?v?(\d+)\.(\d+)\.(\d+)(?!\d))?")


class Mark(Enum):
    """What a backend does from some release on."""

    TELLS_START = (0, 51, 285)
    """`/health` has `server_started_at`."""
    SESSION_CHANNEL = (0, 51, 340)
    """`/api/session/stream` exists."""
    KNOWS_OIDC = (0, 51, 789)
    """`/api/auth/status` has `oidc_enabled`."""
    FRAMES_OPTIONS = (0, 52, 7)
    """`OPTIONS` is answered with a `Content-Length` (F8)."""

    @property
    def release(self) -> Release:
        """The first release that does it."""
        return self.value


@dataclass(frozen=True, slots=True)
class Span:
    """Releases from `first` on and before `until`; None is no bound."""

    first: Release | None = None
    until: Release | None = None

    def holds_for(self, found: "Span") -> bool | None:
        """Whether it takes in every release of `found`; None if only some."""
        if found.is_before(self) or self.is_before(found):
            return False
        begins = self.first is None or (found.first is not None and found.first >= self.first)
        ends = self.until is None or (found.until is not None and found.until <= self.until)
        return True if begins and ends else None

    def is_before(self, other: "Span") -> bool:
        """Whether all of it is older than all of `other`."""
        return self.until is not None and other.first is not None and self.until <= other.first

    def __str__(self) -> str:
        if self.first is not None and self.until == _next(self.first):
            return name(self.first)
        bounds = [f"from {name(self.first)} on"] if self.first else []
        bounds += [f"before {name(self.until)}"] if self.until else []
        return ", ".join(bounds) or "unknown"


def name(release: Release) -> str:
    """As its tag has it, such as `v0.52.262`."""
    return "v" + ".".join(map(str, release))


def is_hermes(server: str) -> bool:
    """Whether a `Server` header is Hermes' own."""
    return _SERVER.match(server) is not None


def stated_release(server: str) -> Release | None:
    """The release that a `Server` header names; one that runs from a bare checkout names none."""
    found = _SERVER.match(server)
    if found is None or found[1] is None:
        return None
    return int(found[1]), int(found[2]), int(found[3])


def guessed_release(server: str, marks: Mapping[Mark, bool]) -> Span:
    """The releases that a backend may be, by its `Server` header or else by the marks that were looked at."""
    release = stated_release(server)
    if release is not None:
        return Span(release, _next(release))
    seen = [mark.release for mark, is_there in marks.items() if is_there]
    missed = [mark.release for mark, is_there in marks.items() if not is_there]
    return Span(max(seen, default=None), min(missed, default=None))


def _next(release: Release) -> Release:
    major, minor, patch = release
    return major, minor, patch + 1


def repeats_cancels(server: str, *, tells_start: bool) -> bool | None:
    """Whether a cancel can be repeated, by the `Server` header and by whether `/health` names the process's start."""
    release = stated_release(server)
    if release is not None:
        return release >= _REPEATS
    return True if tells_start else None
