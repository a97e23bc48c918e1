"""The embedded backend with the proxy in front of it, over real TCP, where limits run out soon."""

from tests.support.fixtures import make_lab, release
from tests.support.loopback_time import pytest_asyncio_loop_factories

__all__ = ["make_lab", "pytest_asyncio_loop_factories", "release"]
