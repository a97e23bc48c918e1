"""deploy/nginx.conf, as nginx itself reads it."""

from pathlib import Path

from proxy.config import UpstreamSettings
from proxy.config.units import parse_duration
from tests.deploy.conftest import DEPLOY, Certificate, nginx_command
from tests.deploy.programs import run
from tests.support.ports import free_port


def test_it_has_nothing_to_complain_of(tmp_path: Path, certificate: Certificate) -> None:
    command = nginx_command(tmp_path, certificate, port=free_port(), proxy=free_port())
    code, said = run(*command, "-t")
    assert code == 0, said
    assert "[warn]" not in said


def test_it_waits_longer_than_the_proxy() -> None:
    """Which then is the one to say that Hermes is too slow."""
    waits = [line.split() for line in (DEPLOY / "nginx.conf").read_text().splitlines() if "_timeout " in line]
    assert {words[0] for words in waits} == {"proxy_read_timeout", "proxy_send_timeout"}
    for words in waits:
        assert parse_duration(words[1].rstrip(";")) > UpstreamSettings().response_timeout
