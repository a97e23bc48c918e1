"""One line that is written over on a terminal, else a line for each change."""

from proxy.console.progress import Progress


def test_on_a_terminal_a_line_is_written_over() -> None:
    said: list[str] = []
    progress = Progress(said.append, is_terminal=True)
    progress.say("begun")
    progress.show("2 for 1 s", 2)
    progress.show("2 for 2 s", 2)
    progress.say("over")
    progress.say("really")
    assert said == ["begun\n", "\r\x1b[K2 for 1 s", "\r\x1b[K2 for 2 s", "\r\x1b[Kover\n", "really\n"]


def test_elsewhere_a_line_is_said_only_when_something_changes() -> None:
    said: list[str] = []
    progress = Progress(said.append, is_terminal=False)
    for line, state in (("2 for 1 s", 2), ("2 for 2 s", 2), ("1 for 3 s", 1)):
        progress.show(line, state)
    progress.say("over")
    assert said == ["2 for 1 s\n", "1 for 3 s\n", "over\n"]
