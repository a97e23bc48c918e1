"""Fixtures: the embedded backend with the proxy in front of it, over real TCP; a folder's conftest.py imports them."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from proxy.app import running
from proxy.config import (
    ClientSettings,
    LaneSettings,
    ListenSettings,
    OwnershipSettings,
    RelaySettings,
    Settings,
    UpstreamSettings,
)
from proxy.demo import RELEASES, Backend, Faults
from tests.support.lab import FAST, OWNERSHIP, Lab, MakeLab


@pytest.fixture(params=sorted(RELEASES))
def release(request: pytest.FixtureRequest) -> str:
    """Every release that the backend can play."""
    return str(request.param)


@pytest.fixture
async def make_lab() -> AsyncIterator[MakeLab]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            release: str = "v0.52.262",
            *,
            ownership: OwnershipSettings = OWNERSHIP,
            relay: RelaySettings | None = None,
            client: ClientSettings | None = None,
            faults: Faults | None = None,
            relays: int = 80,
            **options: Any,
        ) -> Lab:
            options.setdefault("pace", FAST)
            backend = await stack.enter_async_context(Backend(release, **options))
            if faults is not None:
                backend.faults = faults
            settings = Settings(
                listen=ListenSettings(port=0),
                upstream=UpstreamSettings(url=backend.url, lanes=LaneSettings(relays=relays)),
                ownership=ownership,
                relay=relay or RelaySettings(reattach=0),
                client=client or ClientSettings(),
            )
            session = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
            )
            lab = Lab(backend, session)
            lab.guarded_by(await stack.enter_async_context(running(settings, lab.report)))
            stack.push_async_callback(_leave, lab, ownership)
            return lab

        yield make


async def _leave(lab: Lab, ownership: OwnershipSettings) -> None:
    """Every browser leaves, and the lab's own trace is checked for P1 to P11."""
    for tab in (*lab.browser.tabs, *lab.direct.tabs):
        await tab.leave()
    assert lab.broken_promises(ownership) == []
