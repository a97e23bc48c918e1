"""The options of ``drain`` and ``status``."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click

from proxy.config import UserError, load, parse_duration

_TIMEOUT: Final = 600.0

_COLOURS: Final = {"bad": "red", "note": "yellow", "good": "green"}

_config = click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="YAML file with the settings of the running proxy: where its admin listener is, and its token.",
)
_admin = click.option("--admin", metavar="HOST:PORT", help="Where the running proxy's admin listener is.")


def _duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@_config
@_admin
@click.option("--wait", is_flag=True, help="Show the turns that still run, and return when the last has settled.")
@click.option(
    "--timeout", callback=_duration, metavar="DURATION", help="Longest that --wait does, such as 90s; 10m by default."
)
@click.option("--hold", is_flag=True, help="Hold new turns until Hermes is back after a restart; it ends the drain.")
@click.option("--resume", is_flag=True, help="End a drain: new turns begin again.")
def drain(  # noqa: PLR0913 - one for each option
    config: Path | None, admin: str | None, timeout: float | None, *, wait: bool, hold: bool, resume: bool
) -> None:
    """Let no new turn begin, so that Hermes can be restarted without breaking one off.

    New turns are refused, or held with --hold. Turns that run go on, and so does everything else. Without --hold the
    drain lasts until --resume.

    Exit code 0: done; with --wait, no turn runs any more. 1: at the end of the timeout turns still ran. 2: the running
    proxy could not be asked.
    """
    if resume and (wait or hold or timeout is not None):
        raise UserError("--resume ends a drain: use it alone")
    if timeout is not None and not wait:
        raise UserError("--timeout is the longest that --wait waits: add --wait")
    settings = load(config, admin=admin)
    # Here, not above: other commands should not take the time to load it.
    from proxy.console import draining  # noqa: PLC0415
    from proxy.console.progress import Progress  # noqa: PLC0415

    limit = (_TIMEOUT if timeout is None else timeout) if wait else None
    wanted = draining.Wanted(hold=hold, resume=resume, timeout=limit)
    progress = Progress(_write, is_terminal=sys.stdout.isatty())
    _exit(asyncio.run(draining.drain(settings.admin, wanted, progress)))


@click.command()
@_config
@_admin
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print what the admin listener says, as JSON.")
def status(config: Path | None, admin: str | None, *, watch: bool, as_json: bool) -> None:
    """Show what the running proxy does: whether anything is wrong, which turns run, and what became of Stops.

    It is what the status page shows. Exit code 0: all is well; 1: something is wrong, or no new turns begin, as the
    proxy drains or Hermes does not answer; 2: the running proxy could not be asked.
    """
    if watch and as_json:
        raise UserError("--watch is for people, and --json for programs: use one of them")
    settings = load(config, admin=admin)
    from proxy.console import looking  # noqa: PLC0415 - as in drain

    if not watch:
        _exit(asyncio.run(looking.status(settings.admin, click.echo, _paint, as_json=as_json)))
    try:
        asyncio.run(looking.watch(settings.admin, click.echo, _paint))
    except KeyboardInterrupt:
        click.echo()


def _exit(code: int) -> None:
    raise click.exceptions.Exit(code)


def _write(text: str) -> None:
    click.echo(text, nl=False)
    sys.stdout.flush()


def _paint(text: str, mood: str) -> str:
    return click.style(text, fg=_COLOURS[mood], bold=mood == "bad")
