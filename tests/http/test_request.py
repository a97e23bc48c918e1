"""One path for one resource, whatever form the target came in."""

from __future__ import annotations

import pytest

from proxy.http.request import split_target


@pytest.mark.parametrize("target", [b"/", b"//a/..?", b"/http://a/b", b"*"])
def test_a_path_is_its_own_origin_form(target: bytes) -> None:
    assert split_target(target) == (None, target)


@pytest.mark.parametrize(
    ("target", "authority", "origin"),
    [
        (b"http://a", b"a", b"/"),
        (b"http://a/", b"a", b"/"),
        (b"http://a?b", b"a", b"/?b"),
        (b"http://a#b", b"a", b"/#b"),
        (b"http://u@a:1/b//c?d=http://e", b"u@a:1", b"/b//c?d=http://e"),
    ],
)
def test_absolute_form_is_an_authority_and_an_origin_form(target: bytes, authority: bytes, origin: bytes) -> None:
    assert split_target(target) == (authority, origin)
