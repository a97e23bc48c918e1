"""The command line, in this process with a stand-in for the proxy, and as real processes."""

import asyncio
import builtins
import errno
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

import proxy
from proxy import check, cli
from proxy.app.admin import Observed, administered
from proxy.app.running import running
from proxy.check.evidence import Evidence, Unreachable
from proxy.config import AdminSettings, ListenSettings, Settings, UpstreamSettings, UserError
from proxy.console import looking
from proxy.demo import Backend
from proxy.hermes.answers import Login

Started = Callable[[str], None]

LOGGED_IN = Login(needed=True, done=True, knows_oidc=True)


class _App(ModuleType):
    """Stands in for ``proxy.app``: notes what it was given, and fails when told to."""

    def __init__(self) -> None:
        super().__init__("proxy.app")
        self.settings: Settings | None = None
        self.release: str | None = None
        self.loop = ""
        self.refuses: BaseException | None = None
        self.breaks: BaseException | None = None
        self.again: dict[str, Any] = {}
        self.exits = 0

    async def serve(self, settings: Settings, *, started: Started, **again: Any) -> int:
        self.settings = settings
        self.again = again
        self.loop = type(asyncio.get_running_loop()).__module__
        if self.refuses:
            raise self.refuses
        started(f"listening on {settings.listen.url}")
        if self.breaks:
            raise self.breaks
        return self.exits

    async def demo(self, release: str, settings: Settings, *, started: Started) -> int:
        self.release = release
        return await self.serve(settings, started=started)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> _App:
    stand_in = _App()
    monkeypatch.setitem(sys.modules, "proxy.app", stand_in)
    monkeypatch.setattr(proxy, "app", stand_in, raising=False)
    return stand_in


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STREAM_GUARD__")]:
        monkeypatch.delenv(name)


def _run(*args: str) -> Result:
    return CliRunner().invoke(cli.main, args)


def _one_line(result: Result) -> str:
    """The only line on stderr of a command that could not be carried out."""
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_serve_runs_the_proxy_with_its_settings(app: _App, tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text("relay: {buffer: 2MiB}\n")
    result = _run("serve", f"--config={file}", "--upstream=http://a", "--listen=[::1]:1", "--admin=[::1]:2")
    assert result.exit_code == 0
    assert app.settings is not None
    assert app.settings.relay.buffer == 2 << 20
    assert app.settings.upstream.url == "http://a"
    assert app.settings.admin.url == "http://[::1]:2"
    assert "listening on http://[::1]:1\n" in result.stderr


def test_serve_can_read_its_settings_again(app: _App, tmp_path: Path) -> None:
    """From the same file and flags, and what stands there by then."""
    file = tmp_path / "guard.yaml"
    file.write_text("relay: {buffer: 2MiB}\n")
    _run("serve", f"--config={file}", "--upstream=http://a")
    file.write_text("relay: {buffer: 3MiB}\n")
    settings = app.again["load"]()
    assert app.again["file"] == file
    assert (settings.relay.buffer, settings.upstream.url) == (3 << 20, "http://a")


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_it_exits_as_the_proxy_did(app: _App, command: str) -> None:
    app.exits = 143
    assert _run(command).exit_code == 143


def test_serve_needs_nothing(app: _App) -> None:
    assert _run("serve").exit_code == 0
    assert app.settings == Settings()


def test_demo_has_the_habits_of_a_release(app: _App) -> None:
    result = _run("demo", "--release=v0.52.262", "--listen=127.0.0.1:1", "--admin=127.0.0.1:2")
    assert result.exit_code == 0
    assert app.release == "v0.52.262"
    assert app.settings is not None
    assert (app.settings.listen.port, app.settings.admin.port) == (1, 2)


def test_demo_shows_the_oldest_release_unless_told(app: _App) -> None:
    _run("demo")
    assert app.release == "v0.51.195"


def test_uvloop_is_used_where_it_is_installed(app: _App) -> None:
    pytest.importorskip("uvloop")
    assert " on uvloop\n" in _run("serve").stderr
    assert app.loop.startswith("uvloop")


def test_asyncio_is_used_where_uvloop_is_not_installed(app: _App, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_uvloop(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_uvloop)
    assert " on asyncio\n" in _run("serve").stderr
    assert app.loop.startswith("asyncio")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OSError(errno.EADDRINUSE, "error while attempting to bind on …"),
            "Address already in use; stop what uses it, or choose another with --listen",
        ),
        (
            PermissionError(errno.EACCES, "…"),
            "Permission denied; choose a port above 1023, or a directory that may be written, with --listen",
        ),
        (
            FileExistsError(errno.EEXIST, "…"),
            "File exists; something else than a socket is there: move it away, or choose another with --listen",
        ),
        (
            PermissionError(errno.EPERM, "…"),
            "Operation not permitted; make the user that runs this a member of listen.unix_group, or leave that out",
        ),
        (
            OSError(errno.ENOENT, "…"),
            "No such file or directory; choose another with --listen",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known; choose another with --listen",
        ),
        (OSError("AF_UNIX path too long"), "AF_UNIX path too long; choose another with --listen"),
    ],
)
def test_an_address_that_cannot_be_had_is_named(app: _App, error: OSError, reason: str) -> None:
    app.refuses = error
    result = _run("serve", "--listen=127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (f"hermes-stream-guard: cannot listen on http://127.0.0.1:1: {reason}")


def test_an_error_of_the_system_while_it_runs_is_not_taken_for_a_busy_port(app: _App) -> None:
    app.breaks = OSError(errno.EMFILE, "Too many open files")
    assert _run("serve").exception is app.breaks


def test_what_the_person_can_put_right_is_one_line(app: _App) -> None:
    app.refuses = UserError("aiohttp has no C extensions;\ninstall a wheel of it")
    result = _run("serve")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == ("hermes-stream-guard: aiohttp has no C extensions; install a wheel of it")


def test_a_defect_is_not_hidden(app: _App) -> None:
    app.refuses = RuntimeError("a defect")
    assert _run("serve").exception is app.refuses


def test_an_interrupt_ends_it_quietly(app: _App) -> None:
    app.refuses = KeyboardInterrupt()
    result = _run("serve")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "hermes-stream-guard: interrupted"


@dataclass
class _Look:
    """Stands in for looking at a backend: notes whom it was told to look at, and sees what it was told to."""

    seen: Evidence
    settings: UpstreamSettings | None = None
    cookie: str | None = None

    async def __call__(self, settings: UpstreamSettings, cookie: str | None, _: Sequence[str]) -> Evidence:
        self.settings, self.cookie = settings, cookie
        return self.seen


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> _Look:
    """Sees a Hermes to which nothing has to be done."""
    stand_in = _Look(Evidence(is_hermes=True, server="HermesWebUI/0.52.262 Python/3", login=LOGGED_IN))
    monkeypatch.setattr(check, "look", stand_in)
    return stand_in


def test_check_says_what_would_be_used_and_what_there_is(look: _Look, tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text("relay: {buffer: 2MiB}\nclient: {trusted_proxies: [10.0.0.0/8]}\n")
    result = _run("check", f"--config={file}", "--upstream=http://a")
    assert result.exit_code == 0
    used, seen, facts, following = result.stdout.split("\n\n")
    assert used.splitlines() == [
        f"The configuration can be used ({file}).",
        "Browsers connect to http://127.0.0.1:8788; Hermes is http://a.",
        "Changed from the default:",
        '  upstream.url: "http://a"',
        '  relay.buffer: "2MiB"',
        '  client.trusted_proxies: ["10.0.0.0/8"]',
    ]
    assert seen.startswith("release ")
    assert facts.startswith("What Hermes does")
    assert following == "Next: Nothing has to be changed; run hermes-stream-guard serve, if it does not run yet.\n"
    assert look.settings is not None
    assert (look.settings.url, look.cookie) == ("http://a", None)


def test_check_does_not_show_a_token(look: _Look, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "correct-horse-battery-staple"
    monkeypatch.setenv("STREAM_GUARD__ADMIN__TOKEN", token)
    for args in (["check"], ["check", "--json"]):
        result = _run(*args)
        assert token not in result.output
        assert '"**********"' in result.stdout


def test_check_without_a_file_shows_the_defaults(look: _Look) -> None:
    used = _run("check").stdout.split("\n\n")[0]
    assert used.splitlines()[0] == "The configuration can be used (no file)."
    assert used.splitlines()[-1] == "Every setting has its default."


def test_check_ends_with_one_if_something_has_to_be_done(look: _Look) -> None:
    look.seen = Evidence(unreachable=Unreachable.NOT_THERE)
    result = _run("check")
    assert result.exit_code == 1
    assert "error: unreachable  Hermes does not answer at http://127.0.0.1:8787" in result.stdout
    assert result.stdout.splitlines()[-1] == "Next: Start Hermes, or correct upstream.url."
    assert "\x1b[" not in result.stdout, "colours are for terminals"


@pytest.mark.parametrize(("seen", "code"), [(Evidence(is_hermes=True, login=LOGGED_IN), 0), (Evidence(), 1)])
def test_check_prints_all_of_it_as_json(look: _Look, seen: Evidence, code: int) -> None:
    look.seen = seen
    result = _run("check", "--json", "--upstream=unix:///run/hermes.sock")
    printed = json.loads(result.stdout)
    assert list(printed) == ["file", "settings", "fine", "next", "backend", "threads", "calls", "facts", "findings"]
    assert printed["file"] is None
    assert printed["settings"] == {
        **Settings().model_dump(mode="json"),
        "upstream": {**Settings().upstream.model_dump(mode="json"), "url": "unix:///run/hermes.sock"},
    }
    assert (printed["fine"], result.exit_code) == (code == 0, code)


def test_check_looks_behind_a_login_with_a_cookie(look: _Look, monkeypatch: pytest.MonkeyPatch) -> None:
    _run("check", "--cookie=a=b")
    assert look.cookie == "a=b"
    monkeypatch.setenv("HERMES_COOKIE", "c=d")
    _run("check")
    assert look.cookie == "c=d"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["check", "--upstream=hermes"], "--upstream: upstream.url should be http://HOST"),
        (["check", "--config=/none.yaml"], "--config cannot be read: /none.yaml: No such file"),
        (["check", "--cookie=a\nb"], "--cookie should be one line, as a browser's Cookie header has it"),
        (["serve", "--listen=8788"], "--listen should be HOST:PORT, [::1]:PORT or unix:///path"),
        (["serve", "--listen=a:70000"], "--listen: listen.port should be less than or equal to"),
        (["demo", "--listen=a"], "--listen should be HOST:PORT"),
        (["demo", "--release=v1"], "Invalid value for '--release': 'v1' is not one of"),
        (["serve", "--port=1"], "No such option"),
        (["start"], "No such command 'start'."),
        (["drain", "--resume", "--hold"], "--resume ends a drain: use it alone"),
        (["drain", "--timeout=5s"], "--timeout is the longest that --wait waits: add --wait"),
        (["drain", "--wait", "--timeout=5"], "Invalid value for '--timeout': should be a duration such as 500ms, 5s"),
        (["drain", "--admin=8789"], "--admin should be HOST:PORT"),
        (["status", "--watch", "--json"], "--watch is for people, and --json for programs: use one of them"),
        (["verify"], "Missing argument 'TRACE...'."),
        ([], "Missing command. See hermes-stream-guard --help."),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(app: _App, args: list[str], line: str) -> None:
    assert _one_line(_run(*args)).startswith(f"hermes-stream-guard: {line}")
    assert app.settings is None


def test_help_and_version_are_no_errors() -> None:
    assert _run("--version").stdout == f"hermes-stream-guard, version {proxy.__version__}\n"
    result = _run("serve", "--help")
    assert result.exit_code == 0
    assert "--upstream" in result.stdout


@pytest.fixture
async def admin() -> AsyncIterator[str]:
    """Where an admin listener is, of a proxy that guards an embedded Hermes."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(Backend("v0.52.262"))
        settings = Settings(
            listen=ListenSettings(port=0), upstream=UpstreamSettings(url=backend.url), admin=AdminSettings(port=0)
        )
        observed = Observed()
        running_proxy = await stack.enter_async_context(running(settings, observed.report))
        url = await stack.enter_async_context(administered(settings, running_proxy, observed))
        yield str(url).removeprefix("http://")


async def test_drain_and_status_ask_the_proxy_that_runs(admin: str) -> None:
    def run(*args: str) -> tuple[int, str]:
        result = _run(*args, f"--admin={admin}")
        return result.exit_code, result.stdout

    async def in_a_thread(*args: str) -> tuple[int, str]:
        return await asyncio.to_thread(run, *args)

    code, text = await in_a_thread("status")
    assert (code, "All is well" in text) == (0, True)
    code, text = await in_a_thread("drain", "--hold", "--wait", "--timeout=30s")
    assert (code, "No turn runs any more." in text) == (0, True)
    code, text = await in_a_thread("status", "--json")
    assert (code, json.loads(text)["drain"]["hold"]) == (1, True)
    assert (await in_a_thread("drain", "--resume")) == (0, "New turns begin again.\n")
    assert (await in_a_thread("status"))[0] == 0


@pytest.mark.parametrize("command", ["drain", "status"])
def test_a_proxy_that_cannot_be_asked_is_one_line_and_exit_code_two(command: str, unused_tcp_port: int) -> None:
    line = _one_line(_run(command, f"--admin=127.0.0.1:{unused_tcp_port}"))
    assert line.startswith("hermes-stream-guard: The running proxy could not be asked at http://127.0.0.1:")


def test_watching_ends_at_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(looking, "watch", watch)
    assert _run("status", "--watch").exit_code == 0


_BEGUN = {
    "event": "trace_begun",
    "t": 0,
    "run": "r",
    "part": 1,
    "time": 0,
    "settings": Settings().ownership.model_dump(),
}


def _trace(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (_BEGUN, *lines)))
    return path


def test_verify_finds_nothing_in_a_good_trace(tmp_path: Path) -> None:
    result = _run("verify", str(_trace(tmp_path)))
    assert result.exit_code == 0
    assert result.stdout == "1 events, 0 violations\n"


def test_verify_shows_each_violation_with_its_lines(tmp_path: Path) -> None:
    wrote = {"event": "relay_wrote", "relay": "r-1", "stream": "x"}
    last = {"t": 2, **wrote, "events": ["token"] * 40}
    path = _trace(tmp_path, {"t": 1, **wrote, "events": ["cancel"]}, last)
    result = _run("verify", str(path))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "P4: relay r-1 was given token after its terminal event",
        f'  {path}:2: {{"t": 1, "event": "relay_wrote", "relay": "r-1", "stream": "x", "events": ["cancel"]}}',
        f"  {path}:3: {json.dumps(last)[:159]}…",
        "3 events, 1 violations",
    ]


def test_verify_names_a_line_that_is_no_traces(tmp_path: Path) -> None:
    path = _trace(tmp_path, {"hello": 1})
    assert _one_line(_run("verify", str(path))).startswith(f'hermes-stream-guard: {path}:2 has no "t"')


def test_verify_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    result = _run("verify", str(tmp_path / "none"))
    assert _one_line(result) == (
        f"hermes-stream-guard: a trace cannot be read: {tmp_path}/none: No such file or directory"
    )


def _process(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *args]
    return subprocess.run(  # noqa: S603 - our own command, with arguments of this test
        command, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_package_is_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["proxy", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("proxy", run_name="__main__")
    assert capsys.readouterr().out == f"hermes-stream-guard, version {proxy.__version__}\n"


def test_the_package_is_a_process() -> None:
    assert _process("--version").stdout == f"hermes-stream-guard, version {proxy.__version__}\n"


def test_a_mistake_is_told_before_a_server_is_loaded() -> None:
    """It stays quick."""
    code = (
        "import sys; from proxy.cli import main\n"
        "try: main(['check', '--upstream=hermes'])\n"
        "finally: print('aiohttp' in sys.modules)"
    )
    result = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 2
    assert result.stdout.splitlines()[-1] == "False"


def test_check_ends_though_nobody_answers(tmp_path: Path) -> None:
    result = _process("check", f"--upstream=unix://{tmp_path}/none.sock")
    assert (result.returncode, result.stderr) == (1, "")
    assert "error: unreachable" in result.stdout


def test_a_bad_file_ends_the_process_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text("upstream:\n  uri: http://a\n")
    result = _process("check", "--config", str(file))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"hermes-stream-guard: {file}:2: there is no setting upstream.uri; did you mean upstream.url?\n"
    )


def test_a_busy_port_ends_the_process_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = _process("serve", f"--listen=127.0.0.1:{port}", "--admin=127.0.0.1:0")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == (
        f"hermes-stream-guard: cannot listen on http://127.0.0.1:{port}: Address already in use;"
        " stop what uses it, or choose another with --listen"
    )


def test_a_second_one_leaves_the_first_ones_socket_alone(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(path))
        first.listen()
        result = _process("serve", f"--listen=unix://{path}", "--admin=127.0.0.1:0")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        f"hermes-stream-guard: cannot listen on unix://{path}: Address already in use;"
        " stop what uses it, or choose another with --listen"
    )


# -- report ---------------------------------------------------------------------------------------


def test_report_writes_a_file_that_verify_reads(tmp_path: Path, unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    file = tmp_path / "guard.yaml"
    file.write_text(f"trace: {{path: {_trace(tmp_path)}}}\n")
    asking = ("report", f"--config={file}", f"--upstream=http://{address}", f"--admin={address}")
    result = CliRunner().invoke(cli.main, [*asking, "--log=-", f"--output={tmp_path / 'r.txt'}"], input="hello\n")
    assert result.exit_code == 0
    assert result.stdout == f"Written to {tmp_path / 'r.txt'}. Look through it before you give it to somebody.\n"
    assert "== log: 0 lines of 1; 1 were not JSON" in (tmp_path / "r.txt").read_text()
    assert _run("verify", str(tmp_path / "r.txt")).exit_code == 0


def test_report_is_named_by_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"127.0.0.1:{unused_tcp_port}"
    assert _run("report", f"--upstream=http://{address}", f"--admin={address}").exit_code == 0
    assert [path.name for path in tmp_path.glob("stream-guard-report-*.txt")] != []


def test_report_is_printed_where_no_file_can_be_made(unused_tcp_port: int) -> None:
    """As in a container, whose file system is read-only."""
    address = f"127.0.0.1:{unused_tcp_port}"
    result = _run("report", f"--upstream=http://{address}", f"--admin={address}", "--output=-")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("== Hermes Stream Guard: a problem report\n")


def test_report_says_what_is_wrong_with_its_arguments(tmp_path: Path) -> None:
    line = _one_line(_run("report", f"--log={tmp_path / 'none'}"))
    assert line.startswith("hermes-stream-guard: Invalid value for '--log'")
    assert "No such file" in line


# -- completion -----------------------------------------------------------------------------------


def _complete(words: str, **environment: str) -> Result:
    asked = {"_HERMES_STREAM_GUARD_COMPLETE": "bash_complete", "COMP_WORDS": words, **environment}
    number = str(len(words.split(" ")) - 1)
    return CliRunner().invoke(cli.main, [], env={"COMP_CWORD": number, **asked}, prog_name=cli.NAME)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_shell_is_given_a_script_that_completes(shell: str) -> None:
    result = _complete("", _HERMES_STREAM_GUARD_COMPLETE=f"{shell}_source")
    assert result.exit_code == 0
    assert "hermes-stream-guard" in result.stdout
    assert f"_HERMES_STREAM_GUARD_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("hermes-stream-guard ", ["check", "demo", "drain", "report", "serve", "status", "verify"]),
        ("hermes-stream-guard demo --release v0.52", ["v0.52.262"]),
        ("hermes-stream-guard serve --up", ["--upstream"]),
    ],
)
def test_commands_options_and_releases_are_completed(words: str, completed: list[str]) -> None:
    assert _complete(words).stdout.splitlines() == [f"plain,{word}" for word in completed]


@pytest.mark.parametrize("words", ["serve --config ", "report --output ", "report --log ", "verify "])
def test_names_of_files_are_completed(words: str) -> None:
    assert _complete(f"hermes-stream-guard {words}").stdout.splitlines() == ["file,"]


def test_bash_runs_the_script_that_it_is_given() -> None:
    """As docs/operating.md says to do it."""
    program = Path(sys.executable).parent / cli.NAME
    done = subprocess.run(  # noqa: S603 - our own program
        ["/bin/bash", "-c", f'eval "$(_HERMES_STREAM_GUARD_COMPLETE=bash_source {program})"; complete -p {cli.NAME}'],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "-F _hermes_stream_guard_completion hermes-stream-guard" in done.stdout
