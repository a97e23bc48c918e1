"""Tests that share something dear, such as a browser, run on one worker."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there are no workers")
def test_a_group_is_known_to_whoever_shares_out_the_tests(request: pytest.FixtureRequest) -> None:
    """A pytest that pytest-xdist does not know yet spread them silently, and every worker started a browser."""
    assert request.node.nodeid.endswith("@together")
