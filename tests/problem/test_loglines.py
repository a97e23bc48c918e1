"""Which lines of a log are of use."""

import json

import pytest

from proxy.problem.loglines import KEPT, read_log


def line(event: str, **fields: object) -> str:
    return json.dumps({"timestamp": "2031-05-07T09:30:00Z", "level": "info", "event": event, **fields})


@pytest.mark.parametrize("before", ["", "Nov 28 01:54:03 host hermes-stream-guard[7]: ", "stream-guard-1  | "])
def test_what_journald_and_docker_put_before_a_line_is_left_out(before: str) -> None:
    (read,) = read_log([before + line("cancel_settled", took=0.1) + "\n"]).lines
    assert (read["event"], read["took"]) == ("cancel_settled", 0.1)


def test_requests_are_of_use_only_if_something_was_wrong() -> None:
    log = [
        line("request_ended", status=200, error=None),
        line("request_ended", status=502, error=None),
        line("request_ended", status=408, error="request_timeout"),
        line("request_slow", status=None, error=None),
    ]
    assert [read["status"] for read in read_log(log).lines] == [502, 408, None]


def test_the_latest_are_kept_and_the_others_counted() -> None:
    read = read_log(["hello", "{", "{1}", "[1] {2", *(line("x", n=number) for number in range(KEPT + 5))])
    assert (read.seen, read.unread, len(read.lines)) == (KEPT + 9, 4, KEPT)
    assert read.lines[-1]["n"] == KEPT + 4
