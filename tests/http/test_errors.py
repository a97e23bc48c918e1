"""Every error of the tree becomes JSON: one sentence, and a code."""

from __future__ import annotations

import json
import re

import pytest

from proxy.http import errors
from proxy.http.downstream.answers import error_answer
from proxy.http.errors import NoCapacityError, ProxyError


def leaves(kind: type[ProxyError] = ProxyError) -> list[type[ProxyError]]:
    found = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return found or [kind]


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_with_its_status(kind: type[ProxyError]) -> None:
    assert errors.__doc__ is not None
    assert re.search(rf"── {kind.__name__} +{kind.status}  ", errors.__doc__)


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_is_told_as_json(kind: type[ProxyError]) -> None:
    answer = error_answer(kind("Full."))
    headers = dict(answer.headers)
    assert answer.status == kind.status
    assert json.loads(answer.body) == {"error": "Full.", "code": kind.code}
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert headers[b"Content-Type"] == b"application/json"
    assert headers[b"Content-Length"] == b"%d" % len(answer.body)
    assert b"Retry-After" not in headers


def test_when_to_try_again_is_told_where_it_is_known() -> None:
    assert (b"Retry-After", b"3") in error_answer(NoCapacityError("Full.", retry_after=3)).headers
