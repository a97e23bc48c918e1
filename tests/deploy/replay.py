"""A Dockerfile's steps, replayed one by one without a container engine."""

import json
import os
import shlex
import shutil
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import PYTHON, Image

PATIENCE = 300.0
"""Seconds for one step, which may install packages."""

UNREACHABLE = "Failed to establish a new connection"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, each with its arguments."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", "").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word, rest.strip()


class Replay:
    """Carries a Dockerfile out.

    Args:
        context: The folder that its files come from, with its `.dockerignore`.
        scratch: Where the stages are made.
    """

    def __init__(self, context: Path, scratch: Path) -> None:
        self._context = context
        self._scratch = scratch
        lines = (context / ".dockerignore").read_text().splitlines()
        self._let_through = [line.removeprefix("!") for line in lines if line.startswith("!")]
        self._stages: dict[str, Image] = {}
        self._stage = Image(scratch)

    def build(self, text: str) -> Image:
        """The image that a Dockerfile makes."""
        for word, rest in instructions(text):
            getattr(self, f"_{word.lower()}")(rest)
        return self._stage

    def _from(self, rest: str) -> None:
        _base, *name = rest.split(" AS ")
        self._stage = Image(self._scratch / f"stage{len(self._stages)}")
        self._stages[name[0] if name else "result"] = self._stage
        for folder in ("python", "tmp"):
            (self._stage.root / folder).mkdir(parents=True)
        self._run(f"{shlex.quote(str(PYTHON))} -m venv /python")

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self._stage.env[name] = string.Template(value).substitute(self._stage.env)

    def _workdir(self, rest: str) -> None:
        self._stage.workdir = rest
        self._stage.path(".").mkdir(parents=True)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            stage = self._stages[sources.pop(0).removeprefix("--from=")]
            origins = [stage.path(source) for source in sources]
        else:
            assert set(sources) <= set(self._let_through), "something to copy is not in the context"
            origins = [self._context / source for source in sources]
        for origin in origins:
            into = self._stage.path(target)
            if origin.is_dir():
                shutil.copytree(origin, into, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, into)

    def _run(self, rest: str) -> None:
        done = subprocess.run(  # noqa: S603 - what the Dockerfile says
            [*self._stage.sandbox(read_only=False), "sh", "-c", rest],
            env={**os.environ, **self._stage.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if UNREACHABLE in done.stdout and "CI" not in os.environ:
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stdout

    def _user(self, rest: str) -> None:
        self._stage.user = rest

    def _expose(self, rest: str) -> None:
        """Nothing to do: it is for people to read."""

    def _healthcheck(self, rest: str) -> None:
        self._stage.healthcheck = json.loads(rest.partition(" CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self._stage.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)
