"""aiohttp's C extensions, without which this proxy does not run."""

from __future__ import annotations

import os
from importlib.util import find_spec


def require_speedups() -> None:
    """Refuse to run on aiohttp's pure Python parser.

    It is slow, is not the one that was tested here, and has had smuggling bugs of its own.

    Raises:
        RuntimeError: the C parser is missing or switched off.
    """
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        raise RuntimeError("AIOHTTP_NO_EXTENSIONS is set: unset it, its parser is not safe enough.")
    if find_spec("aiohttp._http_parser") is None or find_spec("aiohttp._http_writer") is None:
        raise RuntimeError("aiohttp was installed without its C extensions: install its wheel for this platform.")
