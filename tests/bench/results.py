"""The figures of a whole run: medians, spread, and ratios of one round each. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measuring import Cell

DIRECT = "direct"

_ADDED = {"event p50 ms": "added p50 ms", "event p99 ms": "added p99 ms"}
"""What a proxy adds to the way without one, by what is measured of both."""

_LEAST = 0.05
"""Milliseconds added that ratios take for the least: what is less cannot be told from none, and not be divided by."""


@dataclass(frozen=True, slots=True)
class Result:
    """One cell, and whose it is."""

    round: int
    workload: str
    contender: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Figure:
    """A value over all rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure | None":
        """The figure of these values; None if there are none."""
        known = tuple(values)
        return cls(median(known), min(known), max(known)) if known else None


class Results:
    """What was measured, by the cell's name, the metric and the contender."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.all = results
        self._values: dict[tuple[str, str, str, int], float] = {}
        for result in results:
            for metric, value in result.cell.values.items():
                self._values[result.cell.name, metric, result.contender, result.round] = value
        for (cell, metric, contender, number), value in tuple(self._values.items()):
            without = self._values.get((cell, metric, DIRECT, number))
            if metric in _ADDED and contender != DIRECT and without is not None:
                self._values[cell, _ADDED[metric], contender, number] = max(value - without, 0.0)

    @property
    def contenders(self) -> list[str]:
        """Whose there are; the way without a proxy first."""
        return sorted(dict.fromkeys(result.contender for result in self.all), key=lambda name: name != DIRECT)

    @property
    def cells(self) -> list[str]:
        """Every cell's name, in the order in which they were measured."""
        return list(dict.fromkeys(result.cell.name for result in self.all))

    def metrics(self, cell: str) -> list[str]:
        """What was measured in a cell."""
        return list(dict.fromkeys(metric for name, metric, *_ in self._values if name == cell))

    @property
    def faults(self) -> list[str]:
        """What was wrong, and where."""
        return [
            f"{result.contender}, round {result.round + 1}, {result.cell.name}: {fault}"
            for result in self.all
            for fault in result.cell.faults
        ]

    def figure(self, cell: str, metric: str, contender: str) -> Figure | None:
        """The value over all rounds."""
        return Figure.of(self._rounds(cell, metric, contender).values())

    def ratio(self, cell: str, metric: str, contender: str, base: str) -> Figure | None:
        """The ratio of two contenders' values in the same round, over all rounds."""
        least = _LEAST if metric in _ADDED.values() else 0.0
        return self._compare(self._rounds(cell, metric, contender), self._rounds(cell, metric, base), least)

    def growth(self, cells: tuple[str, str], metric: str, contender: str) -> Figure | None:
        """The ratio of a contender's values in the second cell and in the first, over all rounds."""
        before, after = (self._rounds(cell, metric, contender) for cell in cells)
        return self._compare(after, before)

    def _rounds(self, cell: str, metric: str, contender: str) -> dict[int, float]:
        return {key[3]: value for key, value in self._values.items() if key[:3] == (cell, metric, contender)}

    @staticmethod
    def _compare(ours: dict[int, float], base: dict[int, float], least: float = 0.0) -> Figure | None:
        known = {number: max(value, least) for number, value in base.items()}
        return Figure.of(max(value, least) / known[number] for number, value in ours.items() if known.get(number))
