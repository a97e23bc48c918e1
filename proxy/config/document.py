"""Reading YAML strictly, and keeping where each key was written.

Strict where YAML is lenient: a key written twice is an error, as are aliases (which can make a
small file huge); keys are text, whatever they look like (``on``, ``1``).
"""

from collections.abc import Callable
from typing import Any

import yaml

from proxy.config.errors import SettingsError

KeyPath = tuple[str | int, ...]
"""Where a value is among the settings, such as ``("listen", "port")``."""


def dotted(path: KeyPath) -> str:
    """A path as people write it: ``listen.port``."""
    return ".".join(map(str, path)) or "the configuration"


def read_document(text: str, path: KeyPath, origin: Callable[[int], str]) -> tuple[Any, dict[KeyPath, str]]:
    """One YAML document, and the origin of everything in it, outermost first.

    Args:
        text: The document; an empty one is ``None``.
        path: Where the document belongs among the settings.
        origin: What to call a line of it, counted from 1.

    Raises:
        SettingsError: It is not YAML, or repeats a key; the message starts with the origin.
    """
    reader = _Reader(path, origin)
    try:
        node = _Loader(text).get_single_node()
        return None if node is None else reader.value(node, path), reader.origins
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{origin(line)}: not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SettingsError(f"{origin(line)}: not valid YAML: {error.reason}") from error
    except RecursionError as error:
        raise SettingsError(f"{origin(1)}: lists and mappings are nested too deeply") from error


_MOST_BITS = 4096
"""Of a number; no setting comes near."""


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # not in the stubs
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", mark)
        return super().compose_node(parent, index)


class _Reader:
    """Turns nodes into values, noting the line of each key."""

    def __init__(self, path: KeyPath, origin: Callable[[int], str]) -> None:
        self._origin = origin
        self._scalars = yaml.SafeLoader("")
        self.origins = {path: origin(1)}

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(value, (*path, key)) for key, value in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return _of_usual_size(self._scalars.construct_object(node))
        except ValueError as error:
            raise SettingsError(f"{self.origins[path]}: {dotted(path)}: {error}") from error

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.origins[path] = self._line(node)
        return self.value(node, path)

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Any:
        for key, value in node.value:
            inner = (*path, self._key(key))
            if inner in self.origins:
                first = self.origins[inner]
                raise SettingsError(f"{self._line(key)}: {dotted(inner)} was set before ({first}); remove one")
            self.origins[inner] = self._line(key)
            yield inner[-1], value

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise SettingsError(f"{self._line(node)}: a key should be a word, not a list or mapping")
        return str(node.value)

    def _line(self, node: yaml.Node) -> str:
        return self._origin(node.start_mark.line + 1)


def _of_usual_size(value: Any) -> Any:
    """A scalar; Python writes no number in decimal that is very long, though it reads one in hexadecimal."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError("this number is far too large")
    return value
