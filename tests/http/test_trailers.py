"""Which fields behind a body go on."""

from __future__ import annotations

import pytest

from proxy.http.trailers import passed_trailers


@pytest.mark.parametrize("name", [b"X-Checksum", b"Server-Timing", b"Digest", b"grpc-status"])
def test_what_is_about_the_body_goes_on(name: bytes) -> None:
    assert passed_trailers(((name, b"1"),), ()) == ((name, b"1"),)


@pytest.mark.parametrize(
    "name",
    [
        *(b"Transfer-Encoding", b"Content-Length", b"Host", b"Connection", b"Trailer", b"TE", b"Upgrade"),
        *(b"Cookie", b"Set-Cookie", b"Authorization", b"Cache-Control", b"If-Match", b"Range", b"cookie "),
        *(b"X-Forwarded-For", b"X-Forwarded-Anything", b"X-Real-Ip", b"X-Real-Port", b"Remote-User", b"X-Auth-Email"),
    ],
)
def test_what_frames_routes_logs_in_or_controls_does_not(name: bytes) -> None:
    """RFC 9110 section 6.5.1: a recipient that merged it with the head would act on it."""
    assert passed_trailers(((name, b"1"), (b"A", b"b")), ()) == ((b"A", b"b"),)


def test_what_the_head_keeps_to_its_connection_does_not() -> None:
    head = ((b"Connection", b"close, X-Hop"),)
    assert passed_trailers(((b"x-hop", b"1"), (b"A", b"b")), head) == ((b"A", b"b"),)
    assert passed_trailers((), head) == ()


def test_whoever_sends_it_nobody_says_who_somebody_is() -> None:
    trailers = ((b"X-Badge", b"7"), (b"A", b"b"))
    assert passed_trailers(trailers, (), lambda name: name == b"x-badge") == ((b"A", b"b"),)
