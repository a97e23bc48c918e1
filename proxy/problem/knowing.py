"""The secrets that are known, so that they are found wherever they stand."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

SECRET_NAME: Final = re.compile(
    r"passw|passphrase|secret|token|cookie|credential|authorization|api_?key|private_?key", re.IGNORECASE
)
"""What is in the name of a setting, a variable or a field that holds a secret."""

_FILE: Final = "_file"
"""The ending of a name whose value is no secret, but the path of a file that holds one."""

_SHORTEST: Final = 4
"""Shorter secrets, in characters, are not searched for everywhere, as they could be any word."""


def names_a_secret(name: str) -> bool:
    """Whether what has that name is a secret."""
    return SECRET_NAME.search(name) is not None and not name.lower().endswith(_FILE)


def known_secrets(environment: Mapping[str, str], others: Iterable[str | None]) -> tuple[str, ...]:
    """Those of the environment, and others, such as a token or a cookie; the longest first, as one may hold another."""
    found = [value for name, value in environment.items() if names_a_secret(name)]
    parts = {part for secret in [*found, *filter(None, others)] for part in _parts(secret)}
    return tuple(sorted((part for part in parts if len(part) >= _SHORTEST), key=len, reverse=True))


def _parts(secret: str) -> Iterator[str]:
    """It, and the value of each cookie in it."""
    yield secret.strip()
    for pair in secret.split(";"):
        _name, equals, value = pair.partition("=")
        if equals:
            yield value.strip()
