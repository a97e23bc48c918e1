"""``drain``: no new turns begin, until Hermes is back or somebody resumes; and waiting for those that run."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from proxy.config import AdminSettings
from proxy.console.client import AdminClient, asking
from proxy.console.progress import Progress
from proxy.console.words import count, duration

INTERVAL: Final = 0.5
"""Seconds between two looks: the proxy asks Hermes as often."""

_DONE: Final = 0
_NOT_YET: Final = 1

_PATH: Final = "/api/drain"
_RESUME: Final = "hermes-stream-guard drain --resume"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a drain is to do.

    Attributes:
        hold: New turns are held until Hermes is back, in place of being refused.
        resume: It ends one, and nothing else.
        timeout: Longest wait for the turns that run, in seconds; None does not wait.
    """

    hold: bool = False
    resume: bool = False
    timeout: float | None = None


async def drain(admin: AdminSettings, wanted: Wanted, progress: Progress) -> int:
    """Begins or ends a drain of the proxy that runs.

    Returns:
        The exit code: 1 if turns still run at the end of the wait, or somebody else ended the drain.

    Raises:
        UserError: the proxy cannot be asked, or refuses.
    """
    with asking(admin) as client:
        if wanted.resume:
            await client.ask(_PATH, {"action": "resume"})
            progress.say("New turns begin again.")
            return _DONE
        said = await client.ask(_PATH, {"action": "begin", "hold": True} if wanted.hold else {"action": "begin"})
        progress.say(_begun(hold=wanted.hold))
        if wanted.timeout is None:
            progress.say(_waiting(said))
            return _DONE
        return await _wait(client, wanted, wanted.timeout, progress)


async def _wait(client: AdminClient, wanted: Wanted, timeout: float, progress: Progress) -> int:  # noqa: ASYNC109 - as the option
    said: dict[str, Any] = {}
    try:
        async with asyncio.timeout(timeout):
            while (said := await client.ask(_PATH))["state"] == "draining":
                progress.show(_waiting(said), (_running(said), said["held"]))
                await asyncio.sleep(INTERVAL)
    except TimeoutError:
        progress.say(f"Turns still run after {duration(timeout)}: {_waiting(said)}. {_RESUME} ends the drain.")
        return _NOT_YET
    if said["state"] == "serving":
        progress.say("The drain has ended before the last turn had settled: it was resumed, or Hermes was restarted.")
        return _NOT_YET
    progress.say(_settled(hold=wanted.hold))
    return _DONE


def _begun(*, hold: bool) -> str:
    if hold:
        return "No new turn begins: what is sent is held until Hermes is back after a restart."
    return "No new turn begins: what is sent is refused."


def _waiting(said: dict[str, Any]) -> str:
    """What is waited for, without a full stop."""
    number = _running(said)
    oldest = max((float(turn["age"]) for turn in said.get("turns", ())), default=None)
    for_long = "" if oldest is None else f", the oldest for {duration(oldest)}"
    held = f"; {count(said['held'], 'new one is', 'new ones are')} held" if said.get("held") else ""
    if number:
        return f"{count(number, 'turn runs', 'turns run')}{for_long}{held}"
    return f"the last turn settles{held}" if said.get("state") == "draining" else f"no turn runs{held}"


def _running(said: dict[str, Any]) -> int:
    """How many turns run: as is believed, or as Hermes says if it knows of more."""
    return max(len(said.get("turns", ())), said.get("in_hermes") or 0)


def _settled(*, hold: bool) -> str:
    if hold:
        return f"No turn runs any more. Restart Hermes now: what is held goes on by itself ({_RESUME} if you do not)."
    return f"No turn runs any more. Restart Hermes now, and then: {_RESUME}"
