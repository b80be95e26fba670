"""What tenancy refuses, and whose fault it is."""


class NotSignedIn(Exception):
    """The token is unknown, has ended or was taken back; or the name or password is wrong."""


class Throttled(Exception):
    """Too many failed sign-ins; trying again makes sense after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed sign-ins; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Invalid(ValueError):
    """The caller gave a value that cannot be; `field` says which argument."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class Exists(Exception):
    """A tenant, user or token of that name exists already."""


class Unknown(Exception):
    """There is no such tenant, user or token in this tenant."""
