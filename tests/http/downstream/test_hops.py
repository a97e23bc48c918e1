"""How many proxies a request may still pass."""

from __future__ import annotations

import pytest

from proxy.http.downstream.hops import LAST_HOP, answer_here, hops_left, passed_on
from proxy.http.errors import BadRequestError, UnsupportedRequestError


def test_a_request_without_a_limit_goes_on_as_it_is() -> None:
    for method, headers in (("OPTIONS", ((b"A", b"b"),)), ("GET", ((b"Max-Forwards", b"0"),))):
        assert hops_left(method, headers) is None
        assert passed_on(method, headers) == headers


def test_a_request_with_one_goes_on_with_one_less() -> None:
    headers = ((b"max-forwards", b"10"), (b"A", b"b"))
    assert hops_left("TRACE", headers) == 10
    assert passed_on("TRACE", headers) == ((b"max-forwards", b"9"), (b"A", b"b"))


@pytest.mark.parametrize("stated", [[b"1", b"1"], [b"-1"], [b""], [b"1.0"], [b"9" * 19]])
def test_a_limit_has_one_reading(stated: list[bytes]) -> None:
    with pytest.raises(BadRequestError):
        hops_left("OPTIONS", tuple((b"Max-Forwards", value) for value in stated))


def test_what_may_go_no_further_is_answered_here() -> None:
    assert answer_here("OPTIONS") is LAST_HOP
    with pytest.raises(UnsupportedRequestError):
        answer_here("TRACE")
