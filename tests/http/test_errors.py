"""Every error of the tree becomes JSON: one sentence, and a code."""

from __future__ import annotations

import json
import re

import pytest

from proxy.http import errors
from proxy.http.errors import DrainingError, NoCapacityError, ProxyError
from proxy.http.response import error_answer


def leaves(kind: type[ProxyError] = ProxyError) -> list[type[ProxyError]]:
    found = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return found or [kind]


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_with_its_status(kind: type[ProxyError]) -> None:
    assert errors.__doc__ is not None
    assert re.search(rf"── {kind.__name__} +{kind.status}  ", errors.__doc__)


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_is_told_as_json(kind: type[ProxyError]) -> None:
    if kind is NoCapacityError:
        error: ProxyError = NoCapacityError("Full.", retry_after=3)
    else:
        error = kind("Full.")
    answer = error_answer(error)
    headers = dict(answer.headers)
    assert answer.status == kind.status
    assert json.loads(answer.body) == {"error": "Full.", "code": kind.code}
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert headers[b"Content-Type"] == b"application/json"
    assert headers[b"Content-Length"] == b"%d" % len(answer.body)
    wait = error.retry_after
    assert headers.get(b"Retry-After") == (None if wait is None else b"%d" % wait)


def test_who_may_come_back_is_told_when() -> None:
    assert NoCapacityError("Full.", retry_after=3).retry_after == 3
    assert DrainingError("Draining.").retry_after == 5
