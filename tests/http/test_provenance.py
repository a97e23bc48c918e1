"""Another site's page is told from the server's own, from a person and from a program."""

from __future__ import annotations

import pytest

from proxy.http.provenance import Provenance, place, provenance

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
        (b"same-origin-not", True),
        (b"", True),
        (b"nonsense", True),
    ],
)
def test_browsers_say_where_a_request_comes_from(site: bytes, *, cross: bool) -> None:
    """A page on another port of this host is of the same site, and another origin."""
    assert (provenance((HOST, (b"Sec-Fetch-Site", site))) is Provenance.FOREIGN) is cross


def test_what_the_browser_says_is_not_overruled_by_where_the_page_seems_to_be() -> None:
    """A proxy in front may have changed Host; the browser knows better."""
    public = (b"Referer", b"https://public.example/")
    assert provenance((HOST, (b"Sec-Fetch-Site", b"same-origin"), public)) is Provenance.OWN
    assert provenance((HOST, (b"Sec-Fetch-Site", b"cross-site"), (b"Origin", OWN))) is Provenance.FOREIGN


@pytest.mark.parametrize("source", [OWN, b"http://hermes.example:3000", b"null"])
def test_a_neighbour_that_says_which_page_it_is_may_be_allowed(source: bytes) -> None:
    """By HERMES_WEBUI_ALLOWED_ORIGINS; one that seems to be the server itself is in front of a proxy."""
    assert provenance((HOST, (b"Sec-Fetch-Site", b"same-site"), (b"Origin", source))) is Provenance.UNCLEAR


def test_one_foreign_word_among_several_is_enough() -> None:
    twice = ((b"Sec-Fetch-Site", b"none"), (b"sec-fetch-site", b"cross-site"))
    assert provenance((HOST, *twice)) is Provenance.FOREIGN
    assert provenance((HOST, (b"Origin", OWN), (b"origin", b"http://evil.example"))) is Provenance.UNCLEAR


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
    assert provenance((HOST, (name, source))) is (Provenance.UNCLEAR if cross else Provenance.OWN)


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
    assert provenance(((b"Host", host), (b"Origin", origin))) is Provenance.OWN


@pytest.mark.parametrize("name", [b"X-Forwarded-Host", b"X-Real-Host"])
def test_a_proxy_in_front_says_what_the_server_is_called(name: bytes) -> None:
    headers = ((b"Host", b"127.0.0.1:8788"), (b"Origin", b"https://public.example"))
    assert provenance(headers) is Provenance.UNCLEAR
    assert provenance((*headers, (name, b"public.example"))) is Provenance.OWN
    assert provenance((*headers, (name, b"public.example, inner.example"))) is Provenance.OWN


def test_origin_comes_before_referer() -> None:
    assert provenance((HOST, (b"Referer", OWN), (b"Origin", b"http://evil.example"))) is Provenance.UNCLEAR


def test_programs_say_nothing() -> None:
    assert provenance((HOST,)) is Provenance.OWN
    assert provenance(()) is Provenance.OWN


def test_a_page_is_the_same_place_by_its_post_and_by_its_get() -> None:
    """A POST says Origin, a GET of the same page Referer."""
    post = (HOST, (b"Origin", b"http://Public.example:81"))
    get = (HOST, (b"referer", b"HTTP://public.example:81/session/x?y"))
    assert place(post) == place(get) == (b"http://public.example:81", b"hermes.example:8788", b"", b"")


def test_a_page_is_another_place_at_another_host() -> None:
    """What the server is called is half of what a backend compares."""
    origin = (b"Origin", b"http://public.example")
    places = {
        place((origin, HOST)),
        place((origin, (b"Host", b"other"))),
        place((origin, HOST, (b"X-Forwarded-Host", b"public.example"))),
        place((origin, HOST, (b"X-Real-Host", b"public.example"))),
    }
    assert len(places) == 4


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((b"Origin", b"null"),),
        ((b"Origin", b"file:///x"),),
        ((b"Origin", b"http://"),),
        ((b"Origin", b"http://a"), (b"Origin", b"http://b")),
    ],
)
def test_what_is_not_one_page_is_no_place(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    assert place((HOST, *fields)) is None
