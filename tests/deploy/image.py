"""An image and a container of it, without an engine: bubblewrap makes one file tree of a folder and this machine.

The folder holds all that the image has besides its base. In the base's place is this machine, read-only, and for the
base's Python a new virtual environment, at `/python`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.programs import need

PATIENCE = 60.0
"""Seconds. A container compiles all of the proxy when it starts, which takes long beside other tests."""

PYTHON = Path(sys.executable).resolve()
"""Outside of any virtual environment."""

BASE = {"bin", "etc", "lib", "lib64", "opt", "run", "sbin", "sys", "usr", "var", PYTHON.parts[1]}
"""What is taken from this machine."""


@dataclass
class Image:
    """An image, or one stage of its build."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": f"/python/bin:{os.environ['PATH']}"})
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where something of the image is on this machine."""
        return self.root / (Path(self.workdir) / inside).relative_to("/")

    def sandbox(self, *, read_only: bool) -> list[str]:
        """What comes before a command that is to see the image's file tree."""
        own = ["--ro-bind" if read_only else "--bind", str(self.root), "/"]
        base = [word for name in sorted(BASE) for word in ("--ro-bind-try", f"/{name}", f"/{name}")]
        # A /dev of its own would need a second user namespace, from which nsenter gets nowhere without root.
        shared = ["--proc", "/proc", "--dev-bind", "/dev", "/dev"]
        return [need("bwrap"), *own, *base, *shared, "--chdir", self.workdir, "--die-with-parent"]


class Container:
    """A process that runs in an image, as process 1 and without any privilege or network."""

    def __init__(self, bwrap: "subprocess.Popen[bytes]", pid: int, image: Image) -> None:
        self._bwrap = bwrap
        self._pid = pid
        self._image = image

    def execute(self, *command: str) -> tuple[int, str]:
        """How another command ends in there, and what it says."""
        enter = ["nsenter", "--target", str(self._pid), "--user", "--preserve-credentials", "--mount", "--net", "--pid"]
        done = subprocess.run(  # noqa: S603 - the tests' own words
            [*enter, "--", *command],
            env=self._image.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def signal(self, number: signal.Signals) -> int:
        """Sends the process a signal, as the engine does; its exit code."""
        os.kill(self._pid, number)
        return self._bwrap.wait(PATIENCE)


@contextlib.contextmanager
def container(image: Image, *command: str) -> Iterator[Container]:
    """Runs a command of the image for as long as the context lasts."""
    uid, gid = image.user.split(":")
    reading, writing = os.pipe()
    nobody = ["--unshare-user", "--uid", uid, "--gid", gid, "--cap-drop", "ALL"]
    alone = ["--unshare-net", "--unshare-pid", "--as-pid-1", "--info-fd", str(writing)]
    with subprocess.Popen(  # noqa: S603 - what the Dockerfile says
        [*image.sandbox(read_only=True), *nobody, *alone, *command], env=image.env, pass_fds=[writing]
    ) as bwrap:
        os.close(writing)
        try:
            with os.fdopen(reading) as told:
                pid = json.load(told)["child-pid"]
            _until_it_is_no_longer("bwrap", pid)
            yield Container(bwrap, pid, image)
        finally:
            bwrap.kill()


def _until_it_is_no_longer(name: str, pid: int) -> None:
    """Waits until a process runs another program: what its sandbox is made of is in place by then."""
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/comm").read_text() == f"{name}\n":
        assert time.monotonic() < deadline
        time.sleep(0.005)
