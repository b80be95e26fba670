"""What callers of compliance can do wrong."""


class UnknownLink(Exception):
    """There is no forwarding link of this name in the tenant."""


class LinkExists(Exception):
    """The tenant has a forwarding link of this name."""


class LinkChanged(Exception):
    """Somebody else changed the link since the caller saw it."""


class UnknownPlatform(Exception):
    """The tenant has no account for this lower platform."""


class PlatformTaken(Exception):
    """Another tenant has the account of this lower platform."""


class InvalidLink(ValueError):
    """A field of a link or an account cannot be so; `field` names it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
