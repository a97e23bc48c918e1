"""What holds for every test: none takes a port that somebody's own proxy or Hermes may have."""

import sys

DEFAULTS = frozenset({8787, 8788, 8789})
"""Of Hermes, of the proxy, and of its admin listener: `make run` has them in another terminal."""


def _refuse(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.bind" or not isinstance(address := args[1], tuple) or len(address) < 2:
        return
    if address[1] in DEFAULTS:
        raise AssertionError(f"a test listens on port {address[1]}, which may be taken: let it choose a free one")


def pytest_configure() -> None:
    """For as long as the process lives; a hook cannot be taken away (PEP 578)."""
    sys.addaudithook(_refuse)
