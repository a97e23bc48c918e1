"""The figures of a run as Markdown: the budgets, the main figures, and every load by itself."""

from collections.abc import Iterable, Sequence

from tests.bench.budgets import BUDGETS, NGINX, PYTHON_PROXY, UNKNOWN
from tests.bench.results import Figure, Results

MAIN = (
    ("CPU a relayed event, us", "500 streams x 20/s", "CPU us/event", NGINX),
    ("the same, session not known", UNKNOWN, "CPU us/event", NGINX),
    ("the same, 2000 streams", "2000 streams x 10/s", "CPU us/event", NGINX),
    ("the same, in bursts", "50 streams x 25 tokens at once, 4/s", "CPU us/event", NGINX),
    ("added to an event, p50 ms", "500 streams x 20/s", "added p50 ms", NGINX),
    ("added to an event, p99 ms", "500 streams x 20/s", "added p99 ms", NGINX),
    ("memory an open stream, KiB", "2000 open streams", "KiB/stream", NGINX),
    ("small calls a CPU-second", "16 callers", "call/CPU-s", PYTHON_PROXY),
    ("a line of the access log, us", "log on and off", "us/log line", None),
    ("100 MB down, MB/s", "100 MB download", "MB/s", NGINX),
    ("the same, CPU us a MB", "100 MB download", "CPU us/MB", NGINX),
    ("the same, peak RSS MiB", "100 MB download", "peak RSS MiB", NGINX),
    ("100 MB up, MB/s", "100 MB upload", "MB/s", NGINX),
    ("the same, CPU us a MB", "100 MB upload", "CPU us/MB", NGINX),
    ("the same, peak RSS MiB", "100 MB upload", "peak RSS MiB", NGINX),
    ("streams opened and left a second", "16 browsers come and go", "opening/s", NGINX),
    ("orphans after 100 ms", "16 browsers come and go", "orphans after 100 ms", None),
    ("orphans after 5 s", "16 browsers come and go", "orphans after 5 s", None),
    ("Stop seen by the backend, p50 ms", "Stop among 80 streams x 20/s", "Stop seen p50 ms", NGINX),
    ("Stop seen by the backend, p99 ms", "Stop among 80 streams x 20/s", "Stop seen p99 ms", NGINX),
)
"""What the main table says: its words, the cell and the metric, and whose value the ratios are of."""

_ASIDE = frozenset({"instrument busy", "contender busy", "disturbed", "events at once", "streams", "rate"})
"""What is measured to judge the measurement by; the JSON has it."""

LUMPED = "events at once"

DOUBTFUL = {
    "disturbed": (0.05, "share of the time in which one of both was ready to run, and something else ran"),
    "instrument busy": (0.9, "share of the time in which the load generator was busy itself"),
    LUMPED: (1.2, "tokens that came in one piece, which makes each cheaper than it is"),
}
"""What a measurement is doubted for: the metric, the most of it that does no harm, and what it is."""


def report(results: Results) -> str:
    """The whole report."""
    parts = [_budgets(results), _main(results), *(_cell(results, cell) for cell in results.cells)]
    doubts = doubts_about(results)
    if doubts:
        parts.append("\n".join(["To be doubted:", "", *(f"- {doubt}" for doubt in doubts)]))
    return "\n\n".join(part for part in parts if part)


def _main(results: Results) -> str:
    rows = []
    for words, cell, metric, base in MAIN:
        figures = [_with_ratio(results, cell, metric, who, base) for who in results.contenders]
        if any(figures):
            rows.append([words, *figures])
    return table(["median (ratio)", *results.contenders], rows) if rows else ""


def _with_ratio(results: Results, cell: str, metric: str, who: str, base: str | None) -> str:
    figure = results.figure(cell, metric, who)
    ratio = results.ratio(cell, metric, who, base) if base else None
    if figure is None:
        return ""
    return f"{digits(figure.median)} ({ratio.median:.2f})" if ratio else digits(figure.median)


def _budgets(results: Results) -> str:
    rows = []
    for budget in BUDGETS:
        measured = budget.read(results)
        if measured is not None:
            bound = f"{'at least' if budget.at_least else 'at most'} {budget.limit:g} {budget.unit}"
            rows.append([budget.what, bound, spread(measured), "yes" if budget.holds(measured) else "NO"])
    return table(["budget", "limit", "measured (range)", "kept"], rows) if rows else ""


def _cell(results: Results, cell: str) -> str:
    metrics = [metric for metric in results.metrics(cell) if metric not in _ASIDE]
    rows = []
    for who in results.contenders:
        figures = [results.figure(cell, metric, who) for metric in metrics]
        rows.append([who, *(spread(figure) if figure else "" for figure in figures)])
    return f"**{cell}**\n\n{table(['median (range)', *metrics], rows)}" if metrics else ""


def doubts_about(results: Results) -> list[str]:
    """Which figures say more about the machine than about a contender, and why."""
    doubts = []
    for cell in results.cells:
        for metric, (limit, words) in DOUBTFUL.items():
            read = {who: results.figure(cell, metric, who) for who in results.contenders}
            over = [
                f"{who} {digits(figure.median)}" for who, figure in read.items() if figure and figure.median > limit
            ]
            if over and (metric != LUMPED or "at once" not in cell):
                doubts.append(f"{cell}: {words} ({', '.join(over)})")
    return doubts


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned for reading it as text too."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([padded[0], rule, *padded[1:]])


def spread(figure: Figure) -> str:
    """A figure with its range, where it has one."""
    if figure.low == figure.high:
        return digits(figure.median)
    return f"{digits(figure.median)} ({digits(figure.low)}..{digits(figure.high)})"


def digits(value: float) -> str:
    """A number with about three digits that matter."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
