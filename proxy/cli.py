"""The command line: ``serve``, ``demo``, ``check``, ``verify``, ``report``; ``drain`` and ``status`` are the console's.

Whatever goes wrong before the proxy runs is one line on stderr, and exit code 2.
"""

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

import click

from proxy import __version__
from proxy.config import Settings, UserError, in_force, load, settings_as_text
from proxy.console.commands import drain, status
from proxy.verify import TraceFileError, as_text, verify_files

NAME: Final = "hermes-stream-guard"
RELEASES: Final = ("v0.51.195", "v0.51.265", "v0.52.262")

_ADVICE: Final = {
    errno.EADDRINUSE: "stop what uses it, or choose another with --listen",
    errno.EADDRNOTAVAIL: "choose an address of this machine with --listen",
    errno.EEXIST: "something else than a socket is there: move it away, or choose another with --listen",
    errno.EPERM: "make the user that runs this a member of listen.unix_group, or leave that out",
    errno.EACCES: "choose a port above 1023, or a directory that may be written, with --listen",
}
_OTHERWISE: Final = "choose another with --listen"

_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}

_Announce = Callable[[str], None]


class _OneLineErrors(click.Group):
    """A group that reports every mistake of the caller in one line, without click's usage text."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **{**extra, "standalone_mode": False}))
        except click.UsageError as error:
            _fail(f"{error.format_message()} See {NAME} --help.", error.exit_code)
        except UserError as error:
            _fail(str(error), 2)
        except click.Abort:
            _fail("interrupted", 128 + signal.SIGINT)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"{NAME}: {' '.join(message.split())}", err=True)
    sys.exit(code)


_FILE: Final = click.Path(path_type=Path, readable=False)
"""A file's name, which a shell can complete; whoever opens it says what is wrong with it."""

_config = click.option("--config", type=_FILE, metavar="FILE", help="YAML file with settings.")
_upstream = click.option("--upstream", metavar="URL", help="Hermes, such as http://127.0.0.1:8787.")
_listen = click.option("--listen", metavar="HOST:PORT", help="Where browsers connect; also unix:///path.")
_admin = click.option("--admin", metavar="HOST:PORT", help="Where operators connect; off loopback it needs a token.")

_cookie = click.option(
    "--cookie",
    envvar="HERMES_COOKIE",
    metavar="TEXT",
    help="Cookie header of a logged-in browser, if Hermes wants a login. Others see arguments: better set it there.",
    show_envvar=True,
)


@click.group(cls=_OneLineErrors, no_args_is_help=False)
@click.version_option(__version__, prog_name=NAME)
def main() -> None:
    """Make stream ownership true in front of an unmodified Hermes WebUI."""


@main.command()
@_config
@_upstream
@_listen
@_admin
def serve(config: Path | None, upstream: str | None, listen: str | None, admin: str | None) -> int:
    """Run the proxy in front of Hermes until SIGTERM or SIGINT; SIGHUP reads the settings again."""
    again = partial(load, config, upstream=upstream, listen=listen, admin=admin)
    settings = again()
    # Here, not above: `check` should not take the time to load a server that it does not start.
    from proxy import app  # noqa: PLC0415

    return _run(settings, lambda started: app.serve(settings, load=again, file=config, started=started))


@main.command()
@click.option(
    "--release",
    type=click.Choice(RELEASES),
    default=RELEASES[0],
    show_default=True,
    help="Whose habits the embedded Hermes has.",
)
@_listen
@_admin
def demo(release: str, listen: str | None, admin: str | None) -> int:
    """Run the proxy in front of an embedded Hermes, with a page to try Stop on."""
    settings = load(listen=listen, admin=admin)
    from proxy import app  # noqa: PLC0415 - as in serve

    return _run(settings, lambda started: app.demo(release, settings, started=started))


@main.command()
@_config
@_upstream
@_cookie
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def check(config: Path | None, upstream: str | None, cookie: str | None, *, as_json: bool) -> None:
    """Validate the configuration, then look at Hermes: does it speak the contract, and what is unsafe?

    Nothing is started, stopped or changed. Exit code 0: fine; 1: something should be done; 2: unusable configuration.
    """
    settings = load(config, upstream=upstream)
    _vet(cookie)
    from proxy import check as checking  # noqa: PLC0415 - as in serve

    looking = checking.look(settings.upstream, cookie, settings.client.identity_headers)
    report = checking.Report.of(settings, asyncio.run(looking))
    if as_json:
        click.echo(json.dumps({**in_force(config, settings), **checking.as_json(report)}, indent=2))
    else:
        click.echo(settings_as_text(config, settings))
        click.echo()
        click.echo(checking.as_text(report, _paint))
    if not report.is_fine:
        raise click.exceptions.Exit(1)


def _vet(cookie: str | None) -> None:
    if cookie is not None and not cookie.isprintable():
        raise UserError("--cookie should be one line, as a browser's Cookie header has it")


def _paint(text: str, severity: str) -> str:
    return click.style(text, fg=_COLOURS[severity], bold=True)


@main.command()
@click.argument("traces", nargs=-1, required=True, type=_FILE, metavar="TRACE...")
def verify(traces: tuple[Path, ...]) -> None:
    """Check the promises P1-P11 on the files of a trace, in any order; exit 1 if one was not kept."""
    try:
        findings = verify_files(traces)
    except TraceFileError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"a trace cannot be read: {error.filename}: {error.strerror}") from error
    click.echo(as_text(findings))
    if findings.violations:
        raise click.exceptions.Exit(1)


@main.command()
@_config
@_upstream
@_admin
@_cookie
@click.option(
    "--log", type=click.File(errors="replace"), metavar="FILE", help="The proxy's log; - reads it from a pipe."
)
@click.option("--output", type=_FILE, metavar="FILE", help="Where to write it; - prints it. By default a new file.")
def report(  # noqa: PLR0913, PLR0917 - one for each option
    config: Path | None,
    upstream: str | None,
    admin: str | None,
    cookie: str | None,
    log: TextIO | None,
    output: Path | None,
) -> None:
    """Write one file without secrets about a problem, for a bug report.

    Of the settings, check, the running proxy, its log and its trace. Nothing is started, changed or sent.
    """
    settings = load(config, upstream=upstream, admin=admin)
    _vet(cookie)
    from proxy import problem  # noqa: PLC0415 - as in serve

    text = problem.report(settings, problem.Wanted(config, cookie, log, os.environ))
    if output == Path("-"):
        click.echo(text, nl=False)
    else:
        click.echo(f"Written to {problem.write(text, output)}. Look through it before you give it to somebody.")


main.add_command(drain)
main.add_command(status)


def _run(settings: Settings, work: Callable[[_Announce], Coroutine[Any, Any, int]]) -> int:
    """Run until it ends; ``work`` says so once it listens.

    Returns:
        The exit code.

    Raises:
        UserError: It cannot listen where the settings say.
    """
    loop_name, loop_factory = _event_loop()
    listening = False

    def started(text: str) -> None:
        nonlocal listening
        listening = True
        click.echo(text, err=True)

    click.echo(f"{NAME} {__version__} on {loop_name}", err=True)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work(started))
    except OSError as error:
        if listening:
            raise
        raise UserError(f"cannot listen on {settings.listen.url}: {_reason(error)}") from error


def _event_loop() -> tuple[str, Callable[[], asyncio.AbstractEventLoop] | None]:
    try:
        import uvloop  # noqa: PLC0415 - an extra, which may not be installed
    except ImportError:
        return "asyncio", None
    return "uvloop", uvloop.new_event_loop


def _reason(error: OSError) -> str:
    """What the system said, without asyncio's own words around it, and what to do about it."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return f"{error.strerror or error}; {_OTHERWISE}"
    return f"{os.strerror(error.errno)}; {_ADVICE.get(error.errno, _OTHERWISE)}"
