"""The answers to steers, read and written (F18)."""

import json
from typing import Any

import pytest

from proxy.hermes.answers import Accepted, is_known_to_steer, read_steer, refused_steer


def answer(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_an_accepted_steer_names_its_stream() -> None:
    assert read_steer(200, answer(accepted=True, fallback=None, stream_id="x")) == Accepted("x")
    assert read_steer(200, answer(accepted=True, fallback=None, stream_id=None)) == Accepted(None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, answer(accepted=False, fallback="gateway_steer_queued", stream_id="x")),
        (200, answer(accepted="yes", stream_id="x")),
        (200, answer(stream_id="x")),
        (200, b"[]"),
        (401, answer(accepted=True, stream_id="x")),
        (500, b"<html>"),
    ],
)
def test_any_other_answer_leaves_nothing_to_remember(status: int, body: bytes) -> None:
    assert read_steer(status, body) is None


def test_only_a_caller_whom_hermes_knows_is_told_that_the_text_is_missing() -> None:
    assert [status for status in (200, 400, 401, 403, 404, 413, 429, 500, 503) if is_known_to_steer(status)] == [
        200,
        400,
    ]


def test_a_refusal_is_worded_as_hermes_words_it_where_no_turn_runs() -> None:
    assert json.loads(refused_steer()) == {"accepted": False, "fallback": "not_running", "stream_id": None}
