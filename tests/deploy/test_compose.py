"""deploy/compose.yaml and compose.override.yaml, as Compose itself puts them together."""

import ipaddress
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from proxy.config import DrainSettings, load
from proxy.config.units import parse_duration
from tests.deploy.conftest import DEPLOY
from tests.deploy.programs import PLACES, run

SHIPPED, OVERRIDE = DEPLOY / "compose.yaml", DEPLOY / "compose.override.yaml"
OLDEST = (2, 26)
"""The files need 2.24.4; some releases after that do not say in JSON what they make of a file."""

ALONE = """
services:
  hermes-webui:
    build: .
    ports: ["127.0.0.1:8787:8787", "8787:8787"]
    volumes: ["./state:/home/hermeswebui/.hermes"]
    environment:
      - HERMES_WEBUI_HOST=0.0.0.0
      - HERMES_WEBUI_TRUSTED_PROXY_CIDRS=10.0.0.0/8
"""
"""One service on the network that goes without saying."""

BESIDE_AN_AGENT = """
services:
  hermes-agent:
    image: nousresearch/hermes-agent
    ports: ["127.0.0.1:8642:8642"]
    networks: [hermes-net]
  hermes-webui:
    image: ghcr.io/nesquena/hermes-webui
    container_name: hermes-webui
    depends_on: [hermes-agent]
    ports: ["127.0.0.1:8787:8787"]
    environment: {HERMES_API_URL: "http://hermes-agent:8642"}
    healthcheck: {test: "true"}
    networks: [hermes-net]
networks: {hermes-net: {}}
"""
"""Two services on a network of theirs."""


def compose() -> list[str]:
    """Compose on this machine, as a plugin of the client or on its own."""
    for name, *plugin in (["docker-compose"], ["docker", "compose"]):
        if program := shutil.which(name, path=PLACES):
            code, said = run(program, *plugin, "version", "--short")
            version = re.match(r"v?(\d+)\.(\d+)", said)
            if code == 0 and version and tuple(map(int, version.groups())) >= OLDEST:
                return [program, *plugin]
    missing = f"there is no Docker Compose {OLDEST[0]}.{OLDEST[1]} here"
    assert "CI" not in os.environ, missing
    pytest.skip(missing)


def config(*files: Path, cwd: Path = DEPLOY, **env: str) -> dict[str, Any]:
    """What Compose makes of the files, without a warning; of those that it finds by itself, if none is named."""
    named = [word for file in files for word in ("--file", str(file))]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HERMES", "STREAM_GUARD"))}
    command = [*compose(), *named, "config", "--format", "json"]
    code, said = run(*command, env={**inherited, **env}, cwd=cwd)
    assert code == 0, said
    read: dict[str, Any] = json.loads(said)
    return read


@pytest.fixture(params=[ALONE, BESIDE_AN_AGENT], ids=["alone", "beside an agent"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Somebody's compose file, in a folder of its own."""
    file = tmp_path / "docker-compose.yml"
    file.write_text(request.param)
    return file


def guarded(file: Path, **env: str) -> dict[str, Any]:
    """What becomes of somebody's compose file."""
    return config(file, OVERRIDE, cwd=file.parent, **env)


def test_hermes_is_as_it_is_published() -> None:
    hermes = config(SHIPPED)["services"]["hermes-webui"]
    assert hermes["image"] == "ghcr.io/nesquena/hermes-webui:latest"
    assert not {"build", "entrypoint", "command", "user"} & {name for name, value in hermes.items() if value}


def test_override_changes_nothing_of_the_file_that_it_lies_beside() -> None:
    """Compose takes it along by itself whenever no file is named."""
    alone, together = config(SHIPPED), config()
    hermes = together["services"]["hermes-webui"]
    del hermes["networks"]["default"], together["networks"]["default"]
    del together["services"]["stream-guard"]["pull_policy"]
    assert together == alone


def test_guard_is_the_same_in_both(theirs: Path) -> None:
    shipped, slipped_in = config(SHIPPED), guarded(theirs)
    guard = shipped["services"]["stream-guard"]
    assert guard.pop("build") == {"context": str(DEPLOY.parent), "dockerfile": "deploy/Dockerfile"}
    assert slipped_in["services"]["stream-guard"].pop("pull_policy") == "never"
    assert slipped_in["services"]["stream-guard"] == guard
    assert slipped_in["networks"]["stream-guard"]["ipam"] == shipped["networks"]["stream-guard"]["ipam"]


def test_hermes_has_no_port_and_the_guard_has_its_place(theirs: Path) -> None:
    for project in (config(SHIPPED), guarded(theirs)):
        services = project["services"]
        assert not services["hermes-webui"].get("ports")
        (port,) = services["stream-guard"]["ports"]
        assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8787", 8788)


def test_guard_starts_once_hermes_is_healthy(theirs: Path) -> None:
    for project in (config(SHIPPED), guarded(theirs)):
        depends_on = project["services"]["stream-guard"]["depends_on"]
        assert depends_on == {"hermes-webui": {"condition": "service_healthy", "required": True}}


def test_rest_of_somebodys_file_stays(theirs: Path) -> None:
    before, after = config(theirs, cwd=theirs.parent)["services"], guarded(theirs)["services"]
    del after["stream-guard"]
    old, new = before.pop("hermes-webui"), after.pop("hermes-webui")
    assert after == before
    assert new["networks"].keys() > old["networks"].keys()
    assert new["environment"].keys() > old["environment"].keys()
    assert new["healthcheck"].get("test") == old.get("healthcheck", {}).get("test")  # or else it is the image's
    merged = {"networks", "environment", "healthcheck", "ports"}
    assert {name: new.get(name) for name in old if name not in merged} == {
        name: value for name, value in old.items() if name not in merged
    }


@pytest.mark.parametrize("net", ["10.87.88", "172.29.7"])
def test_hermes_knows_the_guard_by_its_one_address(theirs: Path, net: str) -> None:
    for project in (config(SHIPPED, STREAM_GUARD_NET=net), guarded(theirs, STREAM_GUARD_NET=net)):
        services = project["services"]
        assert list(services["stream-guard"]["networks"]) == ["stream-guard"]  # by no other can they meet
        assert "stream-guard" in services["hermes-webui"]["networks"]
        address = ipaddress.ip_address(services["stream-guard"]["networks"]["stream-guard"]["ipv4_address"])
        (pool,) = project["networks"]["stream-guard"]["ipam"]["config"]
        assert address in ipaddress.ip_network(pool["subnet"])
        assert address not in ipaddress.ip_network(pool["ip_range"])  # which Docker hands out
        assert str(address) != pool["gateway"]
        environment = services["hermes-webui"]["environment"]
        assert environment["HERMES_WEBUI_TRUSTED_PROXY_CIDRS"] == f"{net}.2/32"
        assert environment["HERMES_WEBUI_TRUST_FORWARDED_FOR"] == "1"
        assert environment["HERMES_WEBUI_TRUST_FORWARDED_PROTO"] == "1"


def test_server_in_front_is_known_to_both(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    front = "10.87.88.1/32"
    for project in (config(SHIPPED, STREAM_GUARD_FRONT=front), guarded(theirs, STREAM_GUARD_FRONT=front)):
        services = project["services"]
        trusted = services["hermes-webui"]["environment"]["HERMES_WEBUI_TRUSTED_PROXY_CIDRS"]
        assert trusted == "10.87.88.2/32,10.87.88.1/32"
        settings = settings_of(services["stream-guard"], monkeypatch)
        assert settings.client.trusted_proxies == (ipaddress.ip_network(front),)


def test_guard_accepts_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(config(SHIPPED)["services"]["stream-guard"], monkeypatch)
    assert settings.upstream.url == "http://hermes-webui:8787"
    assert settings.client.trusted_proxies == ()


def settings_of(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings that the proxy would have as a service."""
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    return load()


def test_guard_may_do_no_more_than_it_needs() -> None:
    guard = config(SHIPPED)["services"]["stream-guard"]
    assert guard["read_only"] is True
    assert guard["tmpfs"] == ["/tmp:size=64m"]  # noqa: S108 - the container's own
    assert guard["cap_drop"] == ["ALL"]
    assert guard["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "volumes", "devices", "cap_add", "user"} & guard.keys()


def test_guard_has_limits() -> None:
    guard = config(SHIPPED)["services"]["stream-guard"]
    assert int(guard["mem_limit"]) == 512 << 20
    assert guard["pids_limit"] == 64
    assert guard["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_guard_is_given_the_time_that_draining_takes() -> None:
    patience = config(SHIPPED)["services"]["stream-guard"]["stop_grace_period"]
    assert parse_duration(patience) > DrainSettings().timeout


def test_readme_explains_every_variable() -> None:
    used = {name for file in (SHIPPED, OVERRIDE) for name in re.findall(r"\$\{(\w+)", file.read_text())}
    explained = set(re.findall(r"`(\w+)`", (DEPLOY / "README.md").read_text()))
    assert used - {"HOME"} <= explained
