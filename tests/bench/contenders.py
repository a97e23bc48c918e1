"""Who is measured, how each is set up, and starting it in front of the backend."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from tests.bench.processes import Processes
from tests.support.ports import free_port

CONFIGS = Path(__file__).with_name("configs")
CHECKOUT = Path(__file__).parents[2]
_PATH = os.pathsep.join([str(Path(sys.prefix) / "mitmproxy" / "bin"), os.environ.get("PATH", ""), "/usr/sbin"])
"""Where programs are looked for: `make bench` puts one into an environment of its own, distributions some in sbin."""

LEVEL = "log-level"
"""File in a contender's folder that names its log level at each reload (SIGHUP); without it, the shipped one holds."""

_PATIENCE = 30.0
"""Seconds in which a contender has to listen."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender is started.

    Attributes:
        folder: Of its own, and empty.
        port: Where it is to listen.
        upstream: The backend's port.
        relays: Most streams that it has to carry.
    """

    folder: Path
    port: int
    upstream: int
    relays: int

    def config(self, name: str) -> str:
        """The path of a configuration, filled in for this place."""
        text = Template((CONFIGS / name).read_text()).substitute(
            folder=self.folder, port=self.port, upstream=self.upstream
        )
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way from the browsers to the backend.

    Attributes:
        name: What it is called in the report.
        program: What has to be installed; None for the way without a proxy.
        argv: Its command line after the program.
        version: What makes the program print its version.
        environment: Variables to set.
        logs: Whether it writes a line about every call, to its standard error.
    """

    name: str
    program: str | None
    argv: Callable[[Place], list[str]]
    version: str = "--version"
    environment: Mapping[str, str] = field(default_factory=dict)
    logs: bool = False

    @property
    def installed(self) -> bool:
        return self.program is None or self._found is not None

    @property
    def _found(self) -> str | None:
        return shutil.which(self.program or "", path=_PATH)

    def version_line(self) -> str:
        """What it says of itself."""
        if self.program is None or self._found is None:
            return ""
        said = subprocess.run(  # noqa: S603 - a contender's own program
            [self._found, self.version], capture_output=True, text=True, check=False, cwd=CHECKOUT
        )
        return next(iter((said.stdout + said.stderr).splitlines()), "").strip()

    @asynccontextmanager
    async def started(self, upstream: int, relays: int) -> AsyncIterator["Target"]:
        """The contender in front of the backend for as long as the context lasts.

        Raises:
            StartError: it does not start.
        """
        if self.program is None:
            yield Target(self.name, upstream, None)
            return
        with TemporaryDirectory(prefix="bench-") as folder:
            place = Place(Path(folder), free_port(), upstream, relays)
            environment = {"HOME": folder, "PYTHONPATH": str(CHECKOUT), **self.environment}
            processes = Processes([self._found or self.program, *self.argv(place)], place.folder, environment)
            try:
                await processes.until_it_listens(place.port, _PATIENCE)
                yield Target(self.name, place.port, processes, logs=self.logs)
            finally:
                processes.end()


@dataclass(frozen=True, slots=True)
class Target:
    """A contender that runs.

    Attributes:
        name: Whose it is.
        port: Where it takes requests for the backend, on loopback.
        processes: What it runs as; None where it is the backend itself.
        logs: Whether it writes a line about every call.
    """

    name: str
    port: int
    processes: Processes | None
    logs: bool = False


def _ours(loop: str, guard: str) -> Callable[[Place], list[str]]:
    def argv(place: Place) -> list[str]:
        where = ["--upstream", f"http://127.0.0.1:{place.upstream}", "--port", str(place.port)]
        return ["-m", "tests.bench.ours", *where, "--relays", str(place.relays), "--loop", loop, guard]

    return argv


def _bare(place: Place) -> list[str]:
    return ["-m", "tests.bench.bare", "--upstream", str(place.upstream), "--port", str(place.port)]


def _mitmproxy(place: Place) -> list[str]:
    mode = ["--mode", f"reverse:http://127.0.0.1:{place.upstream}", "--listen-host", "127.0.0.1"]
    addon = ["--scripts", str(CONFIGS / "mitmproxy_streams.py")]
    return [*mode, "--listen-port", str(place.port), "--quiet", "--set", f"confdir={place.folder}", *addon]


PYTHON = sys.executable

CONTENDERS = (
    Contender("direct", None, lambda _place: []),
    Contender("nginx", "nginx", lambda place: ["-c", place.config("nginx.conf")], version="-v"),
    Contender("haproxy", "haproxy", lambda place: ["-f", place.config("haproxy.cfg")], version="-v"),
    Contender(
        "caddy",
        "caddy",
        lambda place: ["run", "--adapter", "caddyfile", "--config", place.config("Caddyfile")],
        version="version",
        environment={"GOMAXPROCS": "1"},
    ),
    Contender("mitmproxy", "mitmdump", _mitmproxy),
    Contender("bare relay", PYTHON, _bare),
    Contender("guard, uvloop", PYTHON, _ours("uvloop", "--guard"), logs=True),
    Contender("guard, asyncio", PYTHON, _ours("asyncio", "--guard"), logs=True),
    Contender("no guard, uvloop", PYTHON, _ours("uvloop", "--no-guard")),
    Contender("no guard, asyncio", PYTHON, _ours("asyncio", "--no-guard")),
)
