"""What the service refuses, and whose fault it is."""


class UnknownCommand(Exception):
    """There is no such command, or no vehicle of that name, in this tenant."""


class InvalidCommand(ValueError):
    """The caller gave a value that cannot be; `field` says which."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class KeyTaken(Exception):
    """The same key came with another command before."""


class NotParked(Exception):
    """The command needs a parked vehicle, and this one is not known to be parked."""


class Ended(Exception):
    """The command has ended: it cannot be cancelled any more."""


class StateChanged(Exception):
    """Somebody else changed the desired state first."""
