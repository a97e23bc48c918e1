"""Another site's page is told from the server's own, from a person and from a program."""

from __future__ import annotations

import pytest

from proxy.http.provenance import is_cross_site

HOST = (b"Host", b"hermes.example:8788")
OWN = b"http://hermes.example:8788"


@pytest.mark.parametrize(
    ("site", "cross"),
    [
        (b"same-origin", False),
        (b"Same-Origin ", False),
        (b"none", False),
        (b"cross-site", True),
        (b"same-site", True),
        (b"", True),
        (b"nonsense", True),
    ],
)
def test_browsers_say_where_a_request_comes_from(site: bytes, *, cross: bool) -> None:
    """A page on another port of this host is of the same site, and another origin."""
    assert is_cross_site((HOST, (b"Sec-Fetch-Site", site))) is cross


def test_what_the_browser_says_is_not_overruled_by_where_the_page_seems_to_be() -> None:
    """A proxy in front may have changed Host; the browser knows better."""
    assert not is_cross_site((HOST, (b"Sec-Fetch-Site", b"same-origin"), (b"Referer", b"https://public.example/")))
    assert is_cross_site((HOST, (b"Sec-Fetch-Site", b"cross-site"), (b"Origin", OWN)))


def test_one_foreign_word_among_several_is_enough() -> None:
    assert is_cross_site((HOST, (b"Sec-Fetch-Site", b"none"), (b"sec-fetch-site", b"cross-site")))
    assert is_cross_site((HOST, (b"Origin", OWN), (b"origin", b"http://evil.example")))


@pytest.mark.parametrize("name", [b"Origin", b"Referer"])
@pytest.mark.parametrize(
    ("source", "cross"),
    [
        (OWN, False),
        (OWN + b"/session/x?y", False),
        (b"http://HERMES.example:8788", False),
        (b"http://hermes.example:3000", True),
        (b"http://hermes.example", True),
        (b"https://evil.example/hermes.example:8788", True),
        (b"http://hermes.example:8788@evil.example", True),
        (b"http://hermes.example:8788.evil.example", True),
        (b"http://[", True),
        (b"http://hermes.example:port", True),
        (b"null", True),
        (b"\xff", True),
        (b"", False),
    ],
)
def test_older_browsers_say_which_page_it_was(name: bytes, source: bytes, *, cross: bool) -> None:
    assert is_cross_site((HOST, (name, source))) is cross


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"h", b"http://h"),
        (b"h:80", b"http://h"),
        (b"h", b"https://h:443"),
        (b"h", b"https://h"),
        (b"[::1]:8788", b"http://[::1]:8788"),
    ],
)
def test_a_port_may_be_left_out_where_it_is_the_schemes(host: bytes, origin: bytes) -> None:
    assert not is_cross_site(((b"Host", host), (b"Origin", origin)))


@pytest.mark.parametrize("name", [b"X-Forwarded-Host", b"X-Real-Host"])
def test_a_proxy_in_front_says_what_the_server_is_called(name: bytes) -> None:
    headers = ((b"Host", b"127.0.0.1:8788"), (b"Origin", b"https://public.example"))
    assert is_cross_site(headers)
    assert not is_cross_site((*headers, (name, b"public.example")))
    assert not is_cross_site((*headers, (name, b"public.example, inner.example")))


def test_origin_comes_before_referer() -> None:
    assert is_cross_site((HOST, (b"Referer", OWN), (b"Origin", b"http://evil.example")))


def test_programs_say_nothing() -> None:
    assert not is_cross_site((HOST,))
    assert not is_cross_site(())
