"""The figures of a run as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from tests.bench.budgets import NGINX, PYTHON_PROXY
from tests.bench.plan import CROWD, RATES
from tests.bench.report import DOUBTFUL, LUMPED, digits
from tests.bench.results import DIRECT, Results

FORMATS = ("svg", "png")
_COLOURS = {
    "guard, uvloop": "#c2410c",
    "guard, asyncio": "#f59e0b",
    "no guard, uvloop": "#78716c",
    "no guard, asyncio": "#a8a29e",
    "bare relay": "#111827",
}
_OTHERS = ("#1d4ed8", "#0e7490", "#4d7c0f", "#7e22ce")


class _Bars(NamedTuple):
    title: str
    cell: str
    metric: str
    base: str


BARS = (
    _Bars("CPU a relayed event, us\n(500 streams x 20/s)", "500 streams x 20/s", "CPU us/event", NGINX),
    _Bars("added to an event, p99 ms\n(500 streams x 20/s)", "500 streams x 20/s", "added p99 ms", NGINX),
    _Bars("memory an open stream, KiB\n(2000 streams)", "2000 open streams", "KiB/stream", NGINX),
    _Bars("small calls a CPU-second", "16 callers", "call/CPU-s", PYTHON_PROXY),
)
OVER_STREAMS = [f"{count} streams x {RATES[0]}/s" for count in (50, 500, CROWD)]
OVER_RATES = [f"500 streams x {rate}/s" for rate in RATES]


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw the chart in each format.

    Returns:
        The files.
    """
    mpl.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    picture = Picture(figsize=(12, 7), layout="constrained")
    axes = list(picture.subplots(2, 3).flat)
    for bars, place in zip(BARS, axes, strict=False):
        _bars(place, results, bars)
    _curve(axes[4], results, "CPU over streams (10 events/s each)", OVER_STREAMS, "streams")
    _curve(axes[5], results, "CPU over events/s (500 streams)", OVER_RATES, "rate")
    picture.legend(*axes[4].get_legend_handles_labels(), loc="outside lower center", ncols=len(results.contenders))
    paths = [folder / f"chart.{suffix}" for suffix in FORMATS]
    for path in paths:
        picture.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _bars(axes: Axes, results: Results, bars: _Bars) -> None:
    """One bar a contender, with its range, and its ratio beside it."""
    shown = [(who, figure) for who in _proxies(results) if (figure := results.figure(bars.cell, bars.metric, who))]
    for row, (who, figure) in enumerate(shown):
        reach = [[figure.median - figure.low], [figure.high - figure.median]]
        axes.barh(row, figure.median, xerr=reach, color=_colour(results, who), error_kw={"elinewidth": 1})
        ratio = results.ratio(bars.cell, bars.metric, who, bars.base)
        if ratio is not None:
            axes.annotate(f" {digits(ratio.median)}x", (figure.high, row), va="center")
    axes.set_yticks(range(len(shown)), [who for who, _ in shown])
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(f"{bars.title}, x {bars.base}", loc="left")


def _curve(axes: Axes, results: Results, title: str, cells: Sequence[str], over: str) -> None:
    """What share of a core each contender takes; a straight line is a cost that grows with the load."""
    for who in _proxies(results):
        points = [point for cell in cells if (point := _point(results, cell, over, who))]
        if points:
            along, busy, behind = zip(*points, strict=True)
            axes.plot(along, busy, color=_colour(results, who), label=who)
            for x, y, hollow in zip(along, busy, behind, strict=True):
                axes.plot(x, y, "o", markersize=5, color=_colour(results, who), markerfacecolor="w" if hollow else None)
    axes.set_xlabel(f"{over}; hollow: it fell behind")
    axes.set_ylabel("share of a core")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_title(title, loc="left")


def _point(results: Results, cell: str, over: str, who: str) -> tuple[float, float, bool] | None:
    """How much load it was, what share of a core it took, and whether tokens had to wait for one another."""
    along, busy, lumped = (results.figure(cell, metric, who) for metric in (over, "contender busy", LUMPED))
    if along is None or busy is None or lumped is None:
        return None
    return along.median, busy.median, lumped.median > DOUBTFUL[LUMPED][0]


def _proxies(results: Results) -> list[str]:
    return [who for who in results.contenders if who != DIRECT]


def _colour(results: Results, who: str) -> str:
    others = [other for other in _proxies(results) if other not in _COLOURS]
    return _COLOURS.get(who) or _OTHERS[others.index(who) % len(_OTHERS)]
