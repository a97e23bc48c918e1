"""The proxy does not run on a parser it was not tested with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from aiohttp import http_parser

from proxy.http.speedups import require_speedups


def test_with_the_extensions_nothing_is_said() -> None:
    require_speedups()


def test_the_pure_python_parser_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RuntimeError, match="C extensions"):
        require_speedups()


def test_extensions_that_are_switched_off_are_an_error() -> None:
    """aiohttp looks at the variable as it is imported."""
    asked = "from proxy.http.speedups import require_speedups as ask; ask()"
    environment = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    run = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - this file
    assert "RuntimeError: aiohttp runs without its C extensions: unset AIOHTTP_NO_EXTENSIONS" in run.stderr
