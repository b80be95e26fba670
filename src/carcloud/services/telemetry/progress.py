"""Work that waits while nothing gets done."""


class Progress:
    """To be looked at about once a second; all times are s on one monotonic clock."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._done = -1
        self._since: float | None = None  # since when nothing was done though something waited

    def look(self, done: int, waiting: int, now: float) -> None:
        """`done` counts what is finished and only grows, `waiting` is what is left."""
        if waiting == 0 or done != self._done:
            self._done, self._since = done, now

    def stuck_s(self, now: float) -> float | None:
        """How long nothing has been done, once that is longer than the patience."""
        if self._since is None or now - self._since <= self._patience_s:
            return None
        return now - self._since
