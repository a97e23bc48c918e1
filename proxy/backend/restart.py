"""Telling from `/health` that Hermes is back after a restart."""

from proxy.hermes.health import ServerStart


class RestartWatch:
    """Is told what every question for `/health` met, from the moment on at which the restart is waited for."""

    def __init__(self) -> None:
        self._before: ServerStart | None = None
        self._was_away = False

    def lost(self) -> None:
        """It took no connection."""
        self._was_away = True

    def answered(self, start: ServerStart | None) -> bool:
        """Whether what answered began after the first that did.

        Where that cannot be told, as the first said nothing of its beginning or there was none: whether it was away.
        """
        if start is not None and self._before is not None:
            return start.is_later_than(self._before)
        self._before = self._before or start
        return self._was_away
