"""The units in deploy/, as systemd itself reads them."""

import re
import sys
from pathlib import Path

import pytest

from proxy.config import DrainSettings
from proxy.config.units import parse_duration
from tests.deploy.conftest import DEPLOY, fitted
from tests.deploy.programs import need, run

SERVICE, SOCKET = DEPLOY / "hermes-stream-guard.service", DEPLOY / "hermes-stream-guard.socket"
HERE = {"/opt/hermes-stream-guard/bin/": f"{Path(sys.executable).parent}/"}
MOST_EXPOSED = "15"
"""Tenths, of 100 at most. What talks to networks cannot get to 10; the usual service has 96."""


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Both, with the program where it is on this machine."""
    service, socket = tmp_path / SERVICE.name, tmp_path / SOCKET.name
    service.write_text(fitted(SERVICE, HERE))
    socket.write_text(SOCKET.read_text())
    return [service, socket]


def test_systemd_has_nothing_to_complain_of(units: list[Path]) -> None:
    assert run(need("systemd-analyze"), "verify", "--man=no", *units) == (0, "")


def test_service_is_given_the_time_that_draining_takes() -> None:
    (patience,) = re.findall(r"^TimeoutStopSec=(\w+)$", SERVICE.read_text(), re.MULTILINE)
    assert parse_duration(patience) > DrainSettings().timeout


def test_service_is_hardened() -> None:
    security = [need("systemd-analyze"), "security", "--no-pager", "--offline=true"]
    code, said = run(*security, f"--threshold={MOST_EXPOSED}", SERVICE)
    assert code == 0, said
