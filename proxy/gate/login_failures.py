"""Failures to log in, counted for each client before they count against everybody (F9). No I/O, no clock."""

from collections import Counter, OrderedDict

from proxy.hermes.precautions import LOGIN_FAILURES, LOGIN_WINDOW

FAILURES = 3
"""Failures of one client within a minute after which it has to wait.

A person mistypes twice; and one client that guesses alone must not use up what all strangers may fail (F9)."""

SPENDABLE = LOGIN_FAILURES - 1
"""Failures of clients that nobody knows, in all of them together: one more, and Hermes would shut everybody out."""

REMEMBERED = 1000
"""Most clients remembered that have logged in."""

SOON = 1.0
"""Seconds to wait for the end of a try under way."""


class LoginFailures:
    """Says who may try to log in.

    Hermes takes the proxy's address for everybody's, and after five failures within a minute nobody of that address may
    try. So a client may fail a few times; and all those together who have never logged in through here may fail four
    times, which leaves the fifth to those who have. Strangers who come from many addresses can keep each other out, but
    not them.
    """

    def __init__(self) -> None:
        self._failures: list[tuple[float, str]] = []
        self._trying: Counter[str] = Counter()
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until `client` may try; 0 if it may now.

        Args:
            client: Whose failures are counted together.
            now: In seconds, of any clock that only goes forward.
        """
        self._failures = [(at, who) for at, who in self._failures if now - at < LOGIN_WINDOW]
        own = [at for at, who in self._failures if who == client]
        wait = _until_free(own, self._trying[client], FAILURES, now)
        if client not in self._known:
            every = [at for at, _ in self._failures]
            wait = max(wait, _until_free(every, self._trying.total(), SPENDABLE, now))
        return wait

    def began(self, client: str) -> None:
        """It tries: until that has ended it may have failed, so that nobody tries many times at once."""
        self._trying[client] += 1

    def succeeded(self, client: str) -> None:
        """It is let in, and known from now on."""
        self._ended(client)
        self._failures = [(at, who) for at, who in self._failures if who != client]
        self._known[client] = None
        self._known.move_to_end(client)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def failed(self, client: str, now: float) -> None:
        """It was refused; or nobody knows, since it left before it was told."""
        self._ended(client)
        self._failures.append((now, client))

    def gave_up(self, client: str) -> None:
        """It was answered neither: nothing was tried."""
        self._ended(client)

    def _ended(self, client: str) -> None:
        self._trying[client] -= 1
        if not self._trying[client]:
            del self._trying[client]


def _until_free(failures: list[float], trying: int, allowed: int, now: float) -> float:
    """Seconds until failures, oldest first, and tries under way are fewer than `allowed`."""
    surplus = len(failures) + trying - allowed
    if surplus < 0:
        return 0.0
    return failures[surplus] + LOGIN_WINDOW - now if surplus < len(failures) else SOON
