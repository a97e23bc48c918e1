"""Ending tasks in an orderly way."""

from __future__ import annotations

import asyncio
from typing import Any


async def settle(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and see their ends whatever those are.

    If the wait is itself cancelled, every task has been all the same.
    """
    for task in tasks:
        task.add_done_callback(_see)
        task.cancel()
    await asyncio.wait(tasks)


def _see(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
