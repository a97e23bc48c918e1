"""One path for one resource, whatever form the target came in."""

from __future__ import annotations

import pytest

from proxy.http.errors import BadRequestError, UnsupportedRequestError
from proxy.http.target import split_target


@pytest.mark.parametrize("target", [b"/", b"//a/..?", b"/http://a/b", b"/\xff", b"*"])
def test_a_path_is_its_own_origin_form(target: bytes) -> None:
    assert split_target("OPTIONS", target) == (None, target)


@pytest.mark.parametrize(
    ("target", "authority", "origin"),
    [
        (b"http://a", b"a", b"/"),
        (b"http://a/", b"a", b"/"),
        (b"http://a?b", b"a", b"/?b"),
        (b"http://a:65535/b//c?d=http://e", b"a:65535", b"/b//c?d=http://e"),
        (b"HTTPS://[::1]:1?b", b"[::1]:1", b"/?b"),
    ],
)
def test_absolute_form_is_an_authority_and_an_origin_form(target: bytes, authority: bytes, origin: bytes) -> None:
    assert split_target("GET", target) == (authority, origin)


@pytest.mark.parametrize("method", ["GET", "POST", "TRACE"])
def test_an_asterisk_is_for_options_only(method: str) -> None:
    with pytest.raises(BadRequestError):
        split_target(method, b"*")


def test_connect_opens_no_tunnel() -> None:
    with pytest.raises(UnsupportedRequestError):
        split_target("CONNECT", b"h:443")


@pytest.mark.parametrize(
    "target",
    [
        *(b"a", b"h:80", b"a/b", b"?b", b"http:/a", b"http:///a", b"http://", b"://a/", b"1a://h/"),
        *(b"http://u@h/", b"http://u:p@h/", b"http://:80/", b"http://h:65536/", b"http://h:000080/", b"http://h:a/"),
        *(b"http://[::1/", b"http://[::1]:70000/", b"http://a%zz/"),
    ],
)
def test_what_is_in_no_form_is_refused(target: bytes) -> None:
    with pytest.raises(BadRequestError):
        split_target("GET", target)


@pytest.mark.parametrize(
    "authority", [b"h:", b"h:0", b"[::1]", b"[::1]:", b"[fe80::1%25eth0]:80", b"a%2db", b"1.1.1.1"]
)
def test_a_host_may_have_any_form_and_a_port(authority: bytes) -> None:
    assert split_target("GET", b"x-y://" + authority) == (authority, b"/")
