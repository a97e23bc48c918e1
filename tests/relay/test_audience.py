"""Who follows an upstream, and where the others left it."""

from dataclasses import dataclass
from math import inf
from typing import cast

import pytest

from proxy.http.account import Account
from proxy.http.errors import CrowdedOutError, ProxyError
from proxy.relay.audience import Audience
from proxy.relay.cursor import Cursor


class Browser:
    """Notes why it was ended."""

    client = "10.0.0.1"

    def __init__(self) -> None:
        self.told: list[ProxyError] = []
        self.now = 0.0
        self.account = Account(lambda: self.now)
        self.account.browser = self

    def give_way(self, error: ProxyError) -> None:
        self.told.append(error)


@dataclass(eq=False)
class Place:
    """A cursor, as far as an audience looks at it."""

    at: int


def cursor(at: int = 0) -> Cursor:
    return cast("Cursor", Place(at))


def test_it_is_as_late_as_the_one_that_is_least_late() -> None:
    audience, late, quick = Audience(), Browser(), Browser()
    audience.joined(cursor(), "a", late.account)
    with late.account.pace.waiting():
        late.now = 7.0
        assert audience.lateness == pytest.approx(7.0)
        audience.joined(cursor(), "b", quick.account)
        assert audience.lateness == 0


def test_nobody_needs_it_once_all_have_left() -> None:
    """Before the first has come, it is somebody's: its answer has begun."""
    audience, only = Audience(), cursor()
    assert audience.lateness == 0
    audience.joined(only, "a", Browser().account)
    audience.left(only, "a")
    assert audience.lateness == inf


def test_all_of_it_gives_way() -> None:
    audience, browsers = Audience(), [Browser(), Browser()]
    for browser in browsers:
        audience.joined(cursor(), "a", browser.account)
    error = CrowdedOutError("Others waited.", retry_after=5)

    audience.give_way(error)

    assert [browser.told for browser in browsers] == [[error], [error]]


def test_who_left_goes_on_where_it_left_unless_it_is_here_still() -> None:
    audience, one, two = Audience(), cursor(10), cursor(20)
    audience.joined(one, "a", Browser().account)
    audience.joined(two, "a", Browser().account)
    audience.left(one, "a")
    assert audience.left_at("a") is None, "its other tab is here"
    audience.left(two, "a")
    assert audience.left_at("a") == 20


def test_who_was_never_there_goes_on_where_the_last_one_left_while_nobody_is() -> None:
    audience, first = Audience(), cursor(10)
    audience.joined(first, "a", Browser().account)
    assert audience.left_at("new") is None
    audience.left(first, "a")
    assert audience.left_at("new") == 10
    audience.joined(cursor(10), "b", Browser().account)
    assert audience.left_at("new") is None
    assert audience.left_at("a") == 10


def test_only_so_many_are_remembered() -> None:
    """P7."""
    audience, here = Audience(), cursor()
    audience.joined(here, "here", Browser().account)
    for number in range(100):
        gone = cursor(number)
        audience.joined(gone, f"{number}", Browser().account)
        audience.left(gone, f"{number}")
    assert [audience.left_at(f"{number}") for number in (35, 36, 99)] == [None, 36, 99]
