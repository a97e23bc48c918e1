"""The proxy does not run on a parser it was not tested with."""

from __future__ import annotations

import importlib.util

import pytest

from proxy.http.speedups import require_speedups


def test_with_the_extensions_nothing_is_said() -> None:
    require_speedups()


def test_extensions_that_are_switched_off_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    with pytest.raises(RuntimeError, match="AIOHTTP_NO_EXTENSIONS"):
        require_speedups()


@pytest.mark.parametrize("missing", ["aiohttp._http_parser", "aiohttp._http_writer"])
def test_extensions_that_are_missing_are_an_error(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("proxy.http.speedups.find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(RuntimeError, match="C extensions"):
        require_speedups()
