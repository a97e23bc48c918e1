"""Settings from a file, the environment and flags: settings, or a sentence about them."""

import tempfile
from pathlib import Path
from typing import Any

from proxy.config import SettingsError, load

VARIABLES = ("LISTEN__PORT", "CLIENT__TRUSTED_PROXIES", "UPSTREAM", "RELAY__BUFFER", "")
FLAGS = ("upstream", "listen")


def check_settings(data: bytes) -> None:
    """The first byte says where the rest is written: in a variable, its name, a flag, or a file."""
    where, written = (data[:1] or b"\0")[0] % (len(VARIABLES) + len(FLAGS) + 2), data[1:]
    text = written.decode("utf-8", "surrogateescape")
    if where < len(VARIABLES):
        told = _told(environ={f"STREAM_GUARD__{VARIABLES[where]}": text})
    elif where == len(VARIABLES):
        told = _told(environ={f"STREAM_GUARD__{text}": "1"})
    elif where <= len(VARIABLES) + len(FLAGS):
        told = _told(environ={}, **{FLAGS[where - len(VARIABLES) - 1]: text})
    else:
        told = _told_of_file(written)
    assert told is None or told.strip()


def _told_of_file(written: bytes) -> str | None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(written)
        file.flush()
        return _told(Path(file.name), environ={})


def _told(*file: Path, **sources: Any) -> str | None:
    """What a person is told who starts the proxy so; nothing if it can be used."""
    try:
        load(*file, **sources)
    except SettingsError as error:
        return str(error)
    return None
