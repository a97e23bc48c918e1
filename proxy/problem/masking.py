"""Taking secrets out: those that are known, what looks like one, and text of which nobody knows what it is."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from proxy.problem.knowing import names_a_secret
from proxy.problem.tracebacks import without_values
from proxy.problem.words import IDS, SHOWN

MASKED: Final = "(masked)"

_SHOWN_OF_ID: Final = 8
_NAMELESS: Final = "stream:"
"""What a session's id begins with that is only known by its stream."""

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

_PATTERNS: Final = (
    (re.compile(r"(?<=://)[^/\s\"'<>]*@"), f"{MASKED}@"),  # https://name:password@host
    (re.compile(r"\?[^\s\"'?]*=[^\s\"']*"), f"?{MASKED}"),
    (re.compile(r"(?im)((?:set-)?cookie|(?:proxy-)?authorization)(\"?'?\s*[:=]).*$"), rf"\1\2 {MASKED}"),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+\S+"), rf"\1 {MASKED}"),
    (
        re.compile(
            r"(?i)([\w-]*(?:passw|passphrase|secret|token|credential|api[_-]?key|session)\w*[\"']?\s*[=:]\s*[\"']?)[^\s,;\"']+"
        ),
        rf"\1{MASKED}",
    ),
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){1,2}"), MASKED),  # a JSON Web Token (RFC 7519)
    (re.compile(r"(?=[\w+~-]*\d)(?=[\w+~-]*[A-Za-z])[\w+~-]{20,}={0,2}"), MASKED),  # long, and no word
)


class Masker:
    """Takes secrets out of what is gathered.

    Args:
        secrets: Those that are known, the longest first.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [spelling for secret in secrets for spelling in _spellings(secret)]
        self._ids: dict[str, list[str]] = {}

    def text(self, said: str) -> str:
        """A text without what is, or looks like, a secret."""
        for secret in self._secrets:
            said = said.replace(secret, MASKED)
        for pattern, instead in _PATTERNS:
            said = pattern.sub(instead, said)
        return said

    def looked_through(self, value: Any, name: str = "") -> Any:
        """JSON that the proxy or its owner wrote, such as settings, without secrets."""
        if value is not None and names_a_secret(name):
            return MASKED
        match value:
            case dict():
                return {key: self.looked_through(each, key) for key, each in value.items()}
            case list():
                return [self.looked_through(each) for each in value]
            case str():
                return self.text(value)
        return value

    def shown_only(self, value: Any, name: str = "") -> Any:
        """JSON of which only text is left that `words` lists, and numbers; ids are only begun."""
        if value is not None and names_a_secret(name):
            return MASKED
        match value:
            case dict():
                return {self._key(key): self.shown_only(each, key) for key, each in value.items()}
            case list():
                return [self.shown_only(each, name) for each in value]
            case str():
                return self._shown(value, name)
        return value

    def _shown(self, said: str, name: str) -> str:
        if name in IDS:
            return self._begun(said)
        if name == "exception":
            return self.text(without_values(said))
        return self.text(said) if name in SHOWN else MASKED

    def _key(self, key: str) -> str:
        return self.text(key) if _KEY.fullmatch(key) else MASKED

    def _begun(self, an_id: str) -> str:
        """The beginning of an id; two that begin alike are still told apart, as `verify` has to."""
        kind = _NAMELESS if an_id.startswith(_NAMELESS) else ""
        whole = an_id.removeprefix(_NAMELESS) if kind else an_id
        beginning = whole[:_SHOWN_OF_ID]
        alike = self._ids.setdefault(beginning, [])
        if whole not in alike and whole != beginning:
            alike.append(whole)
        number = alike.index(whole) if whole in alike else 0
        return f"{kind}{beginning}~{number + 1}" if number else f"{kind}{beginning}"


def _spellings(secret: str) -> tuple[str, ...]:
    """It as it is, in JSON, and in a URL."""
    return tuple(dict.fromkeys((secret, json.dumps(secret)[1:-1], quote(secret, safe=""))))
