"""What the readers of bus logs say about bytes that are no log."""


class BadLog(ValueError):
    """A log is not what its format asks for: `place` is a line or an offset, `reason` says why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.place = place
        self.reason = reason
