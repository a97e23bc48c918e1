"""Steers: passed on, and answered so that the text is not lost with its turn (F18)."""

import asyncio
from dataclasses import dataclass, replace

from proxy.backend.backend import Backend
from proxy.core.records import Ending, StreamRecord
from proxy.core.verdicts import judge_steer
from proxy.events.steers import SteerPassedLarge, SteerRefused, SteerUnremembered
from proxy.guard.label import Judged
from proxy.hermes import answers
from proxy.hermes.contract import Steering, read_steering, steer_without_text
from proxy.http.errors import ProxyError
from proxy.http.headers import with_content_length
from proxy.http.message import Answer, Body, RequestHead
from proxy.ownership.ownership import Ownership
from proxy.relay.steers import Steers
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

_OK = 200


@dataclass(frozen=True, slots=True)
class _Asked:
    """A steer on its way, and what its turn is believed to be."""

    said: Steering
    stream: StreamRecord | None


class SteerGuard:
    """Answers steers.

    Args:
        backend: Asked to steer.
        ownership: Asked what becomes of the turn.
        steers: Remembers what was accepted.
        tasks: Owns steers, which are carried out though their browser has left (P10).
        report: Told of steers by their lengths, and never what they say.
    """

    def __init__(self, backend: Backend, ownership: Ownership, steers: Steers, tasks: Tasks, *, report: Report) -> None:
        self._backend = backend
        self._ownership = ownership
        self._steers = steers
        self._tasks = tasks
        self._report = report

    async def answer(self, head: RequestHead, body: bytes) -> Judged:
        """The answer to a steer whose body has arrived whole.

        Raises:
            ProxyError: the backend gave none.
        """
        return await asyncio.shield(self._tasks.spawn(self._carry_out(head, body), "steer"))

    async def answer_large(self, head: RequestHead, body: Body) -> Judged:
        """The answer to a steer whose body is over the limit for holding it: it passes unremembered (P7).

        Raises:
            ProxyError: the backend gave none.
        """
        self._report(SteerPassedLarge())
        return Judged(await self._backend.ask(head, body))

    async def _carry_out(self, head: RequestHead, body: bytes) -> Judged:
        asked: _Asked | None = None
        with failing_open(self._report, "judging a steer", passing=ProxyError):
            asked = await self._read(body)
            if asked is not None and (reason := judge_steer(asked.stream)):
                return await self._refuse(head, asked.said, reason)
        answer = await self._backend.ask(head, Body.of(body))
        with failing_open(self._report, "learning from a steer's answer"):
            return await self._learn(answer, asked)
        return Judged(answer)

    async def _read(self, body: bytes) -> _Asked | None:
        said = read_steering(body)
        if said is None:
            return None
        return _Asked(said, (await self._ownership.session(said.session_id)).owner)

    async def _refuse(self, head: RequestHead, said: Steering, reason: Ending) -> Judged:
        """Hermes might take the text, and lose it with the turn: it is asked only whether it knows the caller (P9)."""
        question = steer_without_text(said.session_id)
        bare = replace(head, headers=with_content_length(head.headers, len(question)))
        confirmed = await self._backend.ask(bare, Body.of(question))
        if not answers.is_known_to_steer(confirmed.status):
            return Judged(confirmed)
        return self._refused(replace(confirmed, status=_OK, reason=b"OK"), said, reason)

    def _refused(self, answer: Answer, said: Steering, reason: Ending) -> Judged:
        self._report(SteerRefused(said.session_id, len(said.text), reason))
        return Judged(answer.with_body(answers.refused_steer()), "stale", reason)

    async def _learn(self, answer: Answer, asked: _Asked | None) -> Judged:
        accepted = answers.read_steer(answer.status, answer.body)
        if accepted is None or asked is None:
            return Judged(answer)
        stream_id = accepted.stream_id or (asked.stream.stream_id if asked.stream else None)
        if stream_id is None:
            self._report(SteerUnremembered(None, len(asked.said.text)))
            return Judged(answer)
        if reason := judge_steer(await self._ownership.stream(stream_id)):
            return self._refused(answer, asked.said, reason)
        self._steers.remember(stream_id, asked.said.session_id, asked.said.text)
        return Judged(answer)
