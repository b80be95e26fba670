"""What the service refuses, and whose fault it is."""

from carcloud.services.vocabulary.types import Finding


class UnknownSignal(Exception):
    """The tenant's catalogue has no such signal."""


class UnknownOverlay(Exception):
    """The tenant has no overlay of that version."""


class OverlayChanged(Exception):
    """Somebody else saved an overlay first."""


class InvalidOverlay(ValueError):
    """An overlay that cannot be; `findings` name line and node."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        first = findings[0]
        super().__init__(f"line {first.line}: {first.node}: {first.text}")
        self.findings = findings


class UnknownMapping(Exception):
    """The model has no mapping of that version, or the mapping no such DBC file."""


class MappingChanged(Exception):
    """Somebody else saved a mapping of the model first."""


class InvalidMapping(ValueError):
    """A mapping that cannot be; `findings` name line and path."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        first = findings[0]
        super().__init__(f"line {first.line}: {first.node}: {first.text}")
        self.findings = findings
