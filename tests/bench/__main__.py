"""`python -m tests.bench`: measure this proxy beside others, in the same run, and say what was found."""

import asyncio
import gc
import json
import platform
import resource
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop

from tests.bench import plan
from tests.bench.chart import draw
from tests.bench.contenders import CONTENDERS, Contender
from tests.bench.measuring import Workload
from tests.bench.processes import INSTRUMENT_CORE, StartError, on_core
from tests.bench.report import report
from tests.bench.results import Results
from tests.bench.running import run

T = TypeVar("T")

_FILES = 2 * plan.CROWD + 1024
"""Sockets that this process holds at most: both ends of every stream, and some more."""

_FAULTS_SAID = 20
"""Most faults that are printed."""

_NAMES = [contender.name for contender in CONTENDERS]
_WORKLOADS = [workload.name for workload in plan.workloads(plan.SECONDS)]


@click.command()
@click.option("--contender", "names", multiple=True, type=click.Choice(_NAMES), help="Whom to measure; all by default.")
@click.option("--workload", "loads", multiple=True, type=click.Choice(_WORKLOADS), help="By what; all by default.")
@click.option("--rounds", default=plan.ROUNDS, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=plan.SECONDS, show_default=True, type=click.FloatRange(0.1), help="Of each load.")
@click.option("--output", default=Path("build/bench"), show_default=True, type=Path, help="Folder for what was found.")
def main(names: Sequence[str], loads: Sequence[str], rounds: int, seconds: float, output: Path) -> None:
    """Measure this proxy beside others, on this machine, in the same run."""
    begun = time.monotonic()
    _allow_many_files()
    contenders = _installed([contender for contender in CONTENDERS if contender.name in (names or _NAMES)])
    workloads = [workload for workload in plan.workloads(seconds) if workload.name in (loads or _WORKLOADS)]
    results = _measure(contenders, workloads, rounds)
    text = report(results)
    click.echo(text)
    about = _about(contenders, rounds, seconds, time.monotonic() - begun)
    for path in _keep(results, about, text, output):
        click.echo(f"wrote {path}", err=True)
    sys.exit(_say_faults(results.faults))


def _measure(contenders: Sequence[Contender], workloads: Sequence[Workload], rounds: int) -> Results:
    gc.disable()  # this process's collections would count as somebody's latency
    try:
        with on_core(INSTRUMENT_CORE), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return Results(runner.run(_until_terminated(run(contenders, workloads, rounds, _progress))))
    except StartError as error:
        raise click.ClickException(str(error)) from error
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        gc.enable()


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    """The work, which SIGTERM breaks off in an orderly way: its contenders would live on otherwise."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < _FILES:
        raise click.ClickException(
            f"at most {hard} files may be open here, and {_FILES} are needed: ulimit -n {_FILES}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, _FILES), hard))


def _installed(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that are there; the others are named."""
    for contender in contenders:
        if not contender.installed:
            click.echo(f"{contender.name} is left out: {contender.program} is not installed", err=True)
    return [contender for contender in contenders if contender.installed]


def _say_faults(faults: Sequence[str]) -> int:
    """The exit code."""
    for fault in faults[:_FAULTS_SAID]:
        click.echo(f"FAULT: {fault}", err=True)
    if len(faults) > _FAULTS_SAID:
        click.echo(f"FAULT: and {len(faults) - _FAULTS_SAID} more, which results.json names", err=True)
    return 1 if faults else 0


def _about(contenders: Sequence[Contender], rounds: int, seconds: float, took: float) -> dict[str, object]:
    """On what it was measured, and how."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.platform(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {contender.name: contender.version_line() for contender in contenders},
        "rounds": rounds,
        "seconds of each load": seconds,
        "seconds in all": round(took),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _keep(results: Results, about: dict[str, object], text: str, folder: Path) -> list[Path]:
    """Write the figures, the report and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, words = folder / "results.json", folder / "report.md"
    figures.write_text(json.dumps({"about": about, "results": [asdict(result) for result in results.all]}, indent=1))
    words.write_text(f"{text}\n")
    return [figures, words, *draw(results, folder)]


if __name__ == "__main__":
    main()
