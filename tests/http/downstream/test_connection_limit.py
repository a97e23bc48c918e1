"""Connections are counted by client, and one client's are bounded."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import ip_network

import pytest

from proxy.http.downstream.connection_limit import Admission, ConnectionLimit
from proxy.http.downstream.rules import Rules

TWO = Rules(connections=2, trusted_proxies=(ip_network("10.0.0.1/32"),))
STRANGER, NEIGHBOUR = "203.0.113.9", "203.0.113.10"


def welcomes(limit: ConnectionLimit, *peers: str, rules: Rules = TWO) -> list[Admission]:
    return [limit.enter(peer, rules) for peer in peers]


def test_one_client_has_so_many_connections_and_as_many_refusals() -> None:
    served, refused, dropped = [Admission.SERVED] * 2, [Admission.REFUSED] * 2, [Admission.DROPPED] * 3
    assert welcomes(ConnectionLimit(), *[STRANGER] * 7) == [*served, *refused, *dropped]


def test_other_clients_are_served_all_the_same() -> None:
    limit = ConnectionLimit()
    welcomes(limit, *[STRANGER] * 7)
    assert welcomes(limit, NEIGHBOUR) == [Admission.SERVED]


def test_a_connection_that_ends_makes_room() -> None:
    limit = ConnectionLimit()
    welcomes(limit, *[STRANGER] * 3)
    for _ in range(2):
        limit.leave(STRANGER)
    assert welcomes(limit, STRANGER, STRANGER) == [Admission.SERVED, Admission.REFUSED]


def test_nothing_is_kept_about_clients_that_left() -> None:
    """P7: its memory is bounded by what is open."""
    limit = ConnectionLimit()
    for number in range(50):
        limit.enter(f"203.0.113.{number}", TWO)
        limit.leave(f"203.0.113.{number}")
    assert not limit._open


def test_addresses_of_one_ipv6_client_are_counted_together() -> None:
    addresses = [f"2001:db8:1:2::{number}" for number in range(1, 4)]
    assert welcomes(ConnectionLimit(), *addresses)[-1] is Admission.REFUSED


@pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.1", "::1", ""])
def test_proxies_and_this_host_are_many_clients_and_not_counted(peer: str) -> None:
    assert set(welcomes(ConnectionLimit(), *[peer] * 9)) == {Admission.SERVED}


def test_the_rules_in_force_decide() -> None:
    limit = ConnectionLimit()
    welcomes(limit, *[STRANGER] * 2)
    assert welcomes(limit, STRANGER, rules=replace(TWO, connections=3)) == [Admission.SERVED]


def test_a_client_that_takes_too_many_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        welcomes(ConnectionLimit(), *[STRANGER] * 9)
    assert [record.getMessage() for record in caplog.records] == ["203.0.113.9 has 2 connections open: it gets no more"]
