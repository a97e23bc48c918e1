"""Fuzzes every target for its share of the time: ``python -m tests.fuzz.run [SECONDS] [TARGET …]``.

With atheris, which lets itself be led by what the code does with an input, if it is installed (``pip install atheris``;
it is made for Linux and for some Pythons only); without, with hypothesis, which does not. Each target gets a process of
its own, as atheris ends the one it runs in. An input that fails is written to ``.fuzz``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.targets import Target

SECONDS: Final = 60
"""For all of them together, unless the command says otherwise."""

LONGEST: Final = 8192
"""Bytes of an input."""

SLOW: Final = 10
"""Seconds that no input may take, and that a process has to begin and end in."""

FOUND: Final = Path(".fuzz")
FUZZING: Final = "--fuzz"
"""Says that a process is to fuzz the one target that it is told, and not to share out the time."""


def main(arguments: list[str]) -> int:
    """Shares the time out. 1 if anything was found."""
    seconds = int(arguments[0]) if arguments else SECONDS
    names = arguments[1:] or [target.name for target in _targets().values()]
    FOUND.mkdir(exist_ok=True)
    failed = [name for name in names if not _fuzz_apart(name, max(1, seconds // len(names)))]
    if failed:
        sys.stderr.write(
            f"Found something in {', '.join(failed)}: the input is in {FOUND}.\n"
            f"Copy it to tests/fuzz/corpus, where `make test` tries it, and mend what it found.\n"
        )
    return bool(failed)


def _fuzz_apart(name: str, seconds: int) -> bool:
    """Whether a process that fuzzes one target found nothing, and came to an end."""
    sys.stderr.write(f"Fuzzing {name} for {seconds} s.\n")
    command = [sys.executable, "-m", "tests.fuzz.run", FUZZING, name, str(seconds)]
    try:
        return subprocess.run(command, check=False, timeout=seconds + 3 * SLOW).returncode == 0  # noqa: S603 - this file
    except subprocess.TimeoutExpired:
        return False


def fuzz(name: str, seconds: int) -> None:
    """Fuzzes one target. Does not return if atheris is there: it ends the process."""
    if find_spec("atheris") is None:
        _by_hypothesis(_targets()[name], seconds)
    else:
        _by_atheris(name, seconds)


def _targets() -> dict[str, Target]:
    # Imported late, since atheris has to see the import.
    return {target.name: target for target in import_module("tests.fuzz.targets").TARGETS}


def _by_atheris(name: str, seconds: int) -> None:
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["proxy"]):
        target = _targets()[name]
    with tempfile.TemporaryDirectory() as folder:
        words, learned = Path(folder) / "words", Path(folder) / "learned"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if len(word) < LONGEST))
        learned.mkdir()
        flags = [
            f"-timeout={SLOW}",
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-dict={words}",
            f"-artifact_prefix={FOUND}/{name}-",
        ]
        atheris.Setup([sys.argv[0], *flags, "-verbosity=0", str(learned), str(target.folder)], target.check)
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _by_hypothesis(target: Target, seconds: int) -> None:
    hypothesis = import_module("hypothesis")
    inputs = import_module("tests.fuzz.test_targets").inputs
    unhurried = hypothesis.settings(max_examples=1000, deadline=None, database=None)
    until = monotonic() + seconds
    while monotonic() < until:
        unhurried(hypothesis.given(inputs(target))(_kept(target)))()


def _kept(target: Target) -> Callable[[bytes], None]:
    """The check, keeping what fails: the last one that hypothesis tries is the smallest."""

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            (FOUND / f"{target.name}-found").write_bytes(data)
            raise

    return check


if __name__ == "__main__":
    if sys.argv[1:2] == [FUZZING]:
        fuzz(sys.argv[2], int(sys.argv[3]))
    else:
        with suppress(KeyboardInterrupt):
            sys.exit(main(sys.argv[1:]))
