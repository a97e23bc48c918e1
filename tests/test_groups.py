"""Tests that share something dear, such as a browser, run on one worker."""

import subprocess
import sys
from pathlib import Path

GROUP = """
import os
import pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(6))
def test_one(number):
    with open({log!r}, "a") as log:
        print(os.environ["PYTEST_XDIST_WORKER"], file=log)
"""


def test_whoever_shares_out_the_tests_keeps_a_group_together(tmp_path: Path) -> None:
    """A pytest that pytest-xdist does not know yet spread them silently, and every worker started a browser."""
    log, module = tmp_path / "log", tmp_path / "test_group.py"
    module.write_text(GROUP.format(log=str(log)))
    sharing = ["-n", "3", "--dist", "loadgroup", "--rootdir", str(tmp_path), "--override-ini", "addopts="]

    argv = [sys.executable, "-m", "pytest", "-q", *sharing, str(module)]
    subprocess.run(argv, check=True, timeout=60, cwd=tmp_path)  # noqa: S603 - our own command line

    workers = log.read_text().split()
    assert (len(workers), len(set(workers))) == (6, 1)
