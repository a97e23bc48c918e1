"""The state diagram of `docs/architecture.md`, made from the table of transitions: `make diagram` prints it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from proxy.core.records import StreamState
from proxy.core.transitions import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.core.transitions import State


def diagram() -> str:
    """In Mermaid's language; what leaves a stream in its state is not drawn."""
    return "\n".join(("stateDiagram-v2", *_edges()))


def _edges() -> Iterator[str]:
    for before, after in permutations((None, *StreamState), 2):
        kinds = [kind.__name__ for kind, (states, _step) in STEPS[before].items() if after in states]
        if kinds:
            yield f"    {_node(before)} --> {_node(after)}: {'<br>'.join(kinds)}"


def _node(state: State) -> str:
    return state.value if state else "[*]"


if __name__ == "__main__":
    print(diagram())  # noqa: T201 - printing is what this command is for
