"""aiohttp's C extensions, without which this proxy does not run."""

from __future__ import annotations

from aiohttp import http_parser


def require_speedups() -> None:
    """Refuse to run on aiohttp's pure Python parser.

    It is slow, is not the one that was tested here, and has had smuggling bugs of its own.

    Raises:
        RuntimeError: the C parser is missing or switched off.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError(
            "aiohttp runs without its C extensions: unset AIOHTTP_NO_EXTENSIONS, or install its wheel for this machine."
        )
