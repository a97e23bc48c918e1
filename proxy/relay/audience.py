"""The browsers that follow an upstream, and where in its log those left that are gone."""

from collections import Counter
from math import inf

from proxy.http.account import Account
from proxy.http.errors import ProxyError
from proxy.relay.cursor import Cursor

_MOST_GONE = 64
"""Browsers whose leaving is remembered (P7)."""


class Audience:
    """Who follows, and who did."""

    __slots__ = ("_accounts", "_here", "_last_left_at", "_left")

    def __init__(self) -> None:
        self._accounts: dict[Cursor, Account] = {}
        self._here: Counter[str] = Counter()
        self._left: dict[str, int] = {}
        self._last_left_at: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody follows."""
        return not self._accounts

    @property
    def lateness(self) -> float:
        """Seconds for which all of them have been late; without end if all have left, 0 while the first is to come."""
        if self.is_empty:
            return 0.0 if self._last_left_at is None else inf
        return min(account.lateness for account in self._accounts.values())

    def give_way(self, error: ProxyError) -> None:
        """Ends the answer to each of them with `error`."""
        for account in tuple(self._accounts.values()):
            account.give_way(error)

    def joined(self, cursor: Cursor, viewer: str, account: Account) -> None:
        """A browser follows, in the answer to the request of that account."""
        self._accounts[cursor] = account
        self._here[viewer] += 1
        self._last_left_at = None

    def left(self, cursor: Cursor, viewer: str) -> None:
        """A browser follows no more."""
        del self._accounts[cursor]
        self._here -= Counter([viewer])  # which keeps none that is not there
        self._left.pop(viewer, None)
        self._left[viewer] = cursor.at
        if len(self._left) > _MOST_GONE:
            del self._left[next(iter(self._left))]
        if self.is_empty:
            self._last_left_at = cursor.at

    def left_at(self, viewer: str) -> int | None:
        """Where that browser left, if it is not here; or if nobody is, and it never was, where the last one left."""
        return None if self._here[viewer] else self._left.get(viewer, self._last_left_at)
