"""What a PromQL expression names: metrics, and the labels that it goes by."""

import re
from dataclasses import dataclass

LABELS_OF_PROMETHEUS = frozenset({"job", "instance"})
"""What a scrape adds to every series."""

_WORDS = frozenset({"by", "on", "and", "or", "unless", "offset"})
_FUNCTIONS = frozenset({"sum", "min", "max", "count", "rate", "increase", "histogram_quantile", "label_values"})


@dataclass(frozen=True)
class Named:
    """What an expression names.

    Attributes:
        metrics: Whatever is no word, function or label.
        labels: In selectors and groups, less those that every series has.
        values: What a label is compared with, by the label; regular expressions left out.
    """

    metrics: frozenset[str]
    labels: frozenset[str]
    values: frozenset[tuple[str, str]]


def named(expression: str) -> Named:
    """What an expression names."""
    matchers = re.findall(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"", expression)
    groups = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    grouped = [label for group in groups for label in re.findall(r"\w+", group)]
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on)\s*\([^)]*\)|\"[^\"]*\"", " ", expression)
    words = set(re.findall(r"(?<![\w:])[A-Za-z_:][\w:]*", bare))
    return Named(
        metrics=frozenset(words - _WORDS - _FUNCTIONS - LABELS_OF_PROMETHEUS),
        labels=frozenset({name for name, _, _ in matchers} | set(grouped)) - LABELS_OF_PROMETHEUS,
        values=frozenset((name, value) for name, how, value in matchers if how in ("=", "!=")),
    )
