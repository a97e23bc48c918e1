#!/usr/bin/env python3
"""What a release consists of besides its files: its version, its notes, and that what was built runs.

    .ci/release.py version v1.2.3    # prints 1.2.3, if that is the version that the code has
    .ci/release.py notes v1.2.3      # prints that version's part of CHANGELOG.md
    .ci/release.py try dist/*.whl    # installs it into an empty environment, and opens its demo's page

It needs Python alone, so that it can be used before anything is installed.
"""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

_TAG: Final = re.compile(r"v(\d+\.\d+\.\d+)")
_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_PAGE: Final = re.compile(r"with the proxy +(http://\S+)\n")

_INSTALLING: Final = 300.0
"""Seconds that pip may take."""
_PATIENCE: Final = 30.0
"""Seconds until the demo is there, and until it has ended."""
_CHUNK: Final = 1 << 16


def version_of(tag: str, code: str) -> str:
    """The version that a tag names.

    Args:
        tag: Such as `v1.2.3`.
        code: The text of `proxy/__init__.py`.

    Raises:
        ValueError: It is no version, or not the code's.
    """
    named, stated = _TAG.fullmatch(tag), _VERSION.search(code)
    if named is None:
        raise ValueError(f"the tag {tag} is no version: name it like v1.2.3")
    if stated is None or stated[1] != named[1]:
        is_said = stated[1] if stated else "nothing"
        raise ValueError(f"the tag {tag} is not what proxy/__init__.py says ({is_said}): change one of them")
    return named[1]


def notes_of(version: str, changelog: str) -> str:
    """What a version's part of the changelog says, without its heading.

    Raises:
        ValueError: There is none, or it is empty.
    """
    parts = re.split(r"^## \[(.+?)\].*$", changelog, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True)).get(version, "").strip()
    if not found:
        raise ValueError(f"CHANGELOG.md says nothing of {version}: give it a part ## [{version}] - <date>")
    return f"{found}\n"


def try_out(wheel: Path) -> str:
    """Installs a wheel into an empty environment, with the packages that are locked, and opens its demo's page.

    Raises:
        ValueError: The demo does not run, or not end.
    """
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "bin"
        pip = [str(here / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", folder],
            [*pip, "install", "--no-compile", "--require-hashes", "--requirement", str(ROOT / "requirements/run.txt")],
            [*pip, "install", "--no-compile", "--no-deps", "--no-index", str(wheel.resolve())],
            [*pip, "check"],
        ):
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=_INSTALLING)  # noqa: S603 - these words
        return _run_demo(here / "hermes-stream-guard")


def _run_demo(program: Path) -> str:
    command = [str(program), "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=program.parent, stderr=subprocess.PIPE) as demo:  # noqa: S603 - our own program
        try:
            page = _page(demo)
            urllib.request.urlopen(page, timeout=_PATIENCE).close()  # noqa: S310 - an address that the demo printed
            demo.send_signal(signal.SIGTERM)
            if demo.wait(_PATIENCE) != 0:
                raise ValueError(f"the demo ended with {demo.returncode}")
        finally:
            demo.kill()
    return page


def _page(demo: "subprocess.Popen[bytes]") -> str:
    """The address that the demo prints."""
    assert demo.stderr is not None  # noqa: S101 - it was asked for
    said = ""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and demo.poll() is None:
        if select.select([demo.stderr], [], [], 1.0)[0]:
            said += os.read(demo.stderr.fileno(), _CHUNK).decode(errors="replace")
            if found := _PAGE.search(said):
                return found[1]
    raise ValueError(f"the demo did not say where its page is, but: {said}")


def main(words: list[str]) -> str:
    """Carries a command out, and says what came of it."""
    match words:
        case ["version", tag]:
            return version_of(tag, (ROOT / "proxy/__init__.py").read_text())
        case ["notes", tag]:
            return notes_of(tag.removeprefix("v"), (ROOT / "CHANGELOG.md").read_text())
        case ["try", wheel]:
            return f"The wheel's demo ran, and ended when it was told to. Its page was {try_out(Path(wheel))}."
    raise ValueError("say one of: version TAG, notes TAG, try WHEEL")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{main(sys.argv[1:]).rstrip()}\n")
    except (ValueError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"release.py: {problem}")
