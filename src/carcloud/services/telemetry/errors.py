"""Errors of the telemetry service; all of them are the caller's to mend."""


class InvalidArgument(ValueError):
    """An argument cannot be used; `field` says which one."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class UnknownDeadLetter(LookupError):
    """The tenant has no dead letter of that id."""


class UnknownQuery(LookupError):
    """The caller has no query of that id which runs."""


class UnknownTable(LookupError):
    """The tenant has no table of that name."""


class BuiltInTable(ValueError):
    """Every tenant has the table of that name, and keeps it."""


class TooBusy(RuntimeError):
    """As many queries run as may run at the same time. Trying again later may work."""
