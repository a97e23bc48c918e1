"""Where settings come from: a YAML file, the environment, flags; each value with its origin."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Final

from proxy.config.addresses import parse_admin, parse_listen
from proxy.config.document import KeyPath, read_document
from proxy.config.errors import SettingsError

PREFIX: Final = "STREAM_GUARD__"


@dataclass(frozen=True)
class Source:
    """Nested settings as they were written, and the origin of each.

    An origin is what a person looks for: ``FILE:LINE``, a variable, a flag. In ``origins`` a
    section comes before what it holds.
    """

    tree: Any
    origins: Mapping[KeyPath, str]


def from_file(path: Path) -> Source:
    """The settings in a YAML file.

    Raises:
        SettingsError: The file cannot be read, or is not one mapping of unrepeated keys.
    """
    tree, origins = read_document(_text(path), (), lambda line: f"{path}:{line}")
    if not isinstance(tree, dict | None):
        raise SettingsError(f'{path}:1: the file should hold "key: value" lines in sections')
    return Source(tree or {}, origins)


def from_environment(environ: Mapping[str, str]) -> Source:
    """The settings in variables such as ``STREAM_GUARD__UPSTREAM__URL``.

    A value is written as it would be in the file, so ``8788`` is a number, ``null`` is none and
    ``[10.0.0.0/8]`` a list. Where two variables overlap, the more specific one wins.

    Raises:
        SettingsError: A value is not YAML; the variable is named.
    """
    names = sorted(name for name in environ if name.startswith(PREFIX))
    return reduce(_overlay, [_variable(name, environ[name]) for name in names], Source({}, {}))


def from_flags(*, upstream: str | None, listen: str | None, admin: str | None) -> list[Source]:
    """The settings in command line flags; ``None`` is a flag that was not given.

    Raises:
        SettingsError: ``--listen`` or ``--admin`` has none of its forms.
    """
    sources = []
    if upstream is not None:
        sources.append(_flag("--upstream", "upstream", {"url": upstream}))
    if listen is not None:
        sources.append(_address("--listen", "listen", listen, parse_listen))
    if admin is not None:
        sources.append(_address("--admin", "admin", admin, parse_admin))
    return sources


def merge(base: Any, over: Any) -> Any:
    """Both trees as one; where they disagree ``over`` is right. Lists are replaced, not joined."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merge(base.get(key), value) for key, value in over.items()}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"--config cannot be read: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: save the file as UTF-8 ({error.reason})") from error


def _variable(name: str, text: str) -> Source:
    keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
    value, origins = read_document(text, keys, lambda _: name)
    return Source(reduce(lambda inner, key: {key: inner}, reversed(keys), value), origins)


def _overlay(base: Source, over: Source) -> Source:
    return Source(merge(base.tree, over.tree), {**base.origins, **over.origins})


def _address(name: str, section: str, text: str, parse: Callable[[str], dict[str, Any]]) -> Source:
    try:
        return _flag(name, section, parse(text))
    except ValueError as error:
        raise SettingsError(f"{name} {error}") from error


def _flag(name: str, section: str, values: dict[str, Any]) -> Source:
    return Source({section: values}, {(section, key): name for key in values})
