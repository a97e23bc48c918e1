"""Which event loops the tests of the process run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.support.loopback_time import LoopbackTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both for what signals do in this process; other processes choose theirs, and have a clock of their own."""
    match item.path.name:
        case "test_lifecycle.py":
            return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
        case "test_admin.py":
            return {"asyncio": LoopbackTimeLoop}
    return {"asyncio": asyncio.new_event_loop}
