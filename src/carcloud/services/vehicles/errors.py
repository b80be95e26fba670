"""What the registry refuses, and whose fault it is."""


class Unknown(Exception):
    """There is no such vehicle or model in this tenant."""


class Exists(Exception):
    """A vehicle or model of that id exists already; a vehicle id belongs to one tenant only."""


class Changed(Exception):
    """Somebody else changed it first: the caller's revision is no longer the present one."""


class Invalid(ValueError):
    """The caller gave a value that cannot be; `field` says which."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
