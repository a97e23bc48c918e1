"""The habits that set one Hermes release apart from another, in one table.

Facts F1 to F21 were recorded from unmodified releases; each field below names the fact it keeps.
Nothing else in the stand-in asks which release it is playing: it asks for the habit.
"""

import enum
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TypeAlias

Span: TypeAlias = float | tuple[float, float]
"""Seconds: so many, or between a lower and an upper bound, drawn anew for each turn."""


class Fate(enum.Enum):
    """What becomes of a turn that starts while a cancelled worker still unwinds (F1, F2)."""

    REFUSED = "refused"
    """409 that names the cancelled stream (F2)."""
    LEAK = "leak"
    """``apperror`` at once, then the cancelled turn's text on the new stream's id."""
    SILENCE = "silence"
    """One event, then heartbeats for ever."""
    UNFINISHED = "unfinished"
    """Its own text, but no ``done`` and no ``stream_end``."""


class Mode(enum.StrEnum):
    """Where Hermes has its turns run."""

    LOCAL = "local"
    """By an agent of its own."""
    GATEWAY = "gateway"
    """By an agent elsewhere, which hears a Stop only once its tool, or its model's silence, is over (F19)."""
    RUNNER = "runner"
    """By a process of which it knows nothing (F20)."""


class CancelOrder(enum.Enum):
    """Which leaves first: the ``cancel`` event, or the answer to the Stop (F5)."""

    EVENT_FIRST = "event first"
    ANSWER_FIRST = "answer first"
    EITHER = "either"
    """Drawn for each cancel from the backend's seeded generator."""


@dataclass(frozen=True)
class Release:
    """One release's habits.

    Attributes:
        name: The release's tag.
        fate: What a start meets while a cancelled worker unwinds (F1, F2).
        fence_limit: Seconds after which a refusing release stops waiting for that worker.
        cancels_by_worker: A cancel is accepted while the worker lives, not only the stream (F4); each
            further one reaches the worker again (F14).
        names_runs: ``/health`` ``runs[]`` carry ``stream_id`` and ``session_id`` (F3).
        marks_cancelling: A cancelled run's ``phase`` becomes ``cancelling`` (F3).
        tells_start_time: ``/health`` has ``server_started_at``.
        closing_events: Events after which the server closes a chat stream (F6).
        slots: Connections served at once, ``None`` for no limit (F7).
        frames_options: ``OPTIONS`` is answered with a ``Content-Length`` (F8).
        any_origin: ``OPTIONS`` allows every origin.
        trusts_forwarded_host: ``X-Forwarded-Host`` may stand in for ``Host`` (F10).
        trusts_forwarded_for: Who is local goes by ``X-Forwarded-For`` (F9).
        resumes: A cursor works on a running stream, and as ``Last-Event-ID`` (F12).
        frames_carry_ids: A frame keeps the id it was journalled with; otherwise it gets the
            newest id of its stream when it is written, if there still is one (F11).
        describes_cancel: The ``cancel`` event carries ``type``, ``status`` and the session.
        marks_recovery: A synthetic ``apperror`` says ``recovery_control``.
        reports_streaming: ``is_streaming`` is true while a turn runs.
        wide_metering: ``metering`` has the later release's extra fields.
        names_changes: ``sessions_changed`` says which session has changed.
        session_channel: ``/api/session/stream`` exists, and announces the backend's own turns.
        queues_steers: A gateway's turn is not steered, and the answer says why (F18).
        write_deadline: Seconds after which a reader that takes nothing is dropped.
        knows_oidc: ``/api/auth/status`` has fields for it.
    """

    name: str
    fate: Fate
    cancels_by_worker: bool
    marks_recovery: bool
    reports_streaming: bool
    fence_limit: float = 60.0
    names_runs: bool = True
    marks_cancelling: bool = False
    tells_start_time: bool = False
    closing_events: frozenset[str] = frozenset({"stream_end", "error", "cancel"})
    slots: int | None = None
    frames_options: bool = False
    any_origin: bool = True
    trusts_forwarded_host: bool = True
    trusts_forwarded_for: bool = True
    resumes: bool = False
    frames_carry_ids: bool = False
    describes_cancel: bool = False
    wide_metering: bool = False
    names_changes: bool = False
    session_channel: bool = False
    queues_steers: bool = False
    write_deadline: float = 30.0
    knows_oidc: bool = False


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        release.name: release
        for release in (
            Release(
                name="v0.51.195",
                fate=Fate.LEAK,
                cancels_by_worker=False,
                marks_recovery=False,
                reports_streaming=False,
            ),
            Release(
                name="v0.51.265",
                fate=Fate.SILENCE,
                cancels_by_worker=True,
                marks_recovery=True,
                reports_streaming=True,
            ),
            Release(
                name="v0.52.262",
                fate=Fate.REFUSED,
                cancels_by_worker=True,
                marks_recovery=True,
                reports_streaming=True,
                names_runs=False,
                marks_cancelling=True,
                tells_start_time=True,
                closing_events=frozenset({"stream_end", "cancel", "apperror", "error"}),
                slots=128,
                frames_options=True,
                any_origin=False,
                trusts_forwarded_host=False,
                trusts_forwarded_for=False,
                resumes=True,
                frames_carry_ids=True,
                describes_cancel=True,
                wide_metering=True,
                names_changes=True,
                session_channel=True,
                queues_steers=True,
                write_deadline=20.0,
                knows_oidc=True,
            ),
        )
    }
)
"""Every release the stand-in can play, by name."""


EVERY = sys.maxsize
"""For a fault that counts: no end of it."""


@dataclass(frozen=True)
class Pace:
    """How fast the model speaks and the worker unwinds; all in seconds.

    Attributes:
        token: Between two tokens, unless the prompt's ``d=`` says otherwise.
        first_token: From a turn's start to its first token, unless the prompt's ``first=`` says otherwise.
        deaf: From a turn's start, for as long as its agent does not listen: a cancel is accepted, and lost (F13).
            The first token comes no earlier than its end.
        opening: For how long an agent that listens opens its request to the model, which reaches the model half
            way. One cancel in that time makes it lose hold of that request, which runs on; two end it (F16).
        lag: From ``pending_started_at`` to the ``started_at`` of ``/health`` (F15).
        unwind: From a cancel that the worker hears to its end.
        tail: The last part of ``unwind``: a further cancel that the worker is passed then is left to the session's
            next turn, which dies of it at once.
        spoil: From a start in the elder's shadow to its death (F1).
        gap: Between the ``cancel`` event and the Stop's answer, whichever leaves first (F5).
    """

    token: float = 0.1
    first_token: float = 0.05
    deaf: Span = 0.0
    opening: float = 0.0
    lag: Span = (0.04, 0.16)
    unwind: float = 0.1
    tail: float = 0.0
    spoil: float = 0.03
    gap: float = 0.005


def draw(span: Span, chance: Random) -> float:
    """How long it takes this time."""
    return chance.uniform(*span) if isinstance(span, tuple) else span


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose, for every turn and call from now on.

    Attributes:
        hang: A cancelled worker does not unwind until this fault is lifted.
        die_after: The worker dies without a terminal event after this many tokens.
        cut_after: The server closes every chat stream after this many tokens.
        mute_cancel: An accepted cancel is never followed by its ``cancel`` event (F4).
        mute_end: ``done`` is never followed by ``stream_end``.
        gateway_down: A cancel is answered 502 and changes nothing: the gateway does not take it (F19).
        health_status: The status that ``/health`` is answered with.
        answer_delay: Seconds by which the answer to a cancel is late.
        start_delay: Seconds by which the answer to a start is late; its turn is not.
        comes_back: A worker that hears a cancel asks the model again and goes on, until it hears another.
        tells_leftover: What was steered too late is told before ``done``; mostly it is lost without a word (F18).
        refusal: What a start is refused for, with a 409 that names no stream; one of ``REFUSALS`` (F21).
        unanswered: So many cancels from now on are carried out, but not answered until this fault is lifted;
            ``EVERY`` for all of them.
        phase_after_cancel: What ``/health`` says of a cancelled run in place of ``cancelling`` (F15).
        fate: Replaces the release's fate (F1): the real ones vary from run to run.
    """

    hang: bool = False
    die_after: int | None = None
    cut_after: int | None = None
    mute_cancel: bool = False
    mute_end: bool = False
    gateway_down: bool = False
    health_status: int = 200
    answer_delay: float = 0.0
    start_delay: float = 0.0
    comes_back: bool = False
    tells_leftover: bool = False
    refusal: str | None = None
    unanswered: int = 0
    phase_after_cancel: str | None = None
    fate: Fate | None = None
