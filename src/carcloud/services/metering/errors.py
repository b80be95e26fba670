"""What metering refuses."""


class Invalid(ValueError):
    """The caller gave a value that cannot be; `field` says which argument."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class Unknown(Exception):
    """There is no such budget, statement or price book."""


class Exists(Exception):
    """A price book of these months exists already; or it is in use and cannot be taken back."""


class Changed(Exception):
    """Somebody else changed the budget first."""


class NotYet(Exception):
    """The month has not ended, an earlier one is open, or no price book is valid in it."""
