"""deploy/Caddyfile, as Caddy itself reads it."""

from pathlib import Path

from tests.deploy.conftest import DEPLOY
from tests.deploy.programs import need, run

SHIPPED = DEPLOY / "Caddyfile"


def test_it_is_valid(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    code, said = run(need("caddy"), "validate", "--adapter", "caddyfile", "--config", SHIPPED, env=env)
    assert code == 0, said
    assert '"level":"warn"' not in said


def test_it_is_formatted_as_caddy_would() -> None:
    _, formatted = run(need("caddy"), "fmt", SHIPPED)
    assert formatted == SHIPPED.read_text()
