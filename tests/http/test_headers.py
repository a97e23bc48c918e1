"""Which header fields go on, and who is said to have asked."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.clients import certain_address, client_address, forwarded, is_within, neighbourhood
from proxy.http.headers import (
    HOP_BY_HOP,
    Fields,
    content_length,
    end_to_end,
    only,
    serialize,
    serialize_fields,
    tokens,
    values,
    with_content_length,
    with_host,
    without,
)

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
PRIVATE = [*LOOPBACK, ip_network("10.0.0.0/8")]
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"A", b"a", b"B", b"Connection", b"TE", b"Host", b"Content-Length"]),
        st.sampled_from([b"", b"a", b"B, c", b"1", b"x,\xff"]),
    )
).map(tuple)


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_end_here(name: bytes) -> None:
    assert end_to_end(((b"A", b"1"), (name.title(), b"x"), (b"B", b"2"))) == ((b"A", b"1"), (b"B", b"2"))


def test_fields_that_connection_names_end_here_however_spelled() -> None:
    headers = ((b"X-Mine", b"1"), (b"x-mine", b"2"), (b"connection", b"close, X-MINE"), (b"Z", b"3"))
    assert end_to_end(headers) == ((b"Z", b"3"),)


def test_connection_cannot_take_away_what_frames_or_routes_the_message() -> None:
    headers = ((b"Host", b"h"), (b"Content-Length", b"1"))
    assert end_to_end((*headers, (b"Connection", b"Host, Content-Length"))) == headers


@given(FIELDS)
def test_what_goes_on_is_in_order_and_untouched(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    kept = iter(end_to_end(headers))
    remaining = next(kept, None)
    for field in headers:
        if field == remaining:
            remaining = next(kept, None)
    assert remaining is None


def test_values_and_tokens_ignore_the_case_of_names() -> None:
    headers = ((b"A", b"x, Y"), (b"B", b"z"), (b"a", b", ,W"))
    assert values(headers, b"a") == [b"x, Y", b", ,W"]
    assert tokens(headers, b"a") == [b"x", b"y", b"w"]
    assert without(headers, [b"a"]) == ((b"B", b"z"),)


def test_content_length_is_read_and_put_right_in_its_place() -> None:
    headers = ((b"A", b"1"), (b"content-LENGTH", b"5"), (b"B", b"2"))
    assert content_length(headers) == 5
    assert with_content_length(headers, 7) == ((b"A", b"1"), (b"Content-Length", b"7"), (b"B", b"2"))


@pytest.mark.parametrize("stated", [(), ((b"Content-Length", b"x"),)])
def test_content_length_is_added_where_none_is_stated(stated: tuple[tuple[bytes, bytes], ...]) -> None:
    assert content_length(stated) is None
    assert with_content_length(stated, 0) == ((b"Content-Length", b"0"),)


def test_host_is_put_where_the_old_one_stood() -> None:
    headers = ((b"A", b"1"), (b"hOST", b"h"), (b"B", b"2"))
    assert with_host(headers, b"i") == ((b"A", b"1"), (b"hOST", b"i"), (b"B", b"2"))
    assert with_host(headers[:1], b"i") == ((b"A", b"1"), (b"Host", b"i"))


def test_head_is_serialized_byte_for_byte() -> None:
    assert serialize(b"GET / HTTP/1.1", [(b"a", b"\xff"), (b"A", b"")]) == (b"GET / HTTP/1.1\r\na: \xff\r\nA: \r\n\r\n")


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\x00"])
@pytest.mark.parametrize("where", ["line", "name", "value"])
def test_head_whose_part_would_end_its_line_is_not_serialized(byte: bytes, where: str) -> None:
    parts = {key: b"a" + (byte if key == where else b"") for key in ("line", "name", "value")}
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        serialize(parts["line"], [(parts["name"], parts["value"])])


def test_stranger_is_named_and_what_it_says_of_itself_dropped() -> None:
    headers = (
        (b"Host", b"h:1"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"X-Forwarded-Host", b"evil"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Forwarded", b"for=1.1.1.1"),
        (b"Expect", b"100-continue"),
        (b"A", b"1"),
    )
    assert forwarded(headers, peer="8.8.8.8", secure=False) == (
        (b"Host", b"h:1"),
        (b"A", b"1"),
        (b"X-Forwarded-For", b"8.8.8.8"),
        (b"X-Forwarded-Host", b"h:1"),
    )


def test_trusted_proxy_is_appended_to_and_its_word_kept() -> None:
    headers = (
        (b"Host", b"h"),
        (b"X-Forwarded-For", b"1.1.1.1"),
        (b"X-Forwarded-For", b""),
        (b"X-Forwarded-For", b"2.2.2.2"),
        (b"X-Forwarded-Host", b"public"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Forwarded", b"for=1.1.1.1"),
    )
    assert forwarded(headers, peer="127.0.0.1", secure=False, trusted=LOOPBACK) == (
        (b"Host", b"h"),
        (b"X-Forwarded-Host", b"public"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Forwarded", b"for=1.1.1.1"),
        (b"X-Forwarded-For", b"1.1.1.1, 2.2.2.2, 127.0.0.1"),
    )


def test_connection_cannot_take_away_who_asked() -> None:
    headers = ((b"Connection", b"X-Forwarded-For, X-Forwarded-Proto"),)
    assert forwarded(headers, peer="8.8.8.8", secure=True) == (
        (b"X-Forwarded-For", b"8.8.8.8"),
        (b"X-Forwarded-Proto", b"https"),
    )


def test_connection_cannot_take_away_who_asked_from_a_trusted_proxy() -> None:
    """A browser's Connection that a careless proxy passes on would make everybody come from that proxy (F9)."""
    headers = (
        (b"Connection", b"close, X-Forwarded-For, X-REAL-IP"),
        (b"X-Forwarded-For", b"1.1.1.1"),
        (b"X-Real-IP", b"1.1.1.1"),
    )
    assert forwarded(headers, peer="127.0.0.1", secure=False, trusted=LOOPBACK)[:2] == (
        (b"X-Real-IP", b"1.1.1.1"),
        (b"X-Forwarded-For", b"1.1.1.1, 127.0.0.1"),
    )


def test_peer_by_ipv4_is_named_as_such_on_a_socket_for_both_families() -> None:
    assert forwarded((), peer="::ffff:8.8.8.8", secure=False)[0] == (b"X-Forwarded-For", b"8.8.8.8")
    assert client_address((), peer="::ffff:8.8.8.8") == "8.8.8.8"
    assert forwarded((), peer="::ffff:0808:0808", secure=False)[0] == (b"X-Forwarded-For", b"::ffff:0808:0808")


def test_peer_on_a_unix_socket_is_this_host() -> None:
    assert forwarded((), peer="", secure=False)[0] == (b"X-Forwarded-For", b"127.0.0.1")
    said = ((b"X-Forwarded-For", b"9.9.9.9"),)
    assert client_address(said, peer="", trusted=LOOPBACK) == "9.9.9.9"
    assert client_address(said, peer="", trusted=()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("chain", "peer", "client"),
    [
        ([], "8.8.8.8", "8.8.8.8"),
        ([b"1.1.1.1"], "8.8.8.8", "8.8.8.8"),
        ([b"1.1.1.1"], "127.0.0.1", "1.1.1.1"),
        ([b"1.1.1.1"], "::ffff:127.0.0.1", "1.1.1.1"),
        ([b"6.6.6.6, 1.1.1.1", b"10.0.0.1"], "127.0.0.1", "1.1.1.1"),
        ([b"10.0.0.2, 10.0.0.1"], "127.0.0.1", "10.0.0.2"),
        ([b"1.1.1.1:4711"], "127.0.0.1", "1.1.1.1"),
        ([b'"[2001:db8::1]:4711"'], "127.0.0.1", "2001:db8::1"),
        ([b"2001:db8::1"], "::1", "2001:db8::1"),
        ([b"1.1.1.1, unknown"], "127.0.0.1", "127.0.0.1"),
        ([b"1.1.1.1, \xff"], "127.0.0.1", "127.0.0.1"),
        ([b"1.1.1.1, nonsense, 10.0.0.1"], "127.0.0.1", "10.0.0.1"),
    ],
)
def test_browser_is_the_nearest_address_that_is_no_trusted_proxy(chain: list[bytes], peer: str, client: str) -> None:
    headers = tuple((b"X-Forwarded-For", value) for value in chain)
    assert client_address(headers, peer=peer, trusted=PRIVATE) == client


def test_peer_that_is_no_address_is_not_trusted() -> None:
    assert client_address((), peer="somewhere", trusted=PRIVATE) == "somewhere"
    assert certain_address((), peer="somewhere", trusted=PRIVATE) is None


@pytest.mark.parametrize(
    ("chain", "peer", "client"),
    [
        ([], "8.8.8.8", "8.8.8.8"),
        ([], "::ffff:127.0.0.1", "127.0.0.1"),
        ([], "", "127.0.0.1"),
        ([b"1.1.1.1"], "127.0.0.1", "1.1.1.1"),
        ([b"1.1.1.1", b"10.0.0.1"], "", "1.1.1.1"),
        ([b"127.0.0.1"], "10.0.0.1", "127.0.0.1"),
        ([b"10.0.0.2, 10.0.0.1"], "127.0.0.1", "10.0.0.2"),
        ([b"127.0.0.1"], "8.8.8.8", None),
        ([b"127.0.0.1, 8.8.8.8"], "127.0.0.1", None),
        ([b"127.0.0.1, 8.8.8.8", b"10.0.0.1"], "127.0.0.1", None),
        ([b"1.1.1.1, unknown"], "127.0.0.1", None),
        ([b"unknown, 10.0.0.1"], "127.0.0.1", None),
        ([b"10.0.0.1,"], "127.0.0.1", None),
        ([b"10.0.0.1,,10.0.0.1"], "127.0.0.1", None),
        ([b""], "127.0.0.1", None),
        ([b"127.1"], "127.0.0.1", None),
        ([b"10.0.0.1, \xff"], "127.0.0.1", None),
    ],
)
def test_browser_is_certain_where_only_trusted_proxies_ask_for_others(
    chain: list[bytes], peer: str, client: str | None
) -> None:
    """F9: what is decided by an address fails closed on a chain that is malformed, or that anyone could have begun."""
    headers = tuple((b"X-Forwarded-For", value) for value in chain)
    certain = certain_address(headers, peer=peer, trusted=PRIVATE)
    assert certain == (client and ip_address(client))


@pytest.mark.parametrize("name", [b"Forwarded", b"X-Real-IP", b"x-forwarded-proto", b"X-FORWARDED-HOST"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "8.8.8.8"])
def test_browser_is_uncertain_where_somebody_asks_for_it_without_a_chain(name: bytes, peer: str) -> None:
    said = (name, b"for=127.0.0.1")
    assert certain_address((said,), peer=peer, trusted=LOOPBACK) is None
    chained = certain_address((said, (b"X-Forwarded-For", b"1.1.1.1")), peer="127.0.0.1", trusted=LOOPBACK)
    assert chained == ip_address("1.1.1.1")


@pytest.mark.parametrize(
    ("address", "within"),
    [("127.0.0.1", True), ("", True), ("::1", True), ("::ffff:10.1.2.3", True), ("8.8.8.8", False), ("x", False)],
)
def test_address_is_within_networks_of_its_own_family(address: str, within: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_within(address, PRIVATE) is within


@pytest.mark.parametrize(
    ("address", "counted_with"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("", "127.0.0.1"),
        ("somewhere", "somewhere"),
    ],
)
def test_addresses_that_one_client_has_whole_are_counted_together(address: str, counted_with: str) -> None:
    assert neighbourhood(address) == counted_with


def test_only_a_trusted_proxy_says_who_is_logged_in() -> None:
    """Hermes can be told to believe it of the proxy in front of it."""
    said = ((b"Remote-User", b"admin"), (b"REMOTE-user", b"root"), (b"Remote-Users", b"x"))
    stranger, front = (
        forwarded(said, peer=peer, secure=False, trusted=LOOPBACK, identity=b"remote-user".__eq__)
        for peer in ("8.8.8.8", "127.0.0.1")
    )
    assert [name for name, _ in stranger[:-1]] == [b"Remote-Users"]
    assert front[:3] == said


def test_only_the_named_fields_are_left_in_their_order() -> None:
    headers = ((b"Set-Cookie", b"x"), (b"Content-Type", b"json"), (b"X", b"1"), (b"CACHE-CONTROL", b"no-store"))
    assert only(headers, (b"cache-control", b"content-type")) == (headers[1], headers[3])
    assert only(headers, ()) == ()


def test_an_empty_trailer_section_is_an_empty_line() -> None:
    assert serialize_fields(()) == b"\r\n"
    assert serialize_fields(((b"A", b"b"), (b"A", b""))) == b"A: b\r\nA: \r\n\r\n"
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        serialize_fields(((b"A", b"\n"),))


# -- fields in which a name is looked up ------------------------------------------------------------


RECEIVED = Fields.of([(b"Host", b"h"), (b"A ", b"1 \t"), (b"a", b"2")])


def test_fields_lose_the_space_behind_a_name_and_a_value() -> None:
    assert RECEIVED == ((b"Host", b"h"), (b"A", b"1"), (b"a", b"2"))


def test_fields_are_found_by_their_name_in_order() -> None:
    assert values(RECEIVED, b"a") == [b"1", b"2"]
    assert values(RECEIVED, b"b") == []


def test_fields_without_what_they_do_not_have_are_the_same() -> None:
    assert without(RECEIVED, [b"b"]) is RECEIVED
    assert without(RECEIVED, [b"a"]) == ((b"Host", b"h"),)
