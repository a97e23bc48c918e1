"""One path for one resource, whatever form the target came in."""

from __future__ import annotations

import pytest

from proxy.http.request import origin_form


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (b"/", b"/"),
        (b"//a/..?", b"//a/..?"),
        (b"/http://a/b", b"/http://a/b"),
        (b"*", b"*"),
        (b"http://a", b"/"),
        (b"http://a/", b"/"),
        (b"http://a?b", b"/?b"),
        (b"http://a#b", b"/#b"),
        (b"http://u@a:1/b//c?d=http://e", b"/b//c?d=http://e"),
    ],
)
def test_absolute_form_loses_scheme_and_authority(target: bytes, origin: bytes) -> None:
    assert origin_form(target) == origin
