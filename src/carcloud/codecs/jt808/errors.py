"""What can be wrong with values that a caller gave; what peers send wrong is a `FrameError`."""


class EncodeError(ValueError):
    """The caller gave a value that the wire cannot carry; `field` names it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
