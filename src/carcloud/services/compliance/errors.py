"""What callers of compliance can do wrong."""


class UnknownLink(Exception):
    """There is no forwarding link of this name in the tenant."""


class LinkExists(Exception):
    """The tenant has a forwarding link of this name."""


class InvalidLink(ValueError):
    """A field of a link cannot be so; `field` names it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
