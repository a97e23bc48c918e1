"""deploy/Dockerfile: what it makes, and how that runs."""

import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.deploy.conftest import DEPLOY
from tests.deploy.image import Container, Image, container
from tests.deploy.programs import need, run
from tests.deploy.replay import Replay, instructions

pytestmark = [
    pytest.mark.timeout(400),  # the first test waits for packages to be installed
    pytest.mark.xdist_group("image"),
]

DOCKERFILE = DEPLOY / "Dockerfile"
PATIENCE = 60.0
"""Seconds. A container compiles all of the proxy when it starts, which takes long beside other tests."""

ASK = """
import http.client
asking = http.client.HTTPConnection("127.0.0.1", 8788, timeout=5)
asking.request("GET", "/")
print(asking.getresponse().status)
"""

STUB = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[1]) if self.path == "/healthz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8789), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Replay(DEPLOY.parent, tmp_path_factory.mktemp("image")).build(DOCKERFILE.read_text())


@pytest.fixture
def proxy(image: Image) -> Iterator[Container]:
    with container(image, *image.entrypoint, *image.command) as running:
        yield running


def eventually(running: Container, *command: str) -> str:
    """What a command says once it succeeds in a container."""
    deadline = time.monotonic() + PATIENCE
    while True:
        code, said = running.execute(*command)
        if code == 0:
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_linter_has_nothing_to_say() -> None:
    assert run(need("hadolint"), DOCKERFILE) == (0, "")


def test_base_is_one_release_of_python_on_one_release_of_debian() -> None:
    bases = {rest.split()[0] for word, rest in instructions(DOCKERFILE.read_text()) if word == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", bases.pop())


def test_it_runs_read_only_as_nobody_and_as_process_1(proxy: Container) -> None:
    assert eventually(proxy, "python", "-c", ASK) == "502\n"  # there is no Hermes in there
    assert "hermes-stream-guard" in proxy.execute("cat", "/proc/1/cmdline")[1]
    assert proxy.execute("id", "-u")[1] == "65532\n"
    for path in ("/x", "/app/x", "/tmp/x"):  # noqa: S108 - nothing gets there
        assert "Read-only file system" in proxy.execute("touch", path)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_reaches_it(proxy: Container, number: signal.Signals) -> None:
    eventually(proxy, "python", "-c", ASK)
    assert proxy.signal(number) == 0


def test_it_has_no_build_tools(image: Image) -> None:
    packages = {path.name for path in image.path("/app").glob("lib/*/site-packages/*")}
    assert "aiohttp" in packages
    assert not packages & {"pip", "setuptools", "hatchling"}
    assert not list(image.path("/python").glob("lib/*/site-packages/pip"))
    assert not any(image.path(folder).exists() for folder in ("/src", "/build"))


def test_it_is_healthy_once_it_runs(image: Image, proxy: Container) -> None:
    assert eventually(proxy, *image.healthcheck) == ""


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_healthcheck_tells_healthy_from_ill(image: Image, status: int, code: int) -> None:
    with container(image, "python", "-c", STUB, str(status)) as running:
        eventually(running, "python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8789))")
        assert running.execute(*image.healthcheck)[0] == code


def test_healthcheck_notices_that_nothing_listens(image: Image) -> None:
    with container(image, "sleep", "60") as running:
        assert running.execute(*image.healthcheck)[0] == 1
