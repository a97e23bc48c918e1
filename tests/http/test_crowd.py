"""Connections are counted by client, and one client's are bounded."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import ip_network

import pytest

from proxy.http.crowd import Crowd, Welcome
from proxy.http.rules import Rules

TWO = Rules(connections=2, trusted_proxies=(ip_network("10.0.0.1/32"),))
STRANGER, NEIGHBOUR = "203.0.113.9", "203.0.113.10"


def welcomes(crowd: Crowd, *peers: str, rules: Rules = TWO) -> list[Welcome]:
    return [crowd.enter(peer, rules) for peer in peers]


def test_one_client_has_so_many_connections_and_as_many_refusals() -> None:
    served, refused, dropped = [Welcome.SERVED] * 2, [Welcome.REFUSED] * 2, [Welcome.DROPPED] * 3
    assert welcomes(Crowd(), *[STRANGER] * 7) == [*served, *refused, *dropped]


def test_other_clients_are_served_all_the_same() -> None:
    crowd = Crowd()
    welcomes(crowd, *[STRANGER] * 7)
    assert welcomes(crowd, NEIGHBOUR) == [Welcome.SERVED]


def test_a_connection_that_ends_makes_room() -> None:
    crowd = Crowd()
    welcomes(crowd, *[STRANGER] * 3)
    for _ in range(2):
        crowd.leave(STRANGER)
    assert welcomes(crowd, STRANGER, STRANGER) == [Welcome.SERVED, Welcome.REFUSED]


def test_nothing_is_kept_about_clients_that_left() -> None:
    """P7: its memory is bounded by what is open."""
    crowd = Crowd()
    for number in range(50):
        crowd.enter(f"203.0.113.{number}", TWO)
        crowd.leave(f"203.0.113.{number}")
    assert not crowd._open


def test_addresses_of_one_ipv6_client_are_counted_together() -> None:
    addresses = [f"2001:db8:1:2::{number}" for number in range(1, 4)]
    assert welcomes(Crowd(), *addresses)[-1] is Welcome.REFUSED


@pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.1", "::1", ""])
def test_proxies_and_this_host_are_many_clients_and_not_counted(peer: str) -> None:
    assert set(welcomes(Crowd(), *[peer] * 9)) == {Welcome.SERVED}


def test_the_rules_in_force_decide() -> None:
    crowd = Crowd()
    welcomes(crowd, *[STRANGER] * 2)
    assert welcomes(crowd, STRANGER, rules=replace(TWO, connections=3)) == [Welcome.SERVED]


def test_a_client_that_takes_too_many_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        welcomes(Crowd(), *[STRANGER] * 9)
    assert [record.getMessage() for record in caplog.records] == ["203.0.113.9 has 2 connections open: it gets no more"]
